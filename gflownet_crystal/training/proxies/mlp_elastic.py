"""Elastic energies of crystals: curves fitted to a potential's energies, and cells strained at random.

A crystal's energy under an isotropic scaling of its lengths by x is a Morse curve, D (1 - exp(-a (x - 1)))^2, with its
minimum moved to the true cell (the potential's own minimum is within 1 % of it for three quarters of the crystals);
a volume-preserving strain adds K |log strain|^2. D, a and K are fitted crystal by crystal where strained energies
exist, and predicted from composition, group and volume by extra-trees elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gflownet_crystal.data.standardize import parameters_to_rows, rows_to_parameters, symmetrise_parameters

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

TRUSTED_ENERGIES = (-0.3, 4.5)
"""eV/atom against the true cell; outside, the potential is out of its depth."""
HIGHEST_STRAIN_ENERGY = 5.0
LOWEST_SHAPE_STIFFNESS = 0.3
TYPICAL_DEPTH, TYPICAL_EXPONENT, TYPICAL_SHAPE_STIFFNESS = 4.0, 3.5, 3.0
"""Medians over 22,000 crystals: used where a data set has no strained energies."""
_MINIMA = np.linspace(0.94, 1.06, 25)
_EXPONENTS = np.linspace(2.0, 12.0, 41)


@dataclass(frozen=True)
class Elasticity:
    """Strain response of n crystals; NaN where unknown.

    Attributes:
        depth: (n,) D, eV/atom.
        exponent: (n,) a, dimensionless.
        shape: (n,) K, eV/atom.
    """

    depth: Floats
    exponent: Floats
    shape: Floats

    def energy(self, rows: Ints, log_volume: Floats, shear: Floats) -> Floats:
        """Energy above the true cell, eV/atom, at most HIGHEST_STRAIN_ENERGY.

        Args:
            rows: (m,) crystals.
            log_volume: (m,) log of the volume over the true one.
            shear: (m,) squared norm of the volume-preserving log strain.
        """
        stretch = np.exp(log_volume / 3) - 1
        volume = self.depth[rows] * (1 - np.exp(-self.exponent[rows] * stretch)) ** 2
        shape = np.maximum(self.shape[rows], LOWEST_SHAPE_STIFFNESS) * shear
        return np.minimum(volume + shape, HIGHEST_STRAIN_ENERGY)


def strain_measures(reference: Floats, strained: Floats) -> tuple[Floats, Floats]:
    """Log volume ratio (n,) and squared norm of the volume-preserving log strain (n,) between (n, 6) cells."""
    gradient = np.linalg.inv(parameters_to_rows(reference)) @ parameters_to_rows(strained)
    principal = 0.5 * np.log(np.linalg.eigvalsh(gradient @ gradient.transpose(0, 2, 1)))
    log_volume = principal.sum(1)
    return log_volume, ((principal - log_volume[:, None] / 3) ** 2).sum(1)


def fit_elasticity(n: int, rows: Ints, log_volume: Floats, shear: Floats, energy: Floats) -> Elasticity:
    """Fit the curves to strained energies.

    Args:
        n: number of crystals.
        rows: (m,) crystal of each strained cell.
        log_volume: (m,) log of the volume over the true one.
        shear: (m,) squared norm of the volume-preserving log strain; 0 for isotropic scaling.
        energy: (m,) against the true cell, eV/atom.
    """
    trusted = (energy > TRUSTED_ENERGIES[0]) & (energy < TRUSTED_ENERGIES[1])
    scaled = trusted & (shear < 1e-5) & (np.abs(log_volume) > 1e-4)
    depth, exponent = _fit_morse(n, rows[scaled], np.exp(log_volume[scaled] / 3), energy[scaled])
    sheared = trusted & (shear > 1e-4) & np.isfinite(depth[rows])
    which, cost = rows[sheared], shear[sheared]
    curve = Elasticity(depth, exponent, np.zeros(n)).energy(which, log_volume[sheared], 0 * cost)
    weight = np.bincount(which, cost**2, n)
    moment = np.bincount(which, cost * (energy[sheared] - curve), n)
    shape = np.where(weight > 0, moment / np.maximum(weight, 1e-12), np.nan)
    return Elasticity(depth, exponent, shape)


def _fit_morse(n: int, rows: Ints, stretch: Floats, energy: Floats) -> tuple[Floats, Floats]:
    """Depth and exponent (n,) by a grid over minimum and exponent; the depth is linear."""
    best = np.full(n, np.inf)
    depth, exponent = np.full(n, np.nan), np.full(n, np.nan)
    weight = 1 / (0.1 + np.abs(energy))
    present = np.bincount(rows, minlength=n) >= 3
    for minimum in _MINIMA:
        for trial in _EXPONENTS:
            curve = (1 - np.exp(-trial * (stretch - minimum))) ** 2 - (
                1 - np.exp(-trial * (1 - minimum))
            ) ** 2
            norm = np.bincount(rows, weight * curve**2, n)
            fitted = np.clip(
                np.bincount(rows, weight * curve * energy, n) / np.maximum(norm, 1e-9), 0.01, 20.0
            )
            misfit = np.bincount(rows, weight * (energy - fitted[rows] * curve) ** 2, n)
            misfit = misfit + 1e-3 * ((minimum - 1) / 0.02) ** 2
            better = present & (misfit < best)
            best[better], depth[better], exponent[better] = misfit[better], fitted[better], trial
    return depth, exponent


def complete_elasticity(known: Elasticity, features: NDArray[np.float32], seed: int) -> Elasticity:
    """Fill unknown responses by extra-trees, or by typical values where too few are known.

    Args:
        known: known elasticity of n crystals.
        features: (n, f) descriptors.
        seed: random seed of the forests.
    """
    stiffness = np.log(2 * known.depth * known.exponent**2)
    log_depth = _forest(features, np.log(known.depth), seed, 3, np.log(TYPICAL_DEPTH))
    log_stiffness = _forest(features, stiffness, seed, 3, np.log(2 * TYPICAL_DEPTH * TYPICAL_EXPONENT**2))
    shape = _forest(features, np.clip(known.shape, -1.0, 12.0), seed, 5, TYPICAL_SHAPE_STIFFNESS)
    exponent = np.sqrt(np.exp(log_stiffness - log_depth) / 2)
    unknown = ~np.isfinite(known.depth)
    return Elasticity(
        np.where(unknown, np.exp(log_depth), known.depth),
        np.where(unknown, exponent, known.exponent),
        np.where(np.isfinite(known.shape), known.shape, shape),
    )


def _forest(features: NDArray[np.float32], target: Floats, seed: int, leaf: int, typical: float) -> Floats:
    rows = np.isfinite(target)
    if rows.sum() < 2 * leaf:
        return np.full(len(target), typical)
    from sklearn.ensemble import ExtraTreesRegressor

    forest = ExtraTreesRegressor(60, min_samples_leaf=leaf, max_features=0.4, random_state=seed)
    result: Floats = forest.fit(features[rows], target[rows]).predict(features)
    return result


def random_strains(parameters: Floats, space_group: Ints, rng: np.random.Generator) -> Floats:
    """Cells strained in volume (log ratio mostly within 0.25, at most 1.3) and, most of them, in shape.

    Args:
        parameters: (n, 6) true cells, Å and degrees.
        space_group: (n,); the strained cell keeps the constraints of the group.
        rng: source of the draws.

    Returns:
        (n, 6) cells; a strain that would close no cell leaves its crystal as it is.
    """
    n = len(parameters)
    log_volume = np.where(rng.random(n) < 0.6, rng.normal(0, 0.25, n), rng.uniform(-1.0, 1.3, n))
    wide = np.where(rng.random(n) < 0.75, rng.uniform(0.02, 0.35, n), rng.uniform(0, 1.0, n))
    amplitude = np.where(rng.random(n) < 0.3, 0.0, wide)
    strain = rng.normal(size=(n, 3, 3))
    strain = strain + strain.transpose(0, 2, 1)
    strain -= np.eye(3) * (np.trace(strain, axis1=1, axis2=2) / 3)[:, None, None]
    strain *= (amplitude / np.linalg.norm(strain, axis=(1, 2)))[:, None, None]
    principal, axes = np.linalg.eigh(strain)
    stretch = (axes * np.exp(principal + log_volume[:, None] / 3)[:, None, :]) @ axes.transpose(0, 2, 1)
    strained = rows_to_parameters(parameters_to_rows(parameters) @ stretch)
    strained = symmetrise_parameters(strained, space_group)
    rows = parameters_to_rows(strained)
    closed = np.isfinite(rows).all((1, 2)) & (np.abs(np.linalg.det(np.nan_to_num(rows))) > 1.0)
    return np.where(closed[:, None], strained, parameters)
