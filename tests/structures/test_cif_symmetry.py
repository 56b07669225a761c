"""The operations of a CIF are those of the group that it names, in the setting that it names, or it is refused."""

from __future__ import annotations

import gemmi
import numpy as np
import pytest
import spglib

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.structures.cif_reading import read_cif
from tests.structures.cif_texts import cif, made, same_atoms

TABLE = list(gemmi.spacegroup_table())
SYMBOL, HALL, NUMBER = "_space_group_name_H-M_alt", "_space_group_name_Hall", "_space_group_IT_number"
SALT_CELL = (5.64, 5.64, 5.64, 90.0, 90.0, 90.0)
SALT = [("Na", "0 0 0"), ("Cl", "0.5 0.5 0.5")]
CUBIC_F = ("x,y,z", "x,y+1/2,z+1/2", "x+1/2,y,z+1/2", "x+1/2,y+1/2,z")
SILICON = (5.43, 5.43, 5.43, 90.0, 90.0, 90.0)


def triplets(setting: gemmi.SpaceGroup) -> tuple[str, ...]:
    return tuple(operation.triplet() for operation in setting.operations())


def group_of(text: str) -> int:
    read = read_cif(text, "x.cif")
    return spglib.get_symmetry_dataset((read.cell, read.frac_coords, read.atomic_numbers), 0.01).number


def refusal(text: str) -> str:
    with pytest.raises(DataError) as caught:
        read_cif(text, "x.cif")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def salt(*lines: str, **options) -> str:
    return cif(SALT_CELL, SALT, *lines, **options)


@pytest.mark.parametrize("part", range(8))
def test_every_setting_by_each_of_its_names(part):
    for index in range(part, len(TABLE), 8):
        setting = TABLE[index]
        crystal = made(setting, index)
        atoms, full = crystal.atoms(), setting.xhm()
        for lines in (
            [f"{SYMBOL} '{full}'"],
            [f"{SYMBOL} '{full.replace(' ', '')}'", f"{NUMBER} {setting.number}"],
            [f"_symmetry_space_group_name_H-M '{full.upper().replace(' ', '_')}'"],
            [f"{HALL}\n;{setting.hall}\n;"],
            [f"{SYMBOL} ?", f"_symmetry_space_group_name_Hall\n;{setting.hall}\n;"],
        ):
            if "(a)" in full and "_" in lines[0].split()[-1]:
                continue
            read = read_cif(cif(crystal.cell, crystal.sites, *lines), full)
            assert same_atoms(read, atoms), (full, setting.qualifier, lines)
            assert read.space_group == setting.number


@pytest.mark.parametrize("index", range(0, len(TABLE), 23))
def test_listed_operations_with_and_without_a_name(index):
    setting = TABLE[index]
    crystal = made(setting, index)
    operations = triplets(setting)
    for lines in (
        [],
        [f"{NUMBER} {setting.number}"],
        [f"{SYMBOL} '{gemmi.find_spacegroup_by_number(setting.number).hm}'"],
    ):
        text = cif(crystal.cell, crystal.sites, *lines, operations=operations)
        assert same_atoms(read_cif(text, "x"), crystal.atoms())
    spaced = tuple(operation.upper().replace(",", " , ").replace("1/2", "0.5") for operation in operations)
    text = cif(crystal.cell, crystal.sites, operations=spaced, tag="_Symmetry_Equiv.Pos_as_xyz")
    assert same_atoms(read_cif(text, "x"), crystal.atoms())
    assert group_of(text) == setting.number or len(operations) == 1


@pytest.mark.parametrize("name", ["P n n n", "F d -3 m", "I 41/a m d", "R -3 c", "P 4/n m m", "R 3 m"])
@pytest.mark.parametrize("choice", [0, 1])
def test_spellings_of_the_choice_of_origin_or_axes(name, choice):
    setting = [found for found in TABLE if found.hm == name and found.qualifier == ""][choice]
    crystal = made(setting, 11)
    endings = {
        "1": [":1", " S", "S", " (origin choice 1)", " O1", " :1 (no. {})"],
        "2": [":2", " Z", "Z", " (origin choice 2)", " O2", ":2 #{}"],
        "H": [":H", " H", "H", " HR", " (hexagonal axes)", " :h"],
        "R": [":R", " R", "R", " RS", " (rhombohedral axes)", " :r"],
    }[setting.ext]
    for ending in endings:
        text = cif(crystal.cell, crystal.sites, f"{SYMBOL} '{name}{ending.format(setting.number)}'")
        assert same_atoms(read_cif(text, "x"), crystal.atoms()), ending
    lines = [f"{NUMBER} {setting.number}", f"_space_group_IT_coordinate_system_code {setting.ext}"]
    assert same_atoms(read_cif(cif(crystal.cell, crystal.sites, *lines), "x"), crystal.atoms())


