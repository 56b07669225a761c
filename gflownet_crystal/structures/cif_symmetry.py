"""The symmetry of a CIF: operations, Hall and Hermann-Mauguin symbols, and numbers, all of which must agree."""

from __future__ import annotations

from dataclasses import dataclass

import gemmi
import numpy as np
from numpy.typing import NDArray

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.crystallography.space_group_names import (
    number_of_schoenflies,
    operations_of_hall,
    settings_of_name,
    settings_of_number,
)
from gflownet_crystal.crystallography.space_groups import N_SPACE_GROUPS, space_group_symbol
from gflownet_crystal.structures.cif_operations import IDENTITY, SymmetryGroup, group_of, operation_of
from gflownet_crystal.structures.cif_text import CifBlock, quoted

_OPERATIONS = ("_space_group_symop_operation_xyz", "_symmetry_equiv_pos_as_xyz")
_MAGNETIC, _CENTRINGS = "_space_group_symop_magn_operation_xyz", "_space_group_symop_magn_centering_xyz"
_SYMBOLS = (
    "_symmetry_space_group_name_h-m",
    "_space_group_name_h-m_alt",
    "_space_group_name_h-m",
    "_space_group_name_h-m_full",
    "_symmetry_space_group_name_h-m_alt",
    "_symmetry_space_group_name_h-m_full",
)
_HALL = ("_space_group_name_hall", "_symmetry_space_group_name_hall")
_NUMBERS = ("_space_group_it_number", "_symmetry_int_tables_number")
_REFERENCE = ("_space_group_name_h-m_ref",)
_SCHOENFLIES = ("_space_group_name_schoenflies", "_symmetry_space_group_name_schoenflies")
_CODES = ("_space_group_it_coordinate_system_code",)
_SYSTEMS = ("_space_group_crystal_system", "_symmetry_cell_setting")
_MODULATED = (
    "_cell_modulation_dimension",
    "_space_group_ssg_",
    "_space_group_symop_ssg_",
    "_space_group_symop_magn_ssg_",
)

_LARGEST_MISFIT = 0.005
_SAME_MISFIT = 1e-4


@dataclass(frozen=True)
class CifSymmetry:
    """Operations that a CIF may mean.

    Attributes:
        groups: the operations; several only where the choice of origin is open.
        number: ITA number of the named group; 0 if none is named.
        claimed: settings of the named group, one of which the atoms must have by themselves: where fewer operations
            are listed, as by programs that list all atoms.
        unknown: whether the file says that its symmetry is not known, so that only its formula can confirm a reading.
        notes: remarks, one text each.
    """

    groups: tuple[SymmetryGroup, ...]
    number: int
    claimed: tuple[SymmetryGroup, ...] = ()
    unknown: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Meaning:
    """A group that a name may stand for; lower ranks are more usual."""

    group: SymmetryGroup
    rank: int


def read_symmetry(block: CifBlock, cell: NDArray[np.float64]) -> CifSymmetry:
    """The operations of a block.

    Args:
        block: block of one crystal.
        cell: (3, 3) rows, Å, which has to fit the operations.

    Raises:
        DataError: the symmetry of the block is unknown, open, contradictory or does not fit its cell.
    """
    if any(block.starts(prefix) and block.known(prefix) != ["0"] for prefix in _MODULATED):
        raise DataError(
            "a modulated structure, which has no cell; give a commensurate cell with all its atoms"
        )
    numbers = _named_numbers(block)
    meanings, notes = _named_meanings(block, numbers)
    listed = _listed_group(block)
    if listed is not None:
        return _of_operations(listed, meanings, numbers, cell, notes)
    if meanings:
        groups = _chosen(meanings, cell)
        return CifSymmetry(groups, groups[0].number, notes=notes)
    if numbers:
        groups = _of_number(numbers.pop(), cell)
        return CifSymmetry(groups, groups[0].number, notes=notes)
    return _unnamed(block)


