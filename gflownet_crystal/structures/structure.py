"""A batch of crystal structures: cells and the atoms in them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from gflownet_crystal.common.batch import check_tensors
from gflownet_crystal.common.moving import CopiedToDevice
from gflownet_crystal.crystallography import lattice
from gflownet_crystal.structures.elements import N_ATOMIC_NUMBERS
from gflownet_crystal.structures.spec import CrystalSpec


@dataclass(frozen=True)
class StructureBatch(CopiedToDevice):
    """n structures with N atoms in all; those of a structure stand together, in the order of the structures.

    Attributes:
        cell: (n, 3, 3) float64, lattice vectors as rows, Å.
        atomic_numbers: (N,) int64.
        fractional: (N, 3) float64; Cartesian = fractional @ cell.
        structure_index: (N,) int64, the structure of each atom, not decreasing.
        space_group: (n,) int64, 1 to 230 where the cell is in its ITA setting, 0 where none is claimed.
    """

    cell: Tensor
    atomic_numbers: Tensor
    fractional: Tensor
    structure_index: Tensor
    space_group: Tensor

    def __post_init__(self) -> None:
        """Check shapes and dtypes.

        Raises:
            DataError: a field has another shape or dtype than the class declares.
        """
        n, n_atoms = self.cell.shape[0], self.atomic_numbers.shape[0]
        expected = {
            "cell": ((n, 3, 3), torch.float64),
            "atomic_numbers": ((n_atoms,), torch.int64),
            "fractional": ((n_atoms, 3), torch.float64),
            "structure_index": ((n_atoms,), torch.int64),
            "space_group": ((n,), torch.int64),
        }
        check_tensors(self, "structure", expected)

    def __len__(self) -> int:
        return int(self.cell.shape[0])

    def __getitem__(self, rows: Tensor | slice) -> Self:
        """Structures selected by an index tensor, a boolean mask or a slice, in that order."""
        chosen = torch.arange(len(self), device=self.device)[rows]
        sizes = self.n_atoms[chosen]
        starts = (self.n_atoms.cumsum(0) - self.n_atoms)[chosen]
        index = torch.repeat_interleave(torch.arange(len(chosen), device=self.device), sizes)
        within = torch.arange(len(index), device=self.device) - (sizes.cumsum(0) - sizes)[index]
        atoms = starts[index] + within
        return type(self)(
            self.cell[chosen],
            self.atomic_numbers[atoms],
            self.fractional[atoms],
            index,
            self.space_group[chosen],
        )

    @classmethod
    def none(cls, device: torch.device | str = "cpu") -> Self:
        """A batch of no structures."""
        empty = torch.zeros(0, dtype=torch.int64, device=device)
        cell = torch.zeros(0, 3, 3, dtype=torch.float64, device=device)
        return cls(cell, empty, cell[:, 0], empty, empty)

    @classmethod
    def cat(cls, batches: Sequence[Self]) -> Self:
        """The structures of ``batches`` one after the other."""
        offsets = [0]
        for batch in batches:
            offsets.append(offsets[-1] + len(batch))
        shifted = [batch.structure_index + offset for batch, offset in zip(batches, offsets, strict=False)]
        return cls(
            torch.cat([batch.cell for batch in batches]),
            torch.cat([batch.atomic_numbers for batch in batches]),
            torch.cat([batch.fractional for batch in batches]),
            torch.cat(shifted),
            torch.cat([batch.space_group for batch in batches]),
        )

    @property
    def device(self) -> torch.device:
        """Device of all fields."""
        return self.cell.device

    def right_handed(self) -> Self:
        """The same atoms in right-handed cells; left-handed vectors and coordinates in them change their signs."""
        sign = torch.where(self.cell.det() < 0, -1.0, 1.0)
        return type(self)(
            self.cell * sign[:, None, None],
            self.atomic_numbers,
            self.fractional * sign[self.structure_index, None],
            self.structure_index,
            self.space_group,
        )

    @property
    def n_atoms(self) -> Tensor:
        """Atoms of each structure, (n,) int64."""
        return torch.bincount(self.structure_index, minlength=len(self))

    @property
    def volume(self) -> Tensor:
        """Cell volumes in Å^3, (n,) float64."""
        return self.cell.det().abs()

    @property
    def composition(self) -> Tensor:
        """Counts by atomic number, (n, 119) int64."""
        flat = torch.bincount(
            self.structure_index * N_ATOMIC_NUMBERS + self.atomic_numbers,
            minlength=len(self) * N_ATOMIC_NUMBERS,
        )
        return flat.reshape(len(self), N_ATOMIC_NUMBERS)

    def digest(self) -> str:
        """A text that changes if a cell or an atom does; claimed groups do not count."""
        digest = hashlib.sha256()
        for tensor in (self.n_atoms, self.cell, self.atomic_numbers, self.fractional):
            digest.update(tensor.cpu().numpy().tobytes())
        return digest.hexdigest()

    def specs(self) -> CrystalSpec:
        """Group, composition and lattice parameters of cells that are in the ITA setting of their group."""
        lengths, angles = lattice.matrix_to_parameters(self.cell)
        return CrystalSpec(self.space_group, self.composition, lengths, angles)
