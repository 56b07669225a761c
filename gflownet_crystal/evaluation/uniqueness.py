"""Uniqueness: which structures of a set are the first of their kind, by pymatgen's StructureMatcher.

Source: C. Zeni et al., "A generative model for inorganic materials design", Nature 639, 624, 2025, section on metrics.
Structures of different reduced formulas never match, so only those of one formula are compared.
"""

from __future__ import annotations

import functools
import warnings
from collections import defaultdict
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gflownet_crystal.evaluation.matching import Tolerances, is_comparable, to_structure
from gflownet_crystal.evaluation.parallel import Crystal, Work, run_all

if TYPE_CHECKING:
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
    kinds = Kinds(tolerances)
    matched = [kinds.add(place, crystal) for place, crystal in enumerate(crystals)]
    return [FAILED if place in kinds.broken else match for place, match in enumerate(matched)]


class Kinds:
    """Kinds of structures of one formula, which may grow in number.

    Args:
        tolerances: tolerances of the match.

    Attributes:
        broken: places of structures that looked like the first of a kind, and then could not be compared.
    """

    def __init__(self, tolerances: Tolerances) -> None:
        self._matcher = tolerances.matcher()
        self._alone: tuple[int, Crystal] | None = None
        # as arrays, which take a fraction of the memory of pymatgen's objects
        self._known: dict[int, Crystal] = {}
        self.broken: set[int] = set()

    def add(self, place: int, crystal: Crystal) -> int:
        """Compare a structure to the first of each kind; it is the first of a new one if it is like none.

        Args:
            place: number of the structure.
            crystal: structure.

        Returns:
            Place of the first structure of its kind, ``FAILED`` if it cannot be compared.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                structure = to_structure(crystal)
                if self._alone is None and not self._known:
                    # alone there is no comparison, which could fail
                    self._alone = place, crystal
                    return place
                structure = _reduced(structure)
            except Exception:  # pymatgen raises all kinds of them
                return FAILED
            self._take_in_first()
            found = self._find(structure)
        if found is None:
            self._known[place] = _arrays(structure)
        return place if found is None else found

    def _take_in_first(self) -> None:
        """Make the first structure one of the kinds."""
        if self._alone is None:
            return
        (place, crystal), self._alone = self._alone, None
        try:
            self._known[place] = _arrays(_reduced(to_structure(crystal)))
        except Exception:  # pymatgen raises all kinds of them
            self.broken.add(place)

    def _find(self, structure: Structure) -> int | None:
        """The first kind that a structure is like, None for none, ``FAILED`` if it is at fault itself."""
        for kind, arrays in list(self._known.items()):
            if len(arrays[1]) != len(structure):
                # primitive cells of different sizes never match
                continue
            known = _of_arrays(arrays)
            try:
                if self._matcher.fit(known, structure, skip_structure_reduction=True):
                    return kind
            except Exception:  # pymatgen and scipy raise all kinds of them
                if not is_comparable(structure, self._matcher):
                    return FAILED
                if not is_comparable(known, self._matcher):
                    self.broken.add(kind)
                    del self._known[kind]
        return None


class Repeats:
    """Structures of any formulas, of which those that repeat an earlier one are told.

    Args:
        tolerances: tolerances of the match.
    """

    def __init__(self, tolerances: Tolerances) -> None:
        self._kinds: defaultdict[Hashable, Kinds] = defaultdict(functools.partial(Kinds, tolerances))
        self._n = 0

    def add(self, crystals: Sequence[Crystal], formulas: Sequence[Hashable]) -> NDArray[np.bool_]:
        """Which of further structures repeat an earlier one, (n,); those that cannot be compared do not.

        Args:
            crystals: n structures.
            formulas: reduced formula of each.
        """
        places = range(self._n, self._n + len(crystals))
        self._n += len(crystals)
        matched = [
            self._kinds[formula].add(place, crystal)
            for place, crystal, formula in zip(places, crystals, formulas, strict=True)
        ]
        return np.array(
            [match not in (place, FAILED) for place, match in zip(places, matched, strict=True)], dtype=bool
        )


def _reduced(structure: Structure) -> Structure:
    """The primitive cell, reduced, as the matcher itself would make it."""
    return structure.get_reduced_structure(reduction_algo="niggli").get_primitive_structure()


def _arrays(structure: Structure) -> Crystal:
    return structure.lattice.matrix, np.array(structure.atomic_numbers), structure.frac_coords


def _of_arrays(crystal: Crystal) -> Structure:
    from pymatgen.core import Structure

    cell, numbers, points = crystal
    return Structure(cell, numbers.tolist(), points)
