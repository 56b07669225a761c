"""Which Wyckoff positions the atoms of crystals occupy, with which free parameters."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gflownet_crystal.common.devices import on_device
from gflownet_crystal.common.errors import DataError
from gflownet_crystal.crystallography.site_projectors import site_flats
from gflownet_crystal.crystallography.wyckoff import group_operations, wyckoff_table
from gflownet_crystal.structures.convert import iterate_arrays
from gflownet_crystal.structures.periodic_pairs import expand
from gflownet_crystal.structures.structure import StructureBatch

TOLERANCE = 0.02
"""Å; symmetrised atoms are much nearer to where the operations take them, and different atoms much further."""

_CHUNK = 20_000


@dataclass(frozen=True)
class OccupiedPositions:
    """The orbits of n crystals, O in all; those of a crystal stand together, by element and position.

    Attributes:
        found: (n,) bool; a crystal whose atoms do not have the symmetry of its group has no orbits here.
        structure: (O,) int64, not decreasing, the crystal of each orbit.
        position: (O,) int64, row of :func:`~gflownet_crystal.crystallography.wyckoff.wyckoff_table`.
        atomic_number: (O,) int64.
        parameters: (O, 3) float64 in [0, 1), free parameters of each orbit; zero where the position reads none.
    """

    found: Tensor
    structure: Tensor
    position: Tensor
    atomic_number: Tensor
    parameters: Tensor

    def take(self, rows: Tensor) -> OccupiedPositions:
        """The orbits of some crystals, (m,) int64, in that order."""
        sizes = torch.bincount(self.structure, minlength=len(self.found))
        owner, orbit = expand((sizes.cumsum(0) - sizes)[rows], sizes[rows])
        columns = self.position, self.atomic_number, self.parameters
        return OccupiedPositions(self.found[rows], owner, *(column[orbit] for column in columns))

    def structures(self, cell: Tensor, space_group: Tensor) -> StructureBatch:
        """The crystals rebuilt, in the order of orbits.

        Args:
            cell: (n, 3, 3) float64, conventional lattice vectors as rows, Å.
            space_group: (n,) int64.

        Returns:
            n structures, without atoms where none were found.
        """
        start, multiplicity = (on_device(table, cell.device) for table in _starts())
        flats = on_device(site_flats(), cell.device)
        orbit, operation = expand(start[self.position], multiplicity[self.position])
        points = torch.einsum("aij,aj->ai", flats.rotation[operation], self.parameters[orbit])
        points = torch.remainder(points + flats.translation[operation], 1.0)
        points = points.where(points < 1.0, 0.0)
        return StructureBatch(cell, self.atomic_number[orbit], points, self.structure[orbit], space_group)


def occupied_positions(structures: StructureBatch, tolerance: float = TOLERANCE) -> OccupiedPositions:
    """Find the positions and free parameters of the orbits of crystals; about 0.2 ms each.

    Args:
        structures: n crystals in the ITA setting of their ``space_group``, symmetrised, as
            :func:`~gflownet_crystal.structures.symmetry.conventional_structures` makes them.
        tolerance: largest distance of atoms from their images under operations, Å.

    Raises:
        DataError: a structure claims no group.
    """
    groups = structures.space_group.tolist()
    if 0 in groups:
        raise DataError(f"structure {groups.index(0)} claims no space group: set space_group to 1 to 230")
    rows: list[int] = []
    sizes: list[int] = []
    first = 0
    for group, (cell, numbers, points) in zip(groups, iterate_arrays(structures), strict=True):
        for representative, n_atoms in _orbits(cell, numbers, points, group_operations(group), tolerance):
            rows.append(first + representative)
            sizes.append(n_atoms)
        first += len(numbers)
    row, size = (torch.tensor(values, dtype=torch.int64) for values in (rows, sizes))
    owner = structures.structure_index.cpu()[row]
    number = structures.atomic_numbers.cpu()[row]
    position, parameters = _locate(structures, row, owner, size, tolerance)
    found = torch.ones(len(structures), dtype=torch.bool)
    found[owner[position < 0]] = False
    order = torch.from_numpy(np.lexsort((position.numpy(), number.numpy(), owner.numpy())))
    kept = order[found[owner[order]]]
    return OccupiedPositions(found, owner[kept], position[kept], number[kept], parameters[kept])


def _orbits(
    cell: NDArray[np.float64],
    numbers: NDArray[np.int64],
    points: NDArray[np.float64],
    operations: NDArray[np.float64],
    tolerance: float,
) -> Iterator[tuple[int, int]]:
    """The first atom and the number of atoms of each orbit of a crystal."""
    left = np.ones(len(numbers), dtype=bool)
    for atom in range(len(numbers)):
        if not left[atom]:
            continue
        others = np.flatnonzero(left & (numbers == numbers[atom]))
        images = operations[:, :, :3] @ points[atom] + operations[:, :, 3]
        difference = points[others] - images[:, None]
        difference -= np.round(difference)
        squares = np.square(difference @ cell).sum(2)
        members = others[squares.min(0) < tolerance**2]
        left[members] = False
        left[atom] = False
        yield atom, len(members)


def _locate(
    structures: StructureBatch, row: Tensor, owner: Tensor, size: Tensor, tolerance: float
) -> tuple[Tensor, Tensor]:
    """Position, -1 if there is none, and parameters of orbits by one of their atoms and their size."""
    flats = site_flats()
    start, multiplicity = _starts()
    first, n_positions = positions_of_groups()
    group = structures.space_group.cpu()[owner]
    position = torch.full((len(row),), -1, dtype=torch.int64)
    parameters = torch.zeros(len(row), 3, dtype=torch.float64)
    for chunk in torch.arange(len(row)).split(_CHUNK):
        orbit, candidate = expand(first[group[chunk]], n_positions[group[chunk]])
        fitting = multiplicity[candidate] == size[chunk][orbit]
        orbit, candidate = chunk[orbit[fitting]], candidate[fitting]
        place, operation = expand(start[candidate], multiplicity[candidate])
        orbit, candidate = orbit[place], candidate[place]
        made, miss = flats.parameters(structures.fractional.cpu()[row[orbit]], operation)
        distance = torch.einsum("pi,pij->pj", miss, structures.cell.cpu()[owner[orbit]]).norm(dim=1)
        hits = (distance < tolerance).nonzero()[:, 0]
        # the first operation that fits, of several on the same flat
        hits = hits[torch.from_numpy(np.unique(orbit[hits].numpy(), return_index=True)[1])]
        position[orbit[hits]] = candidate[hits]
        parameters[orbit[hits]] = torch.remainder(made[hits], 1.0)
    return position, parameters.where(parameters < 1.0, 0.0)


def is_free(position: Tensor) -> Tensor:
    """Whether positions, rows of the Wyckoff table, have a free coordinate, bool of the same shape."""
    return torch.from_numpy(wyckoff_table().degrees_of_freedom.astype(np.int64))[position] > 0


@cache
def _starts() -> tuple[Tensor, Tensor]:
    """First operation and multiplicity of each position, (1731,) int64 each."""
    multiplicity = torch.from_numpy(wyckoff_table().multiplicity.astype(np.int64))
    return multiplicity.cumsum(0) - multiplicity, multiplicity


def positions_of_groups() -> tuple[Tensor, Tensor]:
    """First position and number of positions of each group, (231,) int64 each."""
    n_positions = torch.from_numpy(np.bincount(wyckoff_table().group, minlength=231))
    return n_positions.cumsum(0) - n_positions, n_positions