@pytest.mark.parametrize(
    ("symbol", "standard"),
    [
        ("P21/c", "P 1 21/c 1"), ("P2_1/n", "P 1 21/n 1"), ("P2(1)/c", "P 1 21/c 1"), ("P 2~1~/c", "P 1 21/c 1"),
        ("P 1 21/a 1", "P 1 21/a 1"), ("I 2/a", "I 1 2/a 1"), ("B 2/b", "B 1 1 2/b"), ("P 21/b", "P 1 1 21/b"),
        ("P 2 1/c", "P 1 21/c 1"), ("P 2 1 2 1 2 1", "P 21 21 21"), ("P 21/n 21/m 21/a", "P n m a"),
        ("Cmce", "C m c a"), ("A e m 2", "A b m 2"), ("Bmab", "B m a b"), ("Pm3m", "P m -3 m"), ("I a 3 d", "I a -3 d"),
        ("F 4/m 3 2/m", "F m -3 m"), ("FM3-M", "F m -3 m"), ("I4-3M", "I -4 3 m"), ("P-421m", "P -4 21 m"),
        ("H 3 2", "R 3 2:H"), ("P 63 / m m c", "P 63/m m c"), ("P 63mc", "P 63 m c"), ("Fm-3m (225)", "F m -3 m"),
        ("P 21/c (No. 14)", "P 1 21/c 1"), ("225", "F m -3 m"), ("-P 2ybc", "P 1 21/c 1"), ("P 4 -2c", "P 4 c c"),
    ],
)  # fmt: skip
def test_old_short_and_careless_spellings(symbol, standard):
    setting = gemmi.find_spacegroup_by_name(standard)
    crystal = made(setting, 13)
    read = read_cif(cif(crystal.cell, crystal.sites, f"_symmetry_space_group_name_H-M '{symbol}'"), "x")
    assert same_atoms(read, crystal.atoms()) and read.space_group == setting.number


@pytest.mark.parametrize("symbol", ["Q m m m", "P 7", "F m -3 m :2", "P 21/c (x)", "F m m", "-P 2q"])
def test_unknown_symbols_are_refused(symbol):
    assert "unknown space group" in refusal(salt(f"{SYMBOL} '{symbol}'"))
    assert "unknown space group" in refusal(salt(f"{SYMBOL} '{symbol}'", f"{NUMBER} 225"))
    read = read_cif(salt(f"{SYMBOL} '{symbol}'", operations=CUBIC_F), "x")
    assert len(read.atomic_numbers) == 8 and symbol in read.notes[0]


@pytest.mark.parametrize("number", [146, 148, 155, 160, 161, 166, 167])
def test_axes_of_rhombohedral_groups_follow_from_the_cell(number):
    for setting in (found for found in TABLE if found.number == number):
        crystal = made(setting, number)
        for line in (f"{NUMBER} {number}", f"{SYMBOL} '{setting.hm}'"):
            assert same_atoms(read_cif(cif(crystal.cell, crystal.sites, line), "x"), crystal.atoms())


@pytest.mark.parametrize(
    ("cell", "sites", "names", "counts"),
    [
        (SILICON, [("Si", "0 0 0")], ["227", "F d -3 m", "F d 3 m", "Fd3m"], [8]),
        (SILICON, [("Si", "0.125 0.125 0.125")], ["227", "F d -3 m", "F d 3 m", "Fd3m"], [8]),
        (
            (3.785, 3.785, 9.514, 90, 90, 90),
            [("Ti", "0 0 0"), ("O", "0 0 0.2081")],
            ["141", "I41/amd"],
            [4, 8],
        ),
        (
            (3.785, 3.785, 9.514, 90, 90, 90),
            [("Ti", "0 .25 .375"), ("O", "0 .25 .1668")],
            ["141", "I41/amd"],
            [4, 8],
        ),
        (
            (8.08, 8.08, 8.08, 90, 90, 90),
            [("Mg", "0 0 0"), ("Al", ".625 .625 .625"), ("O", ".3875 .3875 .3875")],
            ["227", "F d -3 m"],
            [8, 16, 32],
        ),
        (
            (8.08, 8.08, 8.08, 90, 90, 90),
            [("Mg", ".125 .125 .125"), ("Al", ".5 .5 .5"), ("O", ".2625 .2625 .2625")],
            ["227", "F d -3 m"],
            [8, 16, 32],
        ),
    ],
)
def test_an_unnamed_origin_follows_from_distances(cell, sites, names, counts):
    for name in names:
        read = read_cif(cif(cell, sites, f"{NUMBER if name.isdecimal() else SYMBOL} '{name}'"), "x")
        found = [int((read.atomic_numbers == gemmi.Element(site[0]).atomic_number).sum()) for site in sites]
        assert found == counts and "origin is not named" in read.notes[0]


