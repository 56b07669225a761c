"""Hulls from which energies of samples are measured, and energies above them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.common.run_schema import ENERGY, ENERGY_COLUMN, HULL_COLUMN
from gflownet_crystal.common.run_summary import Quantity
from gflownet_crystal.proxies.e_above_hull import REFERENCE, load_hull
from gflownet_crystal.proxies.hull import Hull
from gflownet_crystal.structures.spec_io import frame_to_specs

FORMATION_ENERGY = Quantity(ENERGY_COLUMN, "eV/atom")
ABOVE_HULL = Quantity(HULL_COLUMN, "eV/atom")
ENERGIES = FORMATION_ENERGY, ABOVE_HULL
"""Properties, with units, that can be measured from a hull."""

FindHull = Callable[[], Hull | None]


def predicted_hulls(
    path: str | None, known: Quantity, own: FindHull, of_reward: FindHull
) -> tuple[Hull | None, Hull | None]:
    """The hull for the proxy's energies, and the proxy's own where they are to be measured from the one for the other.

    Args:
        path: name or file of a reference hull, or None for that of the reward, if it has one.
        known: property of the proxy.
        own: function that gives the hull from which the proxy measures energies, None where it has none that is known.
        of_reward: function that gives the hull that the reward subtracts from formation energies, or None.

    Raises:
        ConfigError: the proxy predicts nothing that a hull is needed for, or its own hull is not known.
    """
    if path is None:
        return of_reward() if known == FORMATION_ENERGY else None, None
    if known == FORMATION_ENERGY:
        return load_hull(path), None
    if known != ABOVE_HULL:
        raise ConfigError(
            f"hull={path}: the run's proxy predicts {known.name} ({known.unit}); leave hull out"
        )
    mine = own()
    if mine is None:
        raise ConfigError(f"hull={path}: the hull of the run's proxy is not known; leave hull out")
    return load_hull(path), mine


def hull_with_atoms(path: str | None, known: Quantity, own: FindHull, of_reward: FindHull) -> Hull:
    """The hull for energies with atoms: the one named, else that of the proxy or reward, else the reference hull.

    Args:
        path: path as of :func:`predicted_hulls`.
        known: likewise.
        own: likewise.
        of_reward: likewise.
    """
    if path is not None:
        return load_hull(path)
    return (own() if known == ABOVE_HULL else of_reward()) or load_hull(REFERENCE)


def energies_above_hull(frame: pd.DataFrame, hull: Hull | None = None) -> NDArray[np.float64]:
    """Estimated energies above the convex hull.

    Args:
        frame: specs whose column ``energy`` is a formation energy, eV/atom.
        hull: measured from; None for the shipped learned hull.

    Returns:
        (n,) eV/atom.
    """
    energy = torch.from_numpy(frame[ENERGY].to_numpy(dtype=np.float64).copy())
    above: NDArray[np.float64] = (hull or load_hull()).e_above_hull(frame_to_specs(frame), energy).numpy()
    return above


def predicted_above_hull(
    frame: pd.DataFrame, known: Quantity, hull: Hull | None, own: Hull | None
) -> NDArray[np.float64]:
    """Energies above the hull by the run's own proxy.

    Args:
        frame: specs with the column ``energy``.
        known: property of that column.
        hull: that the user names; None for the run's own, else the learned one.
        own: the run's own; see :func:`predicted_hulls`.

    Returns:
        (n,) eV/atom, NaN where the column is something else than an energy.
    """
    if known == FORMATION_ENERGY:
        return energies_above_hull(frame, hull)
    energy = frame[ENERGY].to_numpy(dtype=np.float64)
    if known != ABOVE_HULL:
        return np.full_like(energy, np.nan)
    if hull is None or own is None:
        return energy
    composition = frame_to_specs(frame).composition
    shift: NDArray[np.float64] = (own.hull_energy(composition) - hull.hull_energy(composition)).numpy()
    return energy + shift
