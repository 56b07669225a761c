"""Structures from and to pymatgen and ASE; both are imported only when used."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.structures.elements import SYMBOLS
from gflownet_crystal.structures.structure import StructureBatch

if TYPE_CHECKING:
    import ase
    from pymatgen.core.structure import Structure


def from_arrays(
    cells: Sequence[ArrayLike] | NDArray[np.float64],
    atomic_numbers: Sequence[ArrayLike],
    fractional: Sequence[ArrayLike],
    space_group: Sequence[int] | None = None,
) -> StructureBatch:
    """A batch from one array of each kind a structure.

    Args:
        cells: n arrays (3, 3), lattice vectors as rows, Å.
        atomic_numbers: n arrays (m,).
        fractional: n arrays (m, 3).
        space_group: n numbers; zeros if not given.

    Raises:
        DataError: the arrays of a structure do not fit together.
    """
    sizes = [len(np.atleast_1d(np.asarray(numbers))) for numbers in atomic_numbers]
    for row, (size, points) in enumerate(zip(sizes, fractional, strict=True)):
        if np.asarray(points).size != 3 * size:
            raise DataError(
                f"structure {row}: {size} atoms need {3 * size} coordinates, not {np.asarray(points).size}"
            )
    n = len(sizes)
    if n == 0:
        raise DataError("no structures given: a batch needs at least one")
    return StructureBatch(
        torch.from_numpy(np.stack([np.asarray(cell, dtype=np.float64) for cell in cells])),
        torch.from_numpy(
            np.concatenate([np.atleast_1d(np.asarray(x, dtype=np.int64)) for x in atomic_numbers])
        ),
        torch.from_numpy(
            np.concatenate([np.asarray(x, dtype=np.float64).reshape(-1, 3) for x in fractional])
        ),
        torch.repeat_interleave(torch.arange(n), torch.tensor(sizes)),
        torch.tensor([0] * n if space_group is None else list(space_group), dtype=torch.int64),
    )


def iterate_arrays(
    structures: StructureBatch,
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]]:
    """Cell (3, 3), atomic numbers (m,) and fractional coordinates (m, 3) of each structure in turn."""
    ends = structures.n_atoms.cumsum(0).tolist()
    numbers, fractional = structures.atomic_numbers.cpu().numpy(), structures.fractional.cpu().numpy()
    for cell, (start, end) in zip(structures.cell.cpu().numpy(), pairwise([0, *ends]), strict=True):
        yield cell, numbers[start:end], fractional[start:end]


def to_pymatgen(structures: StructureBatch) -> list[Structure]:
    """One pymatgen structure each, cell and atoms as they are."""
    from pymatgen.core.structure import Structure

    return [
        Structure(cell, [SYMBOLS[number] for number in numbers], points)
        for cell, numbers, points in iterate_arrays(structures)
    ]


def from_pymatgen(structures: Sequence[Structure]) -> StructureBatch:
    """A batch from ordered pymatgen structures; no space group is claimed.

    Raises:
        DataError: a structure has partly occupied sites, or none are given.
    """
    for row, structure in enumerate(structures):
        if not structure.is_ordered:
            raise DataError(
                f"structure {row} ({structure.formula}) has partly occupied sites: give ordered structures"
            )
    return from_arrays(
        [structure.lattice.matrix for structure in structures],
        [structure.atomic_numbers for structure in structures],
        [structure.frac_coords for structure in structures],
    )


def to_ase(structures: StructureBatch) -> list[ase.Atoms]:
    """One periodic ASE object each, cell and atoms as they are."""
    from ase import Atoms

    return [
        Atoms(numbers=numbers, scaled_positions=points, cell=cell, pbc=True)
        for cell, numbers, points in iterate_arrays(structures)
    ]


def from_ase(atoms: Sequence[ase.Atoms]) -> StructureBatch:
    """A batch from ASE objects with a full cell; no space group is claimed.

    Raises:
        DataError: an object has no three-dimensional cell, or none are given.
    """
    for row, item in enumerate(atoms):
        if not (np.isfinite(item.cell.array).all() and item.cell.volume > 0.0):
            raise DataError(f"structure {row} ({item.symbols}) has no cell: give periodic crystals")
    return from_arrays(
        [item.cell.array for item in atoms],
        [item.numbers for item in atoms],
        [item.cell.scaled_positions(item.positions) for item in atoms],
    )