def _named_numbers(block: CifBlock) -> set[int]:
    """The number that tags name, none or one."""
    numbers = set()
    for text in block.known(*_NUMBERS):
        if not text.isdecimal() or int(text) > N_SPACE_GROUPS:
            raise DataError(f"space group number {quoted(text)}; it must be 1 to {N_SPACE_GROUPS}")
        numbers |= {int(text)} - {0}
    numbers |= {number_of_schoenflies(text) for text in block.known(*_SCHOENFLIES)} - {0}
    for text in block.known(*_REFERENCE):
        types = {found.setting.number for found in settings_of_name(text)}
        numbers |= types if len(types) == 1 else set()
    if len(numbers) > 1:
        raise DataError(f"it names the space groups {' and '.join(map(str, sorted(numbers)))}; give one")
    return numbers


def _named_meanings(block: CifBlock, numbers: set[int]) -> tuple[list[_Meaning], tuple[str, ...]]:
    """Possible meanings of the symbols, and remarks on unknown symbols."""
    codes = block.known(*_CODES)
    names = block.known(*_SYMBOLS)
    read = {name: _meanings_of_symbol(name, codes) for name in names}
    halls = {name: operations_of_hall(name) for name in block.known(*_HALL)}
    unknown = [name for name, found in [*read.items(), *halls.items()] if not found]
    known = [found for found in read.values() if found]
    known += [[_Meaning(group_of(found), 0)] for found in halls.values() if found is not None]
    if codes and not names and not halls and numbers:
        known.append(_meanings_of_symbol(str(min(numbers)), codes))
    listed = any(block.known(tag) for tag in (*_OPERATIONS, _MAGNETIC))
    if unknown and not known and not listed:
        raise DataError(f"unknown space group {quoted(unknown[0])}; give the symmetry operations")
    notes = tuple(f"unknown space group {quoted(name)}" for name in unknown)
    meanings = known[0] if known else []
    for other in known[1:]:
        triplets = {meaning.group.triplets for meaning in other}
        common = [meaning for meaning in meanings if meaning.group.triplets in triplets]
        if not common and listed:
            types = {meaning.group.number for meaning in other}
            common = [meaning for meaning in meanings if meaning.group.number in types]
        if not common:
            raise DataError(
                f"its names of the space group disagree: {', '.join(map(quoted, [*names, *halls]))}"
            )
        meanings = common
    if meanings and numbers:
        kept = [meaning for meaning in meanings if meaning.group.number in numbers]
        if not kept:
            said, number = quoted([*names, *halls][0]), min(numbers)
            raise DataError(f"it names the space group {said} and the number {number}, which is another")
        meanings = kept
    return meanings, notes


def _meanings_of_symbol(name: str, codes: list[str]) -> list[_Meaning]:
    coded = settings_of_name(f"{name}:{codes[0]}") if codes and ":" not in name else []
    found = coded or settings_of_name(name)
    meanings = [_Meaning(_group_of_setting(setting), rank) for setting, rank, _ in found]
    # a Hall symbol in the place of the Hermann-Mauguin one
    if all(setting.loose for setting in found):
        hall = operations_of_hall(name)
        meanings += [] if hall is None else [_Meaning(group_of(hall), 0)]
    return meanings


def _group_of_setting(setting: gemmi.SpaceGroup) -> SymmetryGroup:
    return group_of(setting.operations(), setting.xhm())


def _listed_group(block: CifBlock) -> SymmetryGroup | None:
    """The group of the operations that are listed."""
    found = []
    for tag in _OPERATIONS:
        texts = block.known(tag)
        if texts:
            found.append(group_of([operation_of(text) for text in texts]))
    magnetic = [operation_of(text) for text in block.known(_MAGNETIC)]
    if magnetic:
        centrings = [operation_of(text) for text in block.known(_CENTRINGS)] or [gemmi.Op(IDENTITY)]
        found.append(group_of([centring * operation for centring in centrings for operation in magnetic]))
    if any(group.triplets != found[0].triplets for group in found[1:]):
        raise DataError("two lists of symmetry operations, which differ; give one")
    return found[0] if found else None


