"""The crystal of a CIF is the one that stands there, or the file is refused with the reason."""

from __future__ import annotations

import gemmi
import numpy as np
import pytest
from pymatgen.core import Lattice, Structure
from pymatgen.io.cif import CifWriter

from gflownet_crystal.common.errors import ConfigError, DataError
from gflownet_crystal.structures.cif import structures_to_cif
from gflownet_crystal.structures.cif_reading import read_cif
from gflownet_crystal.structures.convert import from_arrays
from gflownet_crystal.structures.formulas import composition_to_text
from gflownet_crystal.structures.symmetry import conventional_structures
from tests.structures.cif_texts import CARTESIAN_TAGS, cif, made, orbit, same_atoms

CUBE = (4.0, 4.0, 4.0, 90.0, 90.0, 90.0)
SALT_CELL = (5.64, 5.64, 5.64, 90.0, 90.0, 90.0)
SALT = [("Na", "0 0 0"), ("Cl", "0.5 0.5 0.5")]
ELEMENTS = {"Mg": 12, "O": 8}
FM3M = "_space_group_name_H-M_alt 'F m -3 m'"


def salt(*lines: str, **options) -> str:
    return cif(SALT_CELL, SALT, *lines, **options)


def formula(content: str | bytes, **options) -> str:
    read = read_cif(content, "x.cif", **options)
    return composition_to_text(
        from_arrays([read.cell], [read.atomic_numbers], [read.frac_coords]).specs().composition
    )[0]


def refusal(content: str | bytes) -> str:
    with pytest.raises(DataError) as caught:
        read_cif(content, "x.cif")
    said = str(caught.value)
    assert said.startswith("x.cif: ") and "\n" not in said
    return said


def test_what_is_read():
    read = read_cif(salt(FM3M), "x.cif")
    np.testing.assert_allclose(read.cell, 5.64 * np.eye(3), atol=1e-12)
    assert (
        read.atomic_numbers.dtype == np.int64 and sorted(read.atomic_numbers.tolist()) == [11] * 4 + [17] * 4
    )
    assert (read.space_group, read.notes) == (225, ())
    assert ((read.frac_coords >= 0) & (read.frac_coords < 1)).all()


@pytest.mark.parametrize(
    ("setting", "seed"), [("P -1", 1), ("P 1 21/c 1", 2), ("R -3 c:H", 3), ("F d -3 m:1", 4), ("P 1", 5)]
)
@pytest.mark.parametrize("symprec", [None, 0.01])
def test_what_pymatgen_writes_comes_back(setting, seed, symprec):
    crystal = made(gemmi.find_spacegroup_by_name(setting), seed)
    atoms = crystal.atoms()
    species = [element for element, points in atoms.items() for _ in points]
    structure = Structure(
        Lattice.from_parameters(*crystal.cell), species, np.concatenate(list(atoms.values()))
    )
    read = read_cif(str(CifWriter(structure, symprec=symprec)), "x.cif")
    assert sorted(read.atomic_numbers.tolist()) == sorted(structure.atomic_numbers)
    again = Structure(read.cell, read.atomic_numbers, read.frac_coords)
    np.testing.assert_allclose(
        np.sort(again.distance_matrix, axis=None), np.sort(structure.distance_matrix, axis=None), atol=1e-4
    )


def test_what_the_package_writes_comes_back_with_its_group():
    for name in ("P 1 21/c 1", "R -3 c:H", "F d -3 m:2"):
        crystal = made(gemmi.find_spacegroup_by_name(name), 7)
        atoms = crystal.atoms()
        numbers = [gemmi.Element(element).atomic_number for element, points in atoms.items() for _ in points]
        cell = np.array(gemmi.UnitCell(*crystal.cell).orth.mat.tolist()).T
        batch = conventional_structures(
            from_arrays([cell], [numbers], [np.concatenate(list(atoms.values()))])
        )
        read = read_cif(structures_to_cif(batch)[0], "x.cif")
        assert read.space_group == crystal.setting.number
        assert sorted(read.atomic_numbers.tolist()) == sorted(numbers)


