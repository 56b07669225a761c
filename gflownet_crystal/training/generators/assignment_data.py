"""Crystals as specs and the Wyckoff positions that their atoms occupy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.structures.occupied_positions import OccupiedPositions, occupied_positions
from gflownet_crystal.structures.spec import CrystalSpec
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.structures.symmetry import SYMPREC, conventional_structures, find_space_groups
from gflownet_crystal.training.energies.labelled import Splits

_CHUNK = 2000


@dataclass(frozen=True)
class OccupiedSpecs:
    """n specs of crystals, and the orbits of each.

    Attributes:
        specs: n specs of conventional cells.
        occupied: their orbits, all found.
    """

    specs: CrystalSpec
    occupied: OccupiedPositions

    def __len__(self) -> int:
        return len(self.specs)

    @classmethod
    def of(cls, structures: StructureBatch, symprec: float = SYMPREC) -> tuple[OccupiedSpecs, Tensor]:
        """Find the symmetry of crystals; about 1 ms each.

        Args:
            structures: n crystals, in any cell.
            symprec: distance tolerance, Å.

        Returns:
            The specs of those whose symmetry is found and holds, and their rows, (m,) int64, rising.

        Raises:
            DataError: there are none.
        """
        parts, kept = [], []
        for rows in torch.arange(len(structures)).split(_CHUNK):
            rows = rows[find_space_groups(structures[rows], symprec) > 0]
            if len(rows):
                conventional = conventional_structures(structures[rows], symprec)
                parts.append(cls(conventional.specs(), occupied_positions(conventional)))
                kept.append(rows)
        if not parts:
            raise DataError(
                f"none of {len(structures)} structures has a symmetry that is found at {symprec} Å"
            )
        every = cls.cat(parts)
        found = every.occupied.found
        return every.take(found.nonzero()[:, 0]), torch.cat(kept)[found]

    @classmethod
    def cat(cls, parts: Sequence[OccupiedSpecs]) -> OccupiedSpecs:
        """The crystals of all parts, one after the other."""
        offsets = np.cumsum([0, *(len(part) for part in parts)])
        structure = [
            part.occupied.structure + int(offset) for part, offset in zip(parts, offsets, strict=False)
        ]

        def column(name: str) -> Tensor:
            return torch.cat([getattr(part.occupied, name) for part in parts])

        occupied = OccupiedPositions(
            column("found"),
            torch.cat(structure),
            column("position"),
            column("atomic_number"),
            column("parameters"),
        )
        return cls(CrystalSpec.cat([part.specs for part in parts]), occupied)

    def take(self, rows: Tensor) -> OccupiedSpecs:
        """The crystals of an index, (m,) int64."""
        return OccupiedSpecs(self.specs[rows], self.occupied.take(rows))


@dataclass(frozen=True)
class OccupiedSplits:
    """Crystals to learn from and to validate on, which share no reduced formula.

    Attributes:
        train: training data.
        formula: (n,) reduced formulas of those.
        validation: MP-20's val, or the held-out formulas where there is none.
    """

    train: OccupiedSpecs
    formula: NDArray[np.str_]
    validation: OccupiedSpecs

    @classmethod
    def of(cls, splits: Splits) -> OccupiedSplits:
        """Find the positions of the atoms of crystals; energies are not looked at.

        Raises:
            DataError: nothing is left to learn from or to validate on.
        """
        train, rows = OccupiedSpecs.of(splits.train.structures)
        validation, _ = OccupiedSpecs.of(splits.validation.structures)
        return cls(train, splits.train.formula[rows.numpy()], validation)
