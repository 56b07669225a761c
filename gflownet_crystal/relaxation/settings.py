"""Settings of a relaxation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from gflownet_crystal.common.annotations import CheckedFields
from gflownet_crystal.common.bounds import Bounds, Count, Positive, Whole

LARGEST_SYMPREC = 0.5
"""Å; beyond it a search for symmetry takes different atoms for one."""


@dataclass(frozen=True)
class RelaxationSettings(CheckedFields):
    """Settings of the relaxation of crystals.

    Attributes:
        cell: whether the cell moves too.
        symmetry: whether the space group that the crystal has at the start is kept.
        primitive: whether the smallest cell of the crystal is relaxed and the given one made of it again: the same in
            less time. Atoms equivalent by translation at the start stay equivalent.
        symprec: Å, tolerance of the symmetry search.
        fmax: eV/Å, largest force of a relaxed crystal; of the cell, the largest virial an atom in eV as well.
        steps: maximum number of steps.
        max_volume_change: relative change of the volume beyond which a relaxation fails.
        denoise: weights of a denoiser, whose pass is the start where it lowers the energy; None for no pass.
        batch: number of atoms that are relaxed at once at most, of as many crystals as have them.
    """

    cell: bool = True
    symmetry: bool = True
    primitive: bool = True
    symprec: Annotated[float, Bounds(above=0, most=LARGEST_SYMPREC)] = 0.01
    fmax: Positive = 0.05
    steps: Whole = 300
    max_volume_change: Positive = 0.5
    denoise: str | None = None
    batch: Count = 128

    def deciding(self) -> dict[str, object]:
        """The settings that decide the results; the size of a batch changes their last digits at most."""
        return {name: value for name, value in vars(self).items() if name != "batch"}