@pytest.mark.parametrize("digits", [3, 4, 5])
@pytest.mark.parametrize(
    ("name", "points", "counts"),
    [
        ("P 63/m m c", [(1 / 3, 2 / 3, 1 / 4)], [2]),
        ("R -3 c:H", [(0, 0, 0), (0, 0, 1 / 4)], [6, 6]),
        ("P -3 m 1", [(1 / 3, 2 / 3, 0.22), (1 / 6, -1 / 6, 0.4)], [2, 6]),
        ("P 6/m m m", [(1 / 3, 2 / 3, 0), (1 / 7, 2 / 7, 1 / 2)], [2, 6]),
        ("F d -3 m:2", [(1 / 8, 1 / 8, 1 / 8), (1 / 2, 1 / 2, 1 / 2)], [8, 16]),
    ],
)
def test_special_positions_in_few_digits_are_one_atom(name, points, counts, digits):
    setting = gemmi.find_spacegroup_by_name(name)
    cubic = setting.crystal_system_str() == "cubic"
    cell = (8.0, 8.0, 8.0, 90.0, 90.0, 90.0) if cubic else (5.0, 5.0, 14.0, 90.0, 90.0, 120.0)
    exact = dict(zip(("Mg", "O")[: len(points)], points, strict=True))
    sites = [(element, " ".join(f"{x:.{digits}f}" for x in point)) for element, point in exact.items()]
    read = read_cif(cif(cell, sites, f"_space_group_name_H-M_alt '{name}'"), "x.cif")
    atoms = {element: orbit(setting, point) for element, point in exact.items()}
    assert [len(found) for found in atoms.values()] == counts
    assert same_atoms(read, atoms, 10.0**-digits)
    # the operations leave the atoms exactly where they are
    read_atoms = {
        element: read.frac_coords[read.atomic_numbers == number] for element, number in ELEMENTS.items()
    }
    for operation in setting.operations():
        moved = {
            element: np.array([operation.apply_to_xyz(list(x)) for x in found])
            for element, found in read_atoms.items()
            if len(found)
        }
        assert same_atoms(read, moved, 1e-9)


@pytest.mark.parametrize(
    ("sites", "said"),
    [
        ([("Cs", "0.0002 0 0"), ("Cs", "0.9998 0 0")], "'Cs1' and 'Cs2' are 0.0016 Å apart"),
        ([("Cs", "0 0 0"), ("Rb", "0 0 0")], "0.0000 Å apart"),
        ([("Cs", "0 0 0"), ("Rb", "0.002 0 0")], "0.0080 Å apart"),
        ([("Cs", "0 0 0"), ("Cs", "0.9 0 0")], "0.4000 Å apart"),
    ],
)
def test_atoms_too_near_are_refused(sites, said):
    words = said.replace("'Cs1' and 'Cs2'", "")
    assert words.strip() in refusal(cif(CUBE, [*sites, ("Cl", "0.5 0.5 0.5")]))


def test_images_that_are_near_but_not_one_atom_are_refused():
    assert "two images of site 'O1' are 0.2000 Å apart" in refusal(
        cif(
            CUBE, [("O", "0.025 0 0.3")], "_space_group_name_H-M_alt 'P -1'", operations=("x,y,z", "-x,y,z")
        ).replace("_space_group_name_H-M_alt 'P -1'\n", "")
    )


def test_the_same_atom_listed_on_both_sides_of_the_cell_is_one():
    assert formula(cif(CUBE, [("Cs", "0 0 0"), ("Cs", "1 0 1"), ("Cl", "0.5 0.5 0.5")])) == "Cs1 Cl1"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["_chemical_formula_sum 'Cl Na'"], True),
        (["_chemical_formula_sum NaCl", "_cell_formula_units_Z 4"], True),
        (["_chemical_formula_sum 'Na4 Cl4'", "_cell_formula_units_Z 4"], True),
        (["_chemical_formula_sum 'NA1.00 CL1'"], True),
        (["_chemical_formula_sum ?"], True),
        (["_chemical_formula_weight 58.44"], True),
        (["_chemical_formula_sum 'Cl Na'", "_cell_formula_units_Z 2"], False),
        (["_chemical_formula_sum 'Cl Na H'"], False),
        (["_chemical_formula_sum 'Na0.9 Cl1.0'"], False),
        (["_chemical_formula_sum 'K Cl'"], False),
        (["_chemical_formula_weight 74.55"], False),
    ],
)
def test_the_formula_of_the_file(lines, expected):
    text = salt(FM3M, *lines)
    if expected:
        assert formula(text) == "Na4 Cl4"
    else:
        assert "formula" in refusal(text)
        read = read_cif(text, "x.cif", formula_check="warn")
        assert len(read.atomic_numbers) == 8 and "formula" in read.notes[0]


def test_deuterium_counts_as_hydrogen():
    text = cif(CUBE, [("D", "0 0 0"), ("H", "0.5 0 0"), ("O", "0 0.3 0.5")], "_chemical_formula_sum 'D H O'")
    assert formula(text) == "H2 O1"


def test_an_unknown_way_of_checking_is_refused():
    with pytest.raises(ConfigError, match="formula_check 'maybe'"):
        read_cif(salt(FM3M), "x.cif", formula_check="maybe")


def test_several_crystals_are_refused_though_one_is_faulty():
    one = salt(FM3M)
    for other in (one, one.replace("data_crystal", "data_other"), one.replace("Cl2 Cl", "Cl2 OH")):
        assert "2 crystals" in refusal(one + other)
    empty = "data_global\n_publ_author 'A. Nobody'\nloop_\n_pd_meas_counts\n1\n2\n"
    assert formula(empty + one + "data_more\n_journal_year 1999\n") == "Na4 Cl4"