def _of_operations(
    listed: SymmetryGroup,
    meanings: list[_Meaning],
    numbers: set[int],
    cell: NDArray[np.float64],
    notes: tuple[str, ...],
) -> CifSymmetry:
    """Listed operations, which must be those of the named group in some setting."""
    _check_fit(listed, cell)
    types = {meaning.group.number for meaning in meanings} or numbers
    if not types:
        return CifSymmetry((listed,), 0, notes=notes)
    settings = [meaning.group for meaning in meanings]
    settings = settings or [_group_of_setting(found) for found in settings_of_number(min(types))]
    larger = tuple(
        group
        for group in settings
        if listed.triplets < group.triplets and group.misfit(cell) <= _LARGEST_MISFIT
    )
    if listed.number in types and not (larger and all(len(group) != len(listed) for group in settings)):
        return CifSymmetry((listed,), listed.number, notes=notes)
    if not larger:
        name = " or ".join(space_group_symbol(number) for number in sorted(types))
        raise DataError(
            f"its {len(listed)} symmetry operations are those of {space_group_symbol(listed.number)}, not of {name}, "
            "the group that it names"
        )
    return CifSymmetry((listed,), min(types), claimed=larger, notes=notes)


def _chosen(meanings: list[_Meaning], cell: NDArray[np.float64]) -> tuple[SymmetryGroup, ...]:
    """The most usual meanings that fit the cell best; several only by their origin."""
    misfits = [meaning.group.misfit(cell) for meaning in meanings]
    least = min(misfits)
    if least > _LARGEST_MISFIT:
        _check_fit(meanings[0].group, cell)
    fitting = [
        meaning for meaning, misfit in zip(meanings, misfits, strict=True) if misfit <= least + _SAME_MISFIT
    ]
    rank = min(meaning.rank for meaning in fitting)
    groups = {meaning.group.triplets: meaning.group for meaning in fitting if meaning.rank == rank}
    names = {group.name.split(":")[0] for group in groups.values()}
    if len(names) > 1:
        raise DataError(f"the space group may be {' or '.join(sorted(names))}; give the symmetry operations")
    return tuple(groups.values())


def _of_number(number: int, cell: NDArray[np.float64]) -> tuple[SymmetryGroup, ...]:
    """Reference settings of a group; in other axes only where one set of operations fits the cell."""
    usual = [_Meaning(_group_of_setting(setting), 0) for setting in settings_of_number(number)]
    if any(meaning.group.misfit(cell) <= _LARGEST_MISFIT for meaning in usual):
        return _chosen(usual, cell)
    others = [_group_of_setting(setting) for setting in gemmi.spacegroup_table() if setting.number == number]
    fitting = {group.triplets: group for group in others if group.misfit(cell) <= _LARGEST_MISFIT}
    if len(fitting) > 1:
        raise DataError(
            f"the cell is in unusual axes of space group {number}, of which there are several; give the symbol or the "
            "symmetry operations"
        )
    if not fitting:
        _check_fit(usual[0].group, cell)
    return tuple(fitting.values())


def _check_fit(group: SymmetryGroup, cell: NDArray[np.float64]) -> None:
    if group.misfit(cell) > _LARGEST_MISFIT:
        raise DataError(f"the lengths and angles of its cell do not fit its space group {group.name}")


def _unnamed(block: CifBlock) -> CifSymmetry:
    """No symmetry but the identity, which is the default of a list of operations."""
    systems = [text for text in block.known(*_SYSTEMS) if not text.lower().startswith(("tricl", "anort"))]
    if systems or block.starts("_space_group_magn") or block.starts("_parent_"):
        raise DataError("it has a symmetry but neither operations nor a space group; give one of them")
    tags = (*_OPERATIONS, *_SYMBOLS, *_HALL, *_NUMBERS)
    unknown = any("?" in values for tag in tags for values in block.columns.get(tag, []))
    group = group_of([gemmi.Op(IDENTITY)])
    return CifSymmetry((group,), 0, unknown=unknown, notes=("no symmetry is named: P 1 is taken",))
