"""Uniqueness: which structures of a set are the first of their kind, by pymatgen's StructureMatcher.

Source: C. Zeni et al., "A generative model for inorganic materials design", Nature 639, 624, 2025, section on metrics.
Structures of different reduced formulas never match, so only those of one formula are compared.
"""

from __future__ import annotations

import functools
import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gflownet_crystal.evaluation.matching import Tolerances, is_comparable, to_structure
from gflownet_crystal.evaluation.parallel import Crystal, Work, run_all

if TYPE_CHECKING:
    from pymatgen.analysis.structure_matcher import StructureMatcher
    from pymatgen.core import Structure

FAILED = -1
"""In place of a row: the structure could not be compared."""


def first_match(
    crystals: Sequence[Crystal], formulas: Sequence[str], tolerances: Tolerances, work: Work
) -> Tensor:
    """The first structure that each one is like.

    A structure is compared to the first of each kind so far, as likeness within tolerances is not transitive.

    Args:
        crystals: n structures.
        formulas: n reduced formulas.
        tolerances: tolerances of the match.
        work: settings of the execution.

    Returns:
        (n,) int64 rows; a row's own number where it is the first of its kind, ``FAILED`` where a comparison failed.

    Raises:
        KeyboardInterrupt: a stop was asked for.
    """
    groups = list(rows_by_formula(formulas).values())
    result = torch.arange(len(crystals))
    tasks = [[crystals[row] for row in rows] for rows in groups]
    found = run_all(functools.partial(_matches, tolerances), tasks, work, "comparing formulas")
    for group, matched in zip(groups, found, strict=True):
        rows, local = torch.tensor(group), torch.tensor(matched)
        result[rows] = torch.where(local == FAILED, FAILED, rows[local.clamp(min=0)])
    return result


def unique(matched: Tensor) -> Tensor:
    """Structures that are the first of their kind, (n,) bool, of the rows that :func:`first_match` gives."""
    return matched == torch.arange(len(matched))


def rows_by_formula(formulas: Sequence[str]) -> dict[str, list[int]]:
    """Rows of each formula, in order."""
    groups: defaultdict[str, list[int]] = defaultdict(list)
    for row, formula in enumerate(formulas):
        groups[formula].append(row)
    return dict(groups)


def _matches(tolerances: Tolerances, crystals: Sequence[Crystal]) -> list[int]:
    """Index of the first structure that each one matches, among structures of one formula."""
    matcher = tolerances.matcher()
    kinds: dict[int, Structure] = {}
    result: list[int] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for place, crystal in enumerate(crystals):
            try:
                structure = to_structure(crystal)
                # once, not in each comparison; alone there is none, which could fail
                structure = _reduced(structure) if len(crystals) > 1 else structure
            except Exception:  # pymatgen raises all kinds of them
                result.append(FAILED)
                continue
            found, broken = _find(structure, kinds, matcher)
            for kind in broken:
                result[kind] = FAILED
                del kinds[kind]
            result.append(place if found is None else found)
            if found is None:
                kinds[place] = structure
    return result


def _reduced(structure: Structure) -> Structure:
    """The primitive cell, reduced, as the matcher itself would make it."""
    return structure.get_reduced_structure(reduction_algo="niggli").get_primitive_structure()


def _find(
    structure: Structure, kinds: Mapping[int, Structure], matcher: StructureMatcher
) -> tuple[int | None, list[int]]:
    """The first kind that a structure is like, ``FAILED`` if it is at fault itself, and the kinds that are."""
    broken: list[int] = []
    for kind, known in kinds.items():
        try:
            if matcher.fit(known, structure, skip_structure_reduction=True):
                return kind, broken
        except Exception:  # pymatgen and scipy raise all kinds of them
            if not is_comparable(structure, matcher):
                return FAILED, broken
            if not is_comparable(known, matcher):
                broken.append(kind)
    return None, broken