CARTESIAN = cif(CUBE, [("Cs", "0 0 0"), ("Cl", "2 2 2")], tags=CARTESIAN_TAGS)
MATRIX = "\n".join(
    f"_atom_sites_Cartn_tran_matrix_{row}{column} {4.0 if row == column else 0.0}"
    for row in "123"
    for column in "123"
)


def test_cartesian_coordinates_need_their_matrix():
    assert "matrix" in refusal(CARTESIAN)
    read = read_cif(f"{CARTESIAN}{MATRIX}\n", "x.cif")
    assert same_atoms(read, {"Cs": np.zeros((1, 3)), "Cl": np.full((1, 3), 0.5)})
    assert "not one of its cell" in refusal(f"{CARTESIAN}{MATRIX.replace('4.0', '5.0')}\n")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "empty"),
        ("nothing of the kind", "line 1"),
        (b"\x89PNG\r\n\x1a\n\x00\x01", "characters"),
        (salt("_symmetry_space_group_name_H-M F m -3 m"), "line 8"),
        ("data_x\n_cell_length_a 4\n", "no crystal"),
        (salt(FM3M).replace("_cell_length_b 5.64\n", ""), "_cell_length_b is not given"),
        (
            salt(FM3M).replace("_cell_angle_alpha 90.0", "_cell_angle_alpha ?"),
            "_cell_angle_alpha is not given",
        ),
        (salt(FM3M, "_cell_length_a 5.7"), "_cell_length_a has the values"),
        (cif((-4, 4, 4, 90, 90, 90), SALT), "below 0"),
        (cif((4, 4, 4, 90, 90, 0), SALT), "of 0"),
        (cif((4, 4, 4, 90, 90, 180), SALT), "180"),
        (cif((4, 4, 4, 30, 40, 120), SALT), "close no cell"),
        (cif((1e8, 4, 4, 90, 90, 90), SALT), "up to 1000 Å"),
        (cif((1e-3, 4, 4, 90, 90, 90), SALT), "thick"),
        (cif(CUBE, [("Na", "nan 0 0")]), "no number"),
        (cif(CUBE, [("Na", "1e999 0 0")]), "not finite"),
        (cif(CUBE, [("Na", "1e308 0 0")]), "1e+308"),
        (cif(CUBE, [("Na", "? ? ?")]), "not given"),
        (cif(CUBE, [("Na", ". . .")]), "not given"),
        (cif(CUBE, [("Na", "0 0 0,5")]), "no number"),
        (cif((900, 900, 900, 90, 90, 90), [("Na", "0.1 0.2 0.3")] * 20_001), "20001 sites"),
        (salt(FM3M, "_cell_modulation_dimension 1"), "modulated"),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(content, said):
    assert said in refusal(content)


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1"]
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_encodings_and_line_ends(encoding, end):
    text = salt(FM3M, "_publ_author 'M\xfcller'", "_publ_text", ";", "data_in a text", "loop_", ";", "# \xb5")
    assert formula(text.replace("\n", end).encode(encoding)) == "Na4 Cl4"


def test_text_with_a_mark_of_order_and_an_end_of_file_character():
    assert formula("\ufeff" + salt(FM3M) + "\x1a") == "Na4 Cl4"


@pytest.mark.parametrize("change", [str.upper, str.lower, str.swapcase])
def test_letter_case_of_tags_and_keywords(change):
    lines = [
        change(line) if line.startswith(("_", "loop_", "data_")) and "H-M" not in line else line
        for line in salt(operations=("x,y,z", "x,y+1/2,z+1/2", "x+1/2,y,z+1/2", "x+1/2,y+1/2,z")).splitlines()
    ]
    assert formula("\n".join(lines)) == "Na4 Cl4"


def test_tags_with_dots():
    text = salt("_space_group.name_H-M_alt 'F m -3 m'", "_space_group.IT_number 225")
    for tag in ("_cell_", "_atom_site_", "_chemical_formula_"):
        text = text.replace(tag, f"{tag[:-1]}.")
    assert formula(text) == "Na4 Cl4"


def test_angles_are_right_ones_by_default_and_numbers_have_uncertainties():
    text = salt(FM3M).replace("_length_a 5.64", "_length_a 5.64(2)")
    assert formula(text.replace("_cell_angle_beta 90.0", "_cell_angle_beta .")) == "Na4 Cl4"
    bare = "\n".join(line for line in text.splitlines() if "angle" not in line)
    assert formula(bare) == "Na4 Cl4"
    assert "do not fit" in refusal(bare.replace("F m -3 m", "P 63/m m c"))


def test_crowded_crystals_are_read_on_request():
    text = cif(CUBE, [("Cs", "0 0 0"), ("Rb", "0.1 0 0")])
    assert "0.4000 Å apart" in refusal(text)
    assert len(read_cif(text, "x", closest=0.3).atomic_numbers) == 2
