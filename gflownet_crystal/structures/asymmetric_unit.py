"""Asymmetric units: one atom of each orbit of a crystal, exactly on its Wyckoff position."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor

from gflownet_crystal.crystallography import lattice
from gflownet_crystal.crystallography.space_groups import lattice_system_of_group, space_group_symbol
from gflownet_crystal.crystallography.wyckoff import DENOMINATOR, group_operations, wyckoff_table
from gflownet_crystal.structures.checks import CLOSEST
from gflownet_crystal.structures.convert import iterate_arrays
from gflownet_crystal.structures.distances import PeriodicLattice
from gflownet_crystal.structures.occupied_positions import OccupiedPositions, occupied_positions
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.structures.symmetry import cell_error

TOLERANCE = 1e-3
"""Å; a claimed group holds where its operations miss no atom and stretch no lattice vector by more than this."""

_NOT_CLAIMED = "no space group is claimed"


@dataclass(frozen=True)
class AsymmetricUnit:
    """The sites of a crystal, one of each orbit.

    Attributes:
        space_group: ITA number of the group that makes all atoms of the cell from the sites; 1 if all are listed.
        reason: why the claimed group is not used, so that all atoms are listed; empty if it is.
        lattice: (6,) float64, lengths in Å and angles in degrees, exactly of the group's lattice system.
        atomic_numbers: (s,) int64.
        letters: s Wyckoff letters.
        multiplicities: (s,) int64, atoms of each orbit in the conventional cell.
        operations: (s, 3, 4) float64, [rotation | translation] of the first coordinate triplet of each position.
        parameters: (s, 3) float64, its free parameters x, y, z.
    """

    space_group: int
    reason: str
    lattice: NDArray[np.float64]
    atomic_numbers: NDArray[np.int64]
    letters: tuple[str, ...]
    multiplicities: NDArray[np.int64]
    operations: NDArray[np.float64]
    parameters: NDArray[np.float64]

    def points(self, decimals: int) -> NDArray[np.float64]:
        """Fractional coordinates (s, 3) in [0, 1), which obey the relations of their position once rounded.

        Args:
            decimals: number of decimals to which the free parameters are rounded, so that 2x is twice the x shown.
        """
        rounded = np.round(self.parameters, decimals)
        points = np.einsum("sij,sj->si", self.operations[:, :, :3], rounded) + self.operations[:, :, 3]
        wrapped = np.round(np.mod(points, 1.0), decimals)
        return np.where(wrapped >= 1.0, 0.0, wrapped)


def asymmetric_units(structures: StructureBatch) -> list[AsymmetricUnit]:
    """Asymmetric units in the ITA standard setting; all atoms in P1 where the claimed group does not hold.

    A group does not hold where its operations do not map the atoms onto each other within ``TOLERANCE``, and is not
    used where atoms of one orbit are so near to each other that readers take them for one on a special position.

    Args:
        structures: n structures with right-handed lattice vectors, in the ITA setting of their ``space_group``.
    """
    structures = structures.to("cpu")
    claims = (structures.space_group > 1).nonzero()[:, 0]
    claiming = structures[claims]
    orbits = occupied_positions(claiming, TOLERANCE) if len(claims) else None
    units: dict[int, AsymmetricUnit] = {}
    if orbits is not None:
        rebuilt = iterate_arrays(orbits.structures(claiming.cell, claiming.space_group))
        rows = zip(claims.tolist(), iterate_arrays(claiming), rebuilt, strict=True)
        for place, (row, arrays, (_, numbers, points)) in enumerate(rows):
            group = int(claiming.space_group[place])
            sites = (orbits.structure == place).nonzero()[:, 0]
            reason = _fault(group, arrays, numbers, points, orbits, sites)
            units[row] = _all_atoms(*arrays, reason) if reason else _unit(group, arrays[0], orbits, sites)
    for row, (arrays, group) in enumerate(
        zip(iterate_arrays(structures), structures.space_group.tolist(), strict=True)
    ):
        if row not in units:
            units[row] = _all_atoms(*arrays, "" if group == 1 else _NOT_CLAIMED)
    return [units[row] for row in range(len(structures))]


def _fault(
    group: int,
    arrays: tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]],
    numbers: NDArray[np.int64],
    points: NDArray[np.float64],
    orbits: OccupiedPositions,
    sites: Tensor,
) -> str:
    """Why a claimed group does not hold; empty if it does.

    Args:
        group: claimed.
        arrays: cell, atomic numbers and fractional coordinates of the crystal.
        numbers: atomic numbers of the crystal made from its sites, orbit by orbit.
        points: its fractional coordinates.
        orbits: orbits of all crystals.
        sites: places of this crystal's among them.
    """
    cell = arrays[0]
    if cell_error(cell, group_operations(group)) > TOLERANCE or not _are_same(*arrays, numbers, points):
        return f"the atoms do not have the symmetry of {space_group_symbol(group)} within {TOLERANCE:g} Å"
    sizes = _multiplicities()[orbits.position[sites].numpy()]
    first = np.repeat(np.cumsum(sizes) - sizes, sizes)
    others = first != np.arange(len(first))
    difference = torch.from_numpy(points - points[first])[torch.from_numpy(others)]
    if len(difference) and PeriodicLattice.of(torch.from_numpy(cell)).distances(difference).min() < CLOSEST:
        return f"{space_group_symbol(group)} puts atoms of an orbit closer than {CLOSEST:g} Å to each other"
    return ""


def _are_same(
    cell: NDArray[np.float64],
    numbers: NDArray[np.int64],
    points: NDArray[np.float64],
    other_numbers: NDArray[np.int64],
    other_points: NDArray[np.float64],
) -> bool:
    """Whether each atom of one list is one of the other list, within ``TOLERANCE``."""
    if len(numbers) != len(other_numbers):
        return False
    wrapped, others = (np.mod(np.mod(values, 1.0), 1.0) for values in (points, other_points))
    _, nearest = cKDTree(wrapped, boxsize=1.0).query(others)
    if len(np.unique(nearest)) < len(numbers) or (numbers[nearest] != other_numbers).any():
        return False
    difference = others - wrapped[nearest]
    difference -= np.round(difference)
    return bool(np.linalg.norm(difference @ cell, axis=1).max() <= TOLERANCE)


def _unit(group: int, cell: NDArray[np.float64], orbits: OccupiedPositions, sites: Tensor) -> AsymmetricUnit:
    table = wyckoff_table()
    position = orbits.position[sites].numpy()
    multiplicity = _multiplicities()
    starts = np.cumsum(multiplicity) - multiplicity
    first = table.operations[starts[position]].astype(np.float64)
    return AsymmetricUnit(
        group,
        "",
        _lattice(cell, group),
        orbits.atomic_number[sites].numpy(),
        tuple(table.letter[position].tolist()),
        multiplicity[position],
        first / DENOMINATOR,
        orbits.parameters[sites].numpy(),
    )


def _all_atoms(
    cell: NDArray[np.float64], numbers: NDArray[np.int64], points: NDArray[np.float64], reason: str
) -> AsymmetricUnit:
    identity = np.repeat(np.eye(3, 4)[None], len(numbers), axis=0)
    ones = np.ones(len(numbers), dtype=np.int64)
    return AsymmetricUnit(
        1, reason, _lattice(cell, 1), numbers, ("a",) * len(numbers), ones, identity, points
    )


def _lattice(cell: NDArray[np.float64], group: int) -> NDArray[np.float64]:
    """Lattice parameters (6,) made to obey the lattice system of a group."""
    parameters = torch.cat(lattice.matrix_to_parameters(torch.from_numpy(cell)[None]), dim=1)
    system = torch.from_numpy(lattice_system_of_group[[group]])
    exact: NDArray[np.float64] = lattice.complete_parameters(system, parameters)[0].numpy()
    return exact


def _multiplicities() -> NDArray[np.int64]:
    return wyckoff_table().multiplicity.astype(np.int64)
