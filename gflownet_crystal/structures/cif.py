"""CIF texts of structures in the ITA setting of their group.

All atoms of the conventional cell are written, so the only operation a reader may apply is the identity: the group's
operations would put every site there several times over. The group is named by its number, and its operations in this
setting follow under private names, which readers skip.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.crystallography.space_groups import space_group_symbol
from gflownet_crystal.crystallography.wyckoff import DENOMINATOR, group_operations
from gflownet_crystal.structures.convert import iterate_arrays
from gflownet_crystal.structures.elements import SYMBOLS
from gflownet_crystal.structures.structure import StructureBatch

_DECIMALS = 12
_CELL_TAGS = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")


def structures_to_cif(structures: StructureBatch) -> list[str]:
    """One CIF text each, with one data block.

    Args:
        structures: n structures in the ITA setting of ``space_group``, each 1 to 230.

    Raises:
        DataError: a structure claims no group.
    """
    groups = structures.space_group.tolist()
    if 0 in groups:
        raise DataError(f"structure {groups.index(0)} claims no space group: set space_group to 1 to 230")
    specs = structures.specs()
    parameters = np.concatenate([specs.lengths.cpu().numpy(), specs.angles.cpu().numpy()], axis=1)
    columns = zip(
        specs.reduced_formulas(),
        specs.formulas(),
        groups,
        parameters,
        specs.volume.tolist(),
        iterate_arrays(structures),
        strict=True,
    )
    return [
        _cif(reduced, formula, group, row, volume, numbers, points)
        for reduced, formula, group, row, volume, (_, numbers, points) in columns
    ]


def operation_to_text(operation: NDArray[np.float64]) -> str:
    """Coordinate triplet of an operation.

    Args:
        operation: (3, 4), [rotation | translation] with entries that are 24ths.

    Returns:
        Text such as ``"-y, x-y, z+1/3"``.
    """
    return ", ".join(_component(row[:3], row[3]) for row in operation)


def _component(coefficients: NDArray[np.float64], shift: float) -> str:
    terms = [
        f"{'-' if value < 0 else '+'}{axis}"
        for value, axis in zip(coefficients.tolist(), "xyz", strict=True)
        if value != 0
    ]
    numerator = round(shift * DENOMINATOR)
    if numerator:
        divisor = np.gcd(numerator, DENOMINATOR)
        terms.append(f"{numerator // divisor:+d}/{DENOMINATOR // divisor}")
    return "".join(terms).removeprefix("+")


def _cif(
    reduced: str,
    formula: str,
    group: int,
    parameters: NDArray[np.float64],
    volume: float,
    numbers: NDArray[np.int64],
    points: NDArray[np.float64],
) -> str:
    operations = [operation_to_text(operation) for operation in group_operations(group)]
    lines = [
        f"data_{reduced}",
        *(f"_cell_{tag} {value:.{_DECIMALS}f}" for tag, value in zip(_CELL_TAGS, parameters, strict=True)),
        f"_cell_volume {volume:.6f}",
        f"_chemical_formula_sum '{formula}'",
        f"_space_group_IT_number {group}",
        "loop_",
        "_space_group_symop_id",
        "_space_group_symop_operation_xyz",
        "1 'x, y, z'",
        "loop_",
        "_atom_site_label",
        "_atom_site_type_symbol",
        "_atom_site_fract_x",
        "_atom_site_fract_y",
        "_atom_site_fract_z",
        "_atom_site_occupancy",
        *_atom_lines(numbers, points),
        "",
        "# The group in the ITA standard setting: origin choice 2, hexagonal axes, unique axis b",
        f"_gflownet_crystal_space_group_name '{space_group_symbol(group)}'",
        "loop_",
        "_gflownet_crystal_symop_id",
        "_gflownet_crystal_symop_xyz",
        *(f"{number} '{text}'" for number, text in enumerate(operations, start=1)),
    ]
    return "\n".join(lines) + "\n"


def _atom_lines(numbers: NDArray[np.int64], points: NDArray[np.float64]) -> list[str]:
    wrapped = np.round(np.mod(points, 1.0), _DECIMALS)
    wrapped[wrapped >= 1.0] = 0.0
    symbols = [SYMBOLS[number] for number in numbers]
    return [
        f"{symbol}{index} {symbol} {x:.{_DECIMALS}f} {y:.{_DECIMALS}f} {z:.{_DECIMALS}f} 1"
        for index, (symbol, (x, y, z)) in enumerate(zip(symbols, wrapped.tolist(), strict=True), start=1)
    ]
