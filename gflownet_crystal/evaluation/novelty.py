"""Novelty: which structures are none of a reference set, by pymatgen's StructureMatcher.

Source: C. Zeni et al., Nature 639, 624, 2025, section on metrics. Only reference structures of the same reduced
formula are compared, as no others can match.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gflownet_crystal.evaluation.matching import Tolerances, is_comparable, to_structure
from gflownet_crystal.evaluation.parallel import Crystal, Work, run_all
from gflownet_crystal.evaluation.uniqueness import FAILED, rows_by_formula

if TYPE_CHECKING:
    from pymatgen.analysis.structure_matcher import StructureMatcher

NOVEL = -2
"""In place of a reference row: the structure is like none."""

_AT_ONCE = 16


def first_known(
    crystals: Sequence[Crystal],
    formulas: Sequence[str],
    reference: Sequence[Crystal],
    reference_formulas: Sequence[str],
    tolerances: Tolerances,
    work: Work,
) -> Tensor:
    """The first reference structure that each structure is like.

    Args:
        crystals: n structures.
        formulas: n reduced formulas.
        reference: m structures.
        reference_formulas: m reduced formulas.
        tolerances: tolerances of the match.
        work: settings of the execution.

    Returns:
        (n,) int64 rows of the reference; ``NOVEL`` where it has no such structure, ``FAILED`` where it cannot be
        compared at all.

    Raises:
        KeyboardInterrupt: a stop was asked for.
    """
    known = rows_by_formula(reference_formulas)
    candidates = [known.get(formula, []) for formula in formulas]
    pairs = [
        (crystal, [reference[row] for row in rows])
        for crystal, rows in zip(crystals, candidates, strict=True)
    ]
    tasks = [pairs[start : start + _AT_ONCE] for start in range(0, len(pairs), _AT_ONCE)]
    found = run_all(functools.partial(_first, tolerances), tasks, work, "comparing to the reference")
    places = zip(candidates, chain.from_iterable(found), strict=True)
    return torch.tensor([index if index < 0 else rows[index] for rows, index in places], dtype=torch.int64)


def _first(tolerances: Tolerances, tasks: Sequence[tuple[Crystal, list[Crystal]]]) -> list[int]:
    matcher = tolerances.matcher()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [_first_of(crystal, candidates, matcher) for crystal, candidates in tasks]


def _first_of(crystal: Crystal, candidates: Sequence[Crystal], matcher: StructureMatcher) -> int:
    """The first candidate that a structure is like."""
    try:
        structure = to_structure(crystal)
    except ValueError:
        return FAILED
    for index, candidate in enumerate(candidates):
        try:
            if matcher.fit(structure, to_structure(candidate)):
                return index
        except Exception:  # pymatgen and scipy raise all kinds of them
            if not is_comparable(structure, matcher):
                return FAILED
    return NOVEL
