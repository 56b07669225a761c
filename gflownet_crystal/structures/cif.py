"""CIF texts of structures: the asymmetric unit with the group, its operations and Wyckoff letters.

The setting is the ITA's standard one: origin choice 2, hexagonal axes, unique axis b. Where a structure does not have
the group that it claims, or claims none, the file lists all atoms in P1 and says why.
"""

from __future__ import annotations

import math

import gemmi
import numpy as np
from gemmi import cif
from numpy.typing import NDArray

from gflownet_crystal.structures.asymmetric_unit import AsymmetricUnit, asymmetric_units
from gflownet_crystal.structures.elements import SYMBOLS
from gflownet_crystal.structures.structure import StructureBatch

LENGTH_DECIMALS, POINT_DECIMALS = 6, 8
_VOLUME_DECIMALS = 4
_CELL_TAGS = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")
_SITE_TAGS = (
    "label", "type_symbol", "symmetry_multiplicity", "Wyckoff_symbol", "fract_x", "fract_y", "fract_z", "occupancy",
)  # fmt: skip
_THIRDS = np.array([1.0, 2.0]) / 3.0
# pymatgen takes any coordinate so near to a third, relative, for the third itself, and warns
_NEAR_THIRD = 1.1e-4


def structures_to_cif(structures: StructureBatch) -> list[str]:
    """One CIF text each, with one data block.

    Args:
        structures: n structures in the ITA setting of ``space_group``, 0 where none is claimed.
    """
    structures = structures.to("cpu").right_handed()
    units = asymmetric_units(structures)
    names = structures.specs().reduced_formulas()
    counts = structures.composition.numpy()
    return [_text(name, unit, row) for name, unit, row in zip(names, units, counts, strict=True)]


def _text(name: str, unit: AsymmetricUnit, counts: NDArray[np.int64]) -> str:
    setting = gemmi.get_spacegroup_reference_setting(unit.space_group)
    lattice = [f"{value:.{LENGTH_DECIMALS}f}" for value in unit.lattice]
    formula, units = _formula(counts)
    block = cif.Block(name)
    block.set_pair("_audit_creation_method", "gflownet_crystal")
    block.set_pair("_chemical_formula_sum", cif.quote(formula))
    block.set_pair("_cell_formula_units_Z", str(units))
    for tag, value in zip(_CELL_TAGS, lattice, strict=True):
        block.set_pair(f"_cell_{tag}", value)
    volume = gemmi.UnitCell(*map(float, lattice)).volume
    block.set_pair("_cell_volume", f"{volume:.{_VOLUME_DECIMALS}f}")
    block.set_pair("_space_group_name_H-M_alt", cif.quote(setting.xhm()))
    block.set_pair("_space_group_name_Hall", cif.quote(setting.hall))
    block.set_pair("_space_group_IT_number", str(setting.number))
    if unit.reason:
        block.set_pair("_atom_sites_special_details", cif.quote(f"P 1 with all atoms: {unit.reason}"))
    operations = block.init_loop("_space_group_symop_", ["id", "operation_xyz"])
    for number, operation in enumerate(setting.operations(), start=1):
        operations.add_row([str(number), cif.quote(operation.triplet())])
    sites = block.init_loop("_atom_site_", list(_SITE_TAGS))
    for row in _sites(unit):
        sites.add_row(row)
    document = cif.Document()
    document.add_copied_block(block)
    options = cif.WriteOptions()
    options.align_pairs, options.align_loops = 33, 12
    return str(document.as_string(options))


def _sites(unit: AsymmetricUnit) -> list[list[str]]:
    """Rows of the loop of sites, labels numbered by element."""
    points = unit.points(POINT_DECIMALS)
    near = (np.abs(points[:, :, None] / _THIRDS - 1.0) < _NEAR_THIRD).any(2)
    points = np.where(near, points - 1.0, points)
    seen: dict[str, int] = {}
    rows = []
    for place, number in enumerate(unit.atomic_numbers):
        symbol = SYMBOLS[number]
        seen[symbol] = seen.get(symbol, 0) + 1
        coordinates = [f"{value:.{POINT_DECIMALS}f}" for value in points[place]]
        multiplicity = str(unit.multiplicities[place])
        rows.append([f"{symbol}{seen[symbol]}", symbol, multiplicity, unit.letters[place], *coordinates, "1"])
    return rows


def _formula(counts: NDArray[np.int64]) -> tuple[str, int]:
    """Formula unit in the order of the CIF dictionary (C, H, then the alphabet), and their number in the cell."""
    present = {SYMBOLS[number]: int(counts[number]) for number in np.flatnonzero(counts)}
    units = math.gcd(*present.values())
    first = ("C", "H") if "C" in present else ()
    order = sorted(present, key=lambda symbol: (symbol not in first, symbol))
    return " ".join(f"{symbol}{present[symbol] // units}" for symbol in order), units
