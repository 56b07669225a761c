"""Match rate and RMSE: how often a structure is the crystal it was meant to be, by pymatgen's StructureMatcher.

Source: T. Xie et al., ICLR 2022, section 5.1 (reconstruction), tolerances stol 0.5, ltol 0.3, angle 10 degrees; with
several tries as in R. Jiao et al., "Crystal Structure Prediction by Joint Equivariant Diffusion", NeurIPS 2023. The
published code counts a pair as unmatched where the structure or, by SMACT, its composition is not valid; that caps
the rate below 1 even for perfect structures, so both rates are given.
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from gflownet_crystal.common.annotations import fit_fields
from gflownet_crystal.common.errors import ConfigError, DataError
from gflownet_crystal.evaluation.parallel import Crystal, Work, run_all

if TYPE_CHECKING:
    from pymatgen.analysis.structure_matcher import StructureMatcher
    from pymatgen.core import Structure


_AT_ONCE = 16
_LONGEST = 1e5


@dataclass(frozen=True)
class Tolerances:
    """When two structures count as one crystal; cells are reduced and scaled to the same volume first.

    Attributes:
        stol: distance of matched sites, in units of the cube root of the volume per atom.
        ltol: relative difference of lattice lengths.
        angle_tol: difference of lattice angles, degrees.
    """

    stol: float = 0.5
    ltol: float = 0.3
    angle_tol: float = 10.0

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ConfigError: a tolerance is not a number above 0.
        """
        fit_fields(self)
        for name, value in vars(self).items():
            if not value > 0.0:
                raise ConfigError(f"{name} must be a number above 0, not {value!r}")

    def matcher(self) -> StructureMatcher:
        """pymatgen's matcher with these tolerances."""
        from pymatgen.analysis.structure_matcher import StructureMatcher

        return StructureMatcher(ltol=self.ltol, stol=self.stol, angle_tol=self.angle_tol)


@dataclass(frozen=True)
class Pair:
    """A structure and the one that it should be."""

    made: Crystal
    target: Crystal


def rms_distances(pairs: Sequence[Pair], tolerances: Tolerances, work: Work) -> tuple[Tensor, list[str]]:
    """Root mean square distances of matched sites, in units of the cube root of the volume per atom.

    Args:
        pairs: n pairs of structures.
        tolerances: tolerances of the match.
        work: settings of the execution.

    Returns:
        (n,) float64, NaN where a pair does not match; n texts, why a comparison failed, else empty.

    Raises:
        KeyboardInterrupt: a stop was asked for.
    """
    tasks = [pairs[start : start + _AT_ONCE] for start in range(0, len(pairs), _AT_ONCE)]
    found = run_all(functools.partial(_distances, tolerances), tasks, work, "matching")
    results = list(chain.from_iterable(found))
    values = [math.nan if distance is None else distance for distance, _ in results]
    return torch.tensor(values, dtype=torch.float64), [reason for _, reason in results]


def _distances(tolerances: Tolerances, pairs: Sequence[Pair]) -> list[tuple[float | None, str]]:
    matcher = tolerances.matcher()
    results: list[tuple[float | None, str]] = []
    for pair in pairs:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = matcher.get_rms_dist(to_structure(pair.made), to_structure(pair.target))
            results.append((None if found is None else float(found[0]), ""))
        except Exception as error:  # pymatgen and scipy raise all kinds of them
            results.append((None, failure_text(error)))
    return results


@dataclass(frozen=True)
class MatchRate:
    """Share of the targets that were matched.

    Attributes:
        match_rate: share of targets whose first structure matches.
        match_rate_any: share of targets that one of their structures matches.
        rmse: mean distance of the first structures that match; NaN if none does.
        rmse_best: mean over the targets that any matches of their smallest distance.
        match_rate_valid: ``match_rate`` with structures that are not valid unmatched: the published figure.
        n_targets: all of them, also such as have no structure.
        n_failed: comparisons that failed; they count as no match.
    """

    match_rate: float
    match_rate_any: float
    rmse: float
    rmse_best: float
    match_rate_valid: float
    n_targets: int
    n_failed: int


def match_rate(
    distance: Tensor, target: Tensor, valid: Tensor, n_targets: int, n_failed: int = 0
) -> MatchRate:
    """Rates over targets.

    Args:
        distance: (n,) float64, of each structure to its target; NaN without a match.
        target: (n,) int64, the target of each structure; a target's structures are in the order of the tries.
        valid: (n,) bool, structure and composition valid.
        n_targets: number of targets.
        n_failed: comparisons that failed.

    Raises:
        DataError: no targets, or a structure of none of them.
    """
    if n_targets < 1 or bool(((target < 0) | (target >= n_targets)).any()):
        raise DataError(f"structures belong to targets 0 to {n_targets - 1}; give each the row of its target")
    first = torch.full((n_targets,), len(target), dtype=torch.int64)
    first.scatter_reduce_(0, target, torch.arange(len(target)), "amin")
    first = first[first < len(target)]
    best = torch.full((n_targets,), torch.inf, dtype=torch.float64)
    best.scatter_reduce_(0, target, distance.double().nan_to_num(nan=torch.inf), "amin")
    of_first = distance[first]
    return MatchRate(
        match_rate=int(of_first.isfinite().sum()) / n_targets,
        match_rate_any=int(best.isfinite().sum()) / n_targets,
        rmse=float(of_first.nanmean()),
        rmse_best=float(best[best.isfinite()].mean()),
        match_rate_valid=int((of_first.isfinite() & valid[first]).sum()) / n_targets,
        n_targets=n_targets,
        n_failed=n_failed,
    )


def is_comparable(structure: Structure, matcher: StructureMatcher) -> bool:
    """Whether a structure can be compared at all, even to itself."""
    try:
        matcher.fit(structure, structure)
    except Exception:  # pymatgen and scipy raise all kinds of them
        return False
    return True


def to_structure(crystal: Crystal) -> Structure:
    """As pymatgen has it.

    Raises:
        ValueError: the cell has no volume, or is so long and thin that a comparison would not end.
    """
    from pymatgen.core import Structure

    cell, numbers, points = crystal
    longest, volume = float(np.linalg.norm(cell, axis=1).max()), abs(float(np.linalg.det(cell)))
    # the matcher lists the lattice points of one cell within the longest vector of the other
    if not 0.0 < longest**3 <= _LONGEST * volume:
        raise ValueError("a flat cell, or one too long and thin to be compared")
    return Structure(cell, numbers.tolist(), points)


def failure_text(error: BaseException) -> str:
    """An error in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
