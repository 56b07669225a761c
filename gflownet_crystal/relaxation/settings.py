"""Settings of a relaxation."""

from __future__ import annotations

from dataclasses import dataclass

from gflownet_crystal.common.annotations import fit_fields
from gflownet_crystal.common.errors import ConfigError

LARGEST_SYMPREC = 0.5
"""Å; beyond it a search for symmetry takes different atoms for one."""


@dataclass(frozen=True)
class RelaxationSettings:
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
    """

    cell: bool = True
    symmetry: bool = True
    primitive: bool = True
    symprec: float = 0.01
    fmax: float = 0.05
    steps: int = 300
    max_volume_change: float = 0.5
    denoise: str | None = None

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ConfigError: a value is of another type or out of range.
        """
        fit_fields(self)
        if self.steps < 0:
            raise ConfigError(f"steps must be a whole number of at least 0, not {self.steps!r}")
        for name in ("symprec", "fmax", "max_volume_change"):
            if not getattr(self, name) > 0.0:
                raise ConfigError(f"{name} must be a number above 0, not {getattr(self, name)!r}")
        # spglib crashes where the tolerance is about as large as the distances of atoms
        if self.symprec > LARGEST_SYMPREC:
            raise ConfigError(f"symprec must be at most {LARGEST_SYMPREC} Å, not {self.symprec!r}")
