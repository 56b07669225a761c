"""A batch of crystal specs: space group, composition and lattice parameters, without atoms."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gflownet_crystal.common.batch import TensorBatch, check_tensors
from gflownet_crystal.crystallography import lattice
from gflownet_crystal.crystallography.cells import lattice_points
from gflownet_crystal.structures.elements import N_ATOMIC_NUMBERS
from gflownet_crystal.structures.formulas import composition_to_text, reduce_composition

MOST_POSITIONS = 27
"""Largest number of Wyckoff positions of a space group."""

_NONE_GIVEN = torch.zeros(0, N_ATOMIC_NUMBERS, 0, dtype=torch.uint8)


@dataclass(frozen=True)
class CrystalSpec(TensorBatch):
    """n specs, each of the conventional cell in the ITA standard setting.

    That is origin choice 2, hexagonal axes for rhombohedral groups and unique axis b for monoclinic ones.

    Attributes:
        space_group: (n,) int64, 1 to 230.
        composition: (n, 119) int64, atoms in the conventional cell by atomic number; column 0 is zero.
        lengths: (n, 3) float64, a, b, c in Å.
        angles: (n, 3) float64, alpha, beta, gamma in degrees.
        sites: (n, 119, 27) uint8, number of orbits of each element on each Wyckoff position of the group, general
            position first, where generators are told; rows of zeros where they are not, (n, 119, 0) for none at all.
    """

    space_group: Tensor
    composition: Tensor
    lengths: Tensor
    angles: Tensor
    sites: Tensor = _NONE_GIVEN

    def __post_init__(self) -> None:
        """Check shapes and dtypes.

        Raises:
            DataError: a field has another shape or dtype than the class declares.
        """
        n = self.space_group.shape[0]
        if self.sites is _NONE_GIVEN:
            object.__setattr__(
                self, "sites", _NONE_GIVEN.new_zeros(n, N_ATOMIC_NUMBERS, 0, device=self.space_group.device)
            )
        expected = {
            "space_group": ((n,), torch.int64),
            "composition": ((n, N_ATOMIC_NUMBERS), torch.int64),
            "lengths": ((n, 3), torch.float64),
            "angles": ((n, 3), torch.float64),
            "sites": ((n, N_ATOMIC_NUMBERS, MOST_POSITIONS if self.sites.shape[-1] else 0), torch.uint8),
        }
        check_tensors(self, "spec field", expected)

    @property
    def n_atoms(self) -> Tensor:
        """Atoms in the conventional cell, (n,) int64."""
        return self.composition.sum(1)

    @property
    def n_primitive_atoms(self) -> Tensor:
        """Atoms in the primitive cell, (n,) int64."""
        return self.n_atoms // lattice_points(self.space_group)

    @property
    def volume(self) -> Tensor:
        """Volume of the conventional cell in Å^3, (n,) float64; NaN where the angles close no cell."""
        return lattice.volume(self.lengths, self.angles)

    @property
    def volume_per_atom(self) -> Tensor:
        """Volume per atom in Å^3, (n,) float64."""
        return self.volume / self.n_atoms

    @property
    def fractions(self) -> Tensor:
        """Share of each element by atomic number, (n, 119) float64, rows summing to one."""
        return self.composition / self.n_atoms[:, None].to(self.lengths.dtype)

    @property
    def reduced_composition(self) -> Tensor:
        """Counts divided by their greatest common divisor, (n, 119) int64."""
        return reduce_composition(self.composition)

    def formulas(self) -> list[str]:
        """Counts of the conventional cell in order of electronegativity, such as ``"Na4 Cl4"``."""
        return composition_to_text(self.composition)

    def reduced_formulas(self) -> list[str]:
        """Smallest whole-number formulas in order of electronegativity, such as ``"NaCl"``."""
        return composition_to_text(self.reduced_composition, separator="", write_one=False)