def test_an_unnamed_origin_follows_from_the_formula_or_the_multiplicities_else_is_refused():
    # MgCu2 read from the other origin is Mg2Cu
    cell, sites = (7.03, 7.03, 7.03, 90, 90, 90), [("Mg", ".125 .125 .125"), ("Cu", ".5 .5 .5")]
    assert "F d -3 m:1 or F d -3 m:2" in refusal(cif(cell, sites, f"{NUMBER} 227"))
    for text in (
        cif(cell, sites, f"{NUMBER} 227", "_chemical_formula_sum 'Mg Cu2'"),
        cif(
            cell,
            [("Mg1", "Mg", sites[0][1], "8"), ("Cu1", "Cu", sites[1][1], "16")],
            f"{NUMBER} 227",
            columns="_atom_site_symmetry_multiplicity",
        ),
    ):
        assert np.bincount(read_cif(text, "x").atomic_numbers)[[12, 29]].tolist() == [8, 16]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([f"{SYMBOL} 'P m -3 m'", f"{NUMBER} 225"], "'P m -3 m' and the number 225"),
        ([f"{NUMBER} 225", "_symmetry_Int_Tables_number 221"], "221 and 225"),
        ([f"{SYMBOL} 'F m -3 m'", f"{HALL} '-P 4 2 3'"], "disagree"),
        ([f"{SYMBOL} 'F d -3 m :1'", f"{HALL} '-F 4vw 2vw 3'"], "disagree"),
        ([f"{NUMBER} 231"], "1 to 230"),
        ([f"{SYMBOL} 'P 4 2'"], "P 4 2 2 or P 42"),
        ([f"{SYMBOL} 'P 63/m m c'"], "do not fit"),
        ([f"{SYMBOL} 'R -3 m :H'"], "do not fit"),
        ([f"{SYMBOL} ?"], "not known"),
        (["_symmetry_cell_setting cubic"], "neither operations nor a space group"),
        (["_space_group_magn.name_BNS 'P 1'"], "neither operations nor a space group"),
    ],
)
def test_contradictions_and_what_does_not_suffice_are_refused(lines, said):
    assert said in refusal(salt(*lines))


FULL = triplets(gemmi.find_spacegroup_by_name("F m -3 m"))


@pytest.mark.parametrize(
    ("operations", "lines", "said"),
    [
        (FULL[:50], [], "form no group"),
        (FULL[1:], [], "lack the identity"),
        (("x,y,z", "-x,-y,z+1/4"), [], "form no group"),
        (("x,y,z", "x,x,z"), [], "no symmetry operation"),
        (("x,y,z", "x,1/2,z"), [], "no symmetry operation"),
        (("x,y,z", "x+1/5,y,z"), [], "no symmetry operation"),
        (("x,y,z", "x,y"), [], "no symmetry operation"),
        (("x,y,z", "a,b,c"), [], "no symmetry operation"),
        (CUBIC_F, [f"{NUMBER} 221"], "not of Pm-3m"),
        (FULL, [f"{SYMBOL} 'P 1'"], "not of P1"),
        (("x,y,z",), [f"{NUMBER} 225"], "do not have the others"),
        (triplets(gemmi.find_spacegroup_by_name("P 3 1 2")), [], "do not fit"),
    ],
)
def test_operations_that_are_not_those_of_the_named_group_are_refused(operations, lines, said):
    assert said in refusal(salt(*lines, operations=operations))


def test_all_atoms_listed_with_the_identity_alone_may_name_their_group():
    for index in (13, 200, 430, 540):
        crystal = made(TABLE[index], index)
        sites = [(element, point) for element, points in crystal.atoms().items() for point in points]
        text = cif(crystal.cell, sites, f"{SYMBOL} '{TABLE[index].xhm()}'", operations=("x,y,z",))
        read = read_cif(text, "x")
        assert same_atoms(read, crystal.atoms()) and read.space_group == TABLE[index].number
        moved = cif(
            crystal.cell,
            [*sites[:-1], ("O", sites[-1][1] + 0.03)],
            text.splitlines()[7],
            operations=("x,y,z",),
        )
        assert "do not have the others" in refusal(moved)


def test_magnetic_operations_give_the_crystal_without_moments():
    lines = [
        "loop_", "_space_group_symop_magn_operation.id", "_space_group_symop_magn_operation.xyz",
        "1 x,y,z,+1", "2 -x,-y,-z,-1",
        "loop_", "_space_group_symop_magn_centering.xyz", "x,y,z,+1", "x,y+1/2,z+1/2,-1", "x+1/2,y,z+1/2,+1",
        "x+1/2,y+1/2,z,-1",
    ]  # fmt: skip
    text = salt(*lines, "_parent_space_group.name_H-M_alt 'P m m m'")
    assert np.bincount(read_cif(text, "x").atomic_numbers)[[11, 17]].tolist() == [4, 4]
    assert group_of(text) == 225


def test_a_group_in_an_unusual_setting_keeps_its_type():
    group = gemmi.find_spacegroup_by_name("F d -3 m:2").operations()
    group.change_basis_forward(gemmi.Op("x+1/24,y+1/6,z+1/3"))
    operations = tuple(operation.triplet() for operation in group)
    site = [("Si", [1 / 8 + 1 / 24, 1 / 8 + 1 / 6, 1 / 8 + 1 / 3])]
    assert len(read_cif(cif(SILICON, site, f"{NUMBER} 227", operations=operations), "x").atomic_numbers) == 8
    assert "not of Fd-3c" in refusal(cif(SILICON, site, f"{NUMBER} 228", operations=operations))
