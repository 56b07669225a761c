"""Novelty: which structures are none of a reference set, by pymatgen's StructureMatcher.

Source: C. Zeni et al., Nature 639, 624, 2025, section on metrics. Only reference structures of the same reduced
formula are compared, as no others can match.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Sequence
from itertools import chain

import torch
from torch import Tensor

from gflownet_crystal.evaluation.matching import Tolerances, is_comparable, to_structure
from gflownet_crystal.evaluation.parallel import Crystal, Work, run_all
from gflownet_crystal.evaluation.uniqueness import FAILED, rows_by_formula

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
        tolerances: of the match.
        work: how.

    Returns:
        (n,) int64 rows of the reference; ``NOVEL`` where it has no such structure, ``FAILED`` where it cannot be
        compared at all.

    Raises:
        KeyboardInterrupt: a stop was asked for.
    """
    known = rows_by_formula(reference_formulas)
    result = torch.full((len(crystals),), NOVEL, dtype=torch.int64)
    compared = [row for row, formula in enumerate(formulas) if formula in known]
    batches = [compared[start : start + _AT_ONCE] for start in range(0, len(compared), _AT_ONCE)]
    tasks = [
        [(crystals[row], [reference[other] for other in known[formulas[row]]]) for row in rows]
        for rows in batches
    ]
    found = run_all(functools.partial(_first, tolerances), tasks, work, "comparing to the reference")
    for row, index in zip(compared, chain.from_iterable(found), strict=True):
        result[row] = index if index < 0 else known[formulas[row]][index]
    return result


def _first(tolerances: Tolerances, tasks: Sequence[tuple[Crystal, list[Crystal]]]) -> list[int]:
    matcher = tolerances.matcher()
    result = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for crystal, candidates in tasks:
            structure = to_structure(crystal)
            found = NOVEL
            for index, candidate in enumerate(candidates):
                try:
                    alike = matcher.fit(structure, to_structure(candidate))
                except Exception:  # pymatgen and scipy raise all kinds of them
                    if not is_comparable(structure, matcher):
                        found = FAILED
                        break
                    continue
                if alike:
                    found = index
                    break
            result.append(found)
    return result
