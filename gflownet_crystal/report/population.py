"""Sets of crystals that the report compares, and the shares that its figures show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gflownet_crystal.common.run_schema import FORMULA
from gflownet_crystal.crystallography.space_groups import N_SPACE_GROUPS
from gflownet_crystal.structures.elements import ATOMIC_NUMBERS
from gflownet_crystal.structures.formulas import text_to_composition

KINDS = ("untrained", "prior", "reference", "samples", "candidates")
"""Kinds of sets, in the order in which figures draw them."""


@dataclass(frozen=True)
class Population:
    """Crystals of one origin.

    Attributes:
        kind: one of :data:`KINDS`; decides the colour.
        label: in legends, with the number of crystals.
        frame: n rows with the columns of a spec file; ``energy`` is the run's property, NaN where unknown.
        composition: (n, 119) int64 counts of the conventional cell by atomic number.
    """

    kind: str
    label: str
    frame: pd.DataFrame
    composition: NDArray[np.int64]

    @classmethod
    def of(cls, kind: str, name: str, frame: pd.DataFrame) -> Self:
        """The crystals of a table.

        Args:
            kind: one of :data:`KINDS`.
            name: name of the population, without the number.
            frame: columns of a spec file.

        Raises:
            DataError: a formula is malformed.
        """
        composition = text_to_composition(frame[FORMULA].tolist()).numpy()
        return cls(kind, f"{len(frame):,} {name}", frame, composition)

    def made_of(self, elements: Sequence[str], name: str) -> Self:
        """The crystals that hold no other elements than these."""
        allowed = np.zeros(self.composition.shape[1], dtype=bool)
        allowed[[ATOMIC_NUMBERS[symbol] for symbol in elements]] = True
        kept = ~(self.composition[:, ~allowed] > 0).any(axis=1)
        return type(self)(self.kind, f"{int(kept.sum()):,} {name}", self.frame[kept], self.composition[kept])

    def __len__(self) -> int:
        return len(self.frame)


def atom_shares(composition: NDArray[np.int64]) -> NDArray[np.float64]:
    """Share of all atoms by element, (119,): each crystal counts with the atoms of its cell (the paper's figure 6)."""
    totals = composition.sum(axis=0)
    return totals / max(int(totals.sum()), 1)


def crystal_shares(composition: NDArray[np.int64]) -> NDArray[np.float64]:
    """Share of crystals that hold an element, (119,) (the paper's figure 7)."""
    return (composition > 0).sum(axis=0) / max(len(composition), 1)


def pair_shares(composition: NDArray[np.int64]) -> NDArray[np.float64]:
    """Share of crystals that hold both of two elements, (119, 119) (the paper's figure 8).

    The diagonal is the share of crystals that hold the element.
    """
    present = (composition > 0).astype(np.float64)
    shares: NDArray[np.float64] = present.T @ present / max(len(composition), 1)
    return shares


def group_shares(space_group: NDArray[np.int64]) -> NDArray[np.float64]:
    """Share of crystals in each space group, (231,) by number (the paper's figure 9)."""
    counts = np.bincount(space_group, minlength=N_SPACE_GROUPS + 1)
    return counts / max(len(space_group), 1)
