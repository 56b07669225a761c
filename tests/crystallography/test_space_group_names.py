"""Names of space groups mean the settings of gemmi's table, and of spglib's, each under all of its names."""

from __future__ import annotations

import gemmi
import pytest
import spglib

from gflownet_crystal.crystallography.space_group_names import (
    number_of_schoenflies,
    operations_of_hall,
    settings_of_name,
    settings_of_number,
)

TYPES = [spglib.get_spacegroup_type(hall) for hall in range(1, 531)]


def operations(group: gemmi.GroupOps) -> set[str]:
    return {operation.triplet() for operation in group}


def test_names_of_gemmi():
    for setting in gemmi.spacegroup_table():
        first = settings_of_name(setting.xhm())[0]
        assert operations(first.setting.operations()) == operations(setting.operations()), setting.xhm()
        assert setting in [found.setting for found in settings_of_name(setting.short_name())]


def test_names_of_spglib():
    """Its full and short symbols, of which several settings may share one, with the choice behind a colon."""
    for found in TYPES:
        group = operations(gemmi.symops_from_hall(found.hall_symbol))
        for symbol in (
            found.international_full,
            found.international.split(" = ")[-1],
            found.international_short,
        ):
            meant = [operations(named.setting.operations()) for named in settings_of_name(symbol)]
            if symbol != found.international_short or found.number > 15:
                assert group in meant, (symbol, found.hall_number)
        if found.choice in ("1", "2", "H", "R"):
            chosen = settings_of_name(f"{found.international_full} :{found.choice}")
            assert {named.setting.ext for named in chosen} == {found.choice}
            assert group in [operations(named.setting.operations()) for named in chosen]


def test_one_name_means_groups_of_one_number_but_for_short_names_of_unusual_cells():
    several = {
        symbol
        for found in TYPES
        for symbol in (found.international_full, found.international_short)
        if len({named.setting.number for named in settings_of_name(symbol)}) > 1
    }
    # C 1 1 2 and C 1 1 21 are unusual cells of P 2 and P 21
    assert several <= {"C2", "B2", "C2_1"}
    assert [named.rank for named in settings_of_name("C 2")] == [0, 1, 2]


def test_settings_of_a_number_are_its_origins_or_axes_in_the_usual_setting():
    for number in range(1, 231):
        settings = settings_of_number(number)
        assert {setting.number for setting in settings} == {number}
        assert any(setting.is_reference_setting() for setting in settings)
        assert sorted(setting.ext.strip("\0") for setting in settings) in ([""], ["1", "2"], ["H", "R"])


@pytest.mark.parametrize("spelling", ["{}", "{} ", "'{}'"])
def test_schoenflies_symbols(spelling):
    for found in TYPES:
        written = spelling.format(found.schoenflies).strip("'")
        assert number_of_schoenflies(written) == found.number
        assert number_of_schoenflies(written.replace("^", ".")) == found.number
    assert number_of_schoenflies("D9h^1") == 0


def test_hall_symbols():
    for found in TYPES:
        group = operations(gemmi.symops_from_hall(found.hall_symbol))
        for spelling in (found.hall_symbol, found.hall_symbol.replace(" ", "_"), found.hall_symbol.upper()):
            assert operations(operations_of_hall(spelling)) == group
    for unknown in ("", "F m -3 m", "P 2q", "x"):
        assert operations_of_hall(unknown) is None


@pytest.mark.parametrize(
    "name", ["", " ", "P", "x" * 1000, "P 21/c (x)", "P 1 :9", "0", "231", "(225)", "::", "\0", "P-"]
)
def test_what_is_no_name(name):
    assert settings_of_name(name) == []
