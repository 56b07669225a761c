"""Fingerprints of a crystal's sites and of its composition, as published coverage figures use them.

Sites: CrystalNN order parameters (N. E. R. Zimmermann and A. Jain, RSC Adv. 10, 6063, 2020), matminer's preset
``ops``, 61 numbers, averaged over the atoms of the cell. Composition: the 132 Magpie statistics (L. Ward et al., npj
Comput. Mater. 2, 16028, 2016), matminer's preset ``magpie`` without imputed values.
"""

from __future__ import annotations

import functools
import importlib.metadata
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gflownet_crystal.evaluation.extras import missing_extra
from gflownet_crystal.evaluation.features import Features
from gflownet_crystal.evaluation.parallel import Crystal
from gflownet_crystal.structures.symmetry import equivalent_atoms

N_SITE, N_COMPOSITION = 61, 132

SMALLEST_ATOM = 0.5
"""Å^3; structures with less volume an atom get no fingerprint: they have tens of thousands of neighbours an atom."""

MOST_CELLS = 3e4
"""Cells in a sphere as large as the cell's diagonal (MP's have at most 6,000); in thinner ones CrystalNN looks for
neighbours of that many images and finds no end."""

TOLERANCE = 1e-5
"""Tolerance in Å within which atoms count as equivalent by symmetry, so that one of them stands for all."""

_REVISION = 2


@dataclass(frozen=True)
class FingerprintMaker:
    """Features ``sites`` (n, 61) and ``composition`` (n, 132); about 0.07 s a structure of ten atoms.

    A structure without the one has neither, as in the published code; Magpie values that are not known stay NaN.
    """

    @property
    def key(self) -> str:
        """Versions of the packages that compute them.

        Raises:
            ConfigError: matminer is not installed.
        """
        try:
            versions = [importlib.metadata.version(name) for name in ("matminer", "pymatgen")]
        except importlib.metadata.PackageNotFoundError as error:
            raise missing_extra(error.name or "matminer") from error
        return f"fingerprints {_REVISION} " + " ".join(versions)

    def __call__(self, crystals: Sequence[Crystal]) -> Features:
        """Features of at least one structure."""
        sites = torch.full((len(crystals), N_SITE), torch.nan, dtype=torch.float64)
        composition = torch.full((len(crystals), N_COMPOSITION), torch.nan, dtype=torch.float64)
        reasons = []
        for row, crystal in enumerate(crystals):
            try:
                sites[row] = torch.from_numpy(site_fingerprint(crystal))
                composition[row] = torch.from_numpy(composition_fingerprint(crystal[1]))
                reasons.append("")
            except ImportError as error:
                raise missing_extra("matminer") from error
            except Exception as error:  # pymatgen, matminer and scipy raise all kinds of them
                sites[row] = torch.nan
                reasons.append(f"{type(error).__name__}: {' '.join(str(error).split())}")
        return Features({"sites": sites, "composition": composition}, reasons)


def site_fingerprint(crystal: Crystal) -> NDArray[np.float64]:
    """CrystalNN order parameters, averaged over the atoms, (61,) float64; one of equivalent atoms stands for all.

    Raises:
        ValueError: the cell is too small, or a site has no fingerprint.
    """
    from pymatgen.core import Structure

    cell, numbers, points = crystal
    volume = abs(float(np.linalg.det(cell)))
    share = volume / max(1, len(numbers))
    if not share >= SMALLEST_ATOM:
        raise ValueError(f"{share:.3g} Å^3 an atom: below {SMALLEST_ATOM} there is no fingerprint")
    cells = 4.0 / 3.0 * np.pi * float(np.linalg.norm(cell)) ** 3 / volume
    if cells > MOST_CELLS:
        raise ValueError(f"a thin cell: {cells:.3g} of it fit in a sphere of its diagonal's size")
    # far from the origin, pymatgen's search for neighbours loses digits, then neighbours, then does not end
    points = points % 1.0
    structure = Structure(cell, numbers.tolist(), points)
    featurizer = _site_featurizer()
    rows, counts = np.unique(equivalent_atoms(cell, numbers, points, TOLERANCE), return_counts=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fingerprint = np.average(
            [featurizer.featurize(structure, row) for row in rows], axis=0, weights=counts
        )
    if not np.isfinite(fingerprint).all():
        raise ValueError("a fingerprint that is not finite")
    return fingerprint


def composition_fingerprint(numbers: NDArray[np.int64]) -> NDArray[np.float64]:
    """Magpie statistics of atoms of these atomic numbers, (132,) float64; NaN where a property is not known."""
    distinct, counts = np.unique(numbers, return_counts=True)
    counts //= np.gcd.reduce(counts)
    return _statistics(tuple(distinct.tolist()), tuple(counts.tolist()))


@functools.lru_cache(maxsize=100_000)
def _statistics(numbers: tuple[int, ...], counts: tuple[int, ...]) -> NDArray[np.float64]:
    from pymatgen.core import Composition, Element

    formula = Composition({Element.from_Z(z): count for z, count in zip(numbers, counts, strict=True)})
    return np.array(_composition_featurizer().featurize(formula), dtype=np.float64)


@functools.cache
def _site_featurizer() -> Any:
    from matminer.featurizers.site.fingerprint import CrystalNNFingerprint

    return CrystalNNFingerprint.from_preset("ops")


@functools.cache
def _composition_featurizer() -> Any:
    from matminer.featurizers.composition.composite import ElementProperty

    return ElementProperty.from_preset("magpie", impute_nan=False)
