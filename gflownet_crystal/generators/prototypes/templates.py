"""Crystals without elements: space group, shape of the cell and orbits by slot, to be filled with elements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import torch
from torch import Tensor

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.crystallography.lattice import (
    FREE_PARAMETERS,
    complete_parameters,
    parameters_to_matrix,
)
from gflownet_crystal.crystallography.site_projectors import site_flats
from gflownet_crystal.crystallography.space_groups import lattice_system_of_group
from gflownet_crystal.crystallography.wyckoff import wyckoff_table
from gflownet_crystal.structures.elements import N_ATOMIC_NUMBERS
from gflownet_crystal.structures.occupied_positions import OccupiedPositions, positions_of_groups
from gflownet_crystal.structures.structure import StructureBatch

STEPS = 240
"""Steps of a stored coordinate: halves, thirds, quarters, fifths and eighths are exact."""

MOST_SLOTS = 8
"""Largest number of elements of a template in a file."""

# of the 256 values of a byte, those for positions: the smallest power of 2 above their largest number, 27
_PLACES = 32


@dataclass(frozen=True, eq=False)
class Templates:
    """t templates; their slots, one an element, stand by rising count.

    Attributes:
        space_group: (t,) int64 ITA numbers.
        lattice: (t, 6) float64, conventional cell: lengths in units of the cube root of the reference volume of the
            elements, and angles in degrees.
        orbits: orbits of each template; ``atomic_number`` has the slot, from 0.
    """

    space_group: Tensor
    lattice: Tensor
    orbits: OccupiedPositions

    def __len__(self) -> int:
        """Number of templates."""
        return len(self.space_group)

    @classmethod
    def cat(cls, parts: Sequence[Templates]) -> Self:
        """The templates of all parts, one after the other."""
        sizes = [len(part) for part in parts]
        columns = zip(*(vars(part.orbits).values() for part in parts), strict=True)
        found, structure, position, slot, parameters = (torch.cat(column) for column in columns)
        first = torch.tensor([0, *sizes[:-1]]).cumsum(0)
        owners = torch.tensor([len(part.orbits.structure) for part in parts])
        structure = structure + first.repeat_interleave(owners)
        return cls(
            torch.cat([part.space_group for part in parts]),
            torch.cat([part.lattice for part in parts]),
            OccupiedPositions(found, structure, position, slot, parameters),
        )

    @cached_property
    def counts(self) -> Tensor:
        """(t, s) int64 atoms of each slot in the conventional cell; 0 for slots that a template does not have."""
        multiplicity = torch.from_numpy(wyckoff_table().multiplicity.astype("int64"))
        slots = int(self.orbits.atomic_number.max()) + 1
        counts = torch.zeros(len(self), slots, dtype=torch.int64)
        places = self.orbits.structure, self.orbits.atomic_number
        return counts.index_put_(places, multiplicity[self.orbits.position], accumulate=True)

    def occupied(self, rows: Tensor, elements: Tensor) -> OccupiedPositions:
        """The orbits of templates (m,), with elements (m, s) in their slots."""
        orbits = self.orbits.take(rows)
        return replace(orbits, atomic_number=elements[orbits.structure, orbits.atomic_number])

    def structures(self, rows: Tensor, elements: Tensor, volume: Tensor) -> StructureBatch:
        """Crystals of some templates.

        Args:
            rows: (m,) int64 templates.
            elements: (m, s) int64, atomic number of each slot.
            volume: (m,) float64, reference volumes of the elements in the conventional cells, Å^3.
        """
        cell = parameters_to_matrix(self.lattice[rows, :3], self.lattice[rows, 3:])
        cell = cell * volume[:, None, None] ** (1.0 / 3.0)
        return self.occupied(rows, elements).structures(cell, self.space_group[rows])

    def compositions(self, rows: Tensor, elements: Tensor) -> Tensor:
        """(m, 119) int64 counts by atomic number of templates (m,) with elements (m, s) in their slots."""
        composition = torch.zeros(len(rows), N_ATOMIC_NUMBERS, dtype=torch.int64)
        return composition.scatter_add_(1, elements, self.counts[rows])

    def tensors(self) -> dict[str, Tensor]:
        """The templates as small whole numbers and half-precision cells, for a weights file.

        Raises:
            DataError: templates of more elements than a byte keeps beside the position.
        """
        if self.counts.shape[1] > MOST_SLOTS:
            raise DataError(f"a template has more than {MOST_SLOTS} elements; leave such crystals out")
        orbits, system = self.orbits, lattice_system_of_group[self.space_group]
        first, _ = positions_of_groups()
        place = orbits.position - first[self.space_group[orbits.structure]]
        coordinates = (orbits.parameters * STEPS).round().long() % STEPS
        return {
            "space_group": self.space_group.to(torch.uint8),
            "orbits": torch.bincount(orbits.structure, minlength=len(self)).to(torch.uint8),
            "sites": (orbits.atomic_number * _PLACES + place).to(torch.uint8),
            "coordinates": coordinates[_read(orbits.position)].to(torch.uint8),
            "lattice": self.lattice[FREE_PARAMETERS[system]].half(),
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Templates:
        """The templates of :meth:`tensors`."""
        group = tensors["space_group"].long()
        owner = torch.arange(len(group)).repeat_interleave(tensors["orbits"].long())
        slot, place = tensors["sites"].long() // _PLACES, tensors["sites"].long() % _PLACES
        position = place + positions_of_groups()[0][group[owner]]
        parameters = torch.zeros(len(owner), 3, dtype=torch.float64)
        parameters[_read(position)] = tensors["coordinates"].double() / STEPS
        system = lattice_system_of_group[group]
        free = FREE_PARAMETERS[system]
        lattice = torch.zeros(len(group), 6, dtype=torch.float64)
        lattice[free] = tensors["lattice"].double()
        lattice = complete_parameters(system, lattice)
        found = torch.ones(len(group), dtype=torch.bool)
        orbits = OccupiedPositions(found, owner, position, slot, parameters)
        return cls(group, lattice, orbits)


def _read(position: Tensor) -> Tensor:
    """(O, 3) bool: free parameters that positions, rows of the Wyckoff table, read."""
    multiplicity = torch.from_numpy(wyckoff_table().multiplicity.astype("int64"))
    first = (multiplicity.cumsum(0) - multiplicity)[position]
    return site_flats().rotation[first].any(dim=1)
