"""Tables and rules of crystals: space groups, Wyckoff positions, charge, lattices and cells. No learning, no files."""

from __future__ import annotations

from gflownet_crystal.crystallography.charge import ChargeModel
from gflownet_crystal.crystallography.occupation import WyckoffOccupation
from gflownet_crystal.crystallography.space_groups import (
    CRYSTAL_LATTICE_SYSTEMS,
    LATTICE_SYSTEMS,
    POINT_SYMMETRIES,
    crystal_lattice_system_of_group,
    lattice_system_of_group,
    point_symmetry_of_group,
    space_group_symbol,
)
from gflownet_crystal.crystallography.wyckoff import WyckoffPosition, group_operations, wyckoff_positions

__all__ = [
    "CRYSTAL_LATTICE_SYSTEMS",
    "LATTICE_SYSTEMS",
    "POINT_SYMMETRIES",
    "ChargeModel",
    "WyckoffOccupation",
    "WyckoffPosition",
    "crystal_lattice_system_of_group",
    "group_operations",
    "lattice_system_of_group",
    "point_symmetry_of_group",
    "space_group_symbol",
    "wyckoff_positions",
]
