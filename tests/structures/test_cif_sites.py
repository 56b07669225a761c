"""Sites of a CIF are atoms of elements with a place each; what is no such atom is refused by its name."""

from __future__ import annotations

import pytest

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.structures.cif_reading import read_cif
from gflownet_crystal.structures.elements import SYMBOLS
from tests.structures.cif_texts import cif

CUBE = (4.0, 4.0, 4.0, 90.0, 90.0, 90.0)


def text_of(types: list[str | None], labels: list[str], formula: str = "") -> str:
    places = [f"{row / len(labels):.4f} 0 0.5" for row in range(len(labels))]
    lines = [f"_chemical_formula_sum '{formula}'"] if formula else []
    return cif((9.0, 4.0, 4.0, 90.0, 90.0, 90.0), list(zip(labels, types, places, strict=True)), *lines)


def elements(text: str, **options) -> list[str]:
    return [SYMBOLS[number] for number in read_cif(text, "x.cif", **options).atomic_numbers]


def refusal(text: str, **options) -> str:
    with pytest.raises(DataError) as caught:
        read_cif(text, "x.cif", **options)
    said = str(caught.value)
    assert said.startswith("x.cif: ") and "\n" not in said
    return said


def typed(*types: str, formula: str = "") -> str:
    return text_of(list(types), [f"A{row}" for row in range(len(types))], formula)


def labelled(*labels: str, formula: str = "") -> str:
    return text_of([None] * len(labels), list(labels), formula)


@pytest.mark.parametrize(
    ("symbol", "element"),
    [
        ("Fe", "Fe"), ("Fe3+", "Fe"), ("Fe+3", "Fe"), ("O2-", "O"), ("O-2", "O"), ("Na1+", "Na"), ("Cu+", "Cu"),
        ("Fe2.5+", "Fe"), ("Ti(IV)", "Ti"), ("Fe1", "Fe"), ("FE", "Fe"), ("fe", "Fe"), ("SI", "Si"), ("Siva", "Si"),
        ("Cval", "C"), ("7Li", "Li"), ("11B", "B"), ("^57^Fe", "Fe"), ("2H", "H"), ("3H", "H"), ("D", "H"), ("T", "H"),
        ("D1+", "H"), ("No", "No"), ("Cs", "Cs"),
    ],
)  # fmt: skip
def test_type_symbols(symbol, element):
    assert elements(typed(symbol, "F")) == [element, "F"]


@pytest.mark.parametrize(
    "symbol",
    [
        "OH", "OH-", "Wat", "O-H", "NH4", "NH4+", "H2O", "H3O", "CO3", "SO4", "PO4", "CN", "CO", "NO", "HO", "CH3",
        "Vac", "Va", "Cg", "Du", "X", "A", "M", "Q", "R", "L", "Z", "Me", "Ph", "Lp", "E", "2O", "1Li", "40H",
        "Fe/Mn", "FeMn", "Fe,Mn", "Unk", "0", "*",
    ],
)  # fmt: skip
def test_type_symbols_that_are_no_elements(symbol):
    said = refusal(typed(symbol, "F"))
    assert repr(symbol) in said and "type symbol" in said


def test_type_symbols_that_are_settled_by_the_formula():
    assert elements(typed("CO", "O", formula="Co O")) == ["Co", "O"]
    # though formulas are not compared, nothing is guessed against them
    assert "formula" in refusal(typed("CO", "O", formula="Co O2"), formula_check="warn")


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["Fe1", "O1"], ["Fe", "O"]),
        (["FE1A", "O1W"], ["Fe", "O"]),
        (["Ca_a", "O(1)", "O_2"], ["Ca", "O", "O"]),
        (["Fe2+", "O2-"], ["Fe", "O"]),
        (["fe1", "o2"], ["Fe", "O"]),
        (["NA", "CL"], ["Na", "Cl"]),
    ],
)
def test_labels_without_type_symbols(labels, expected):
    assert elements(labelled(*labels)) == expected


@pytest.mark.parametrize(
    "label",
    [
        "OH1", "Oh1", "Wat1", "NH4", "HOh1", "T1", "D1", "Vac1", "Cg1", "Du1", "X1", "OW1", "Ow", "H2O", "H2O1", "H3O1",
        "CO3", "NO3", "SO4", "CN1", "CH3", "Oa1", "M1", "1", "?", "N2H4",
    ],
)  # fmt: skip
def test_labels_that_name_no_one_element(label):
    assert repr(label) in refusal(labelled(label, "F1"))


def test_labels_that_the_formula_settles_or_belies():
    assert elements(labelled("OW1", "Na1", formula="Na O")) == ["O", "Na"]
    assert elements(labelled("D1", "O1", formula="D O")) == ["H", "O"]
    assert elements(labelled("CA1", "N1", formula="C N")) == ["C", "N"]
    assert "formula" in refusal(labelled("OH1", "Na1", formula="H Na O"), formula_check="warn")
    assert "CA1" in refusal(labelled("CA1", "C1", "C2", formula="Ca C2"))


def test_type_symbols_go_before_labels():
    assert elements(text_of(["Ni", "O"], ["Fe1", "Wat"])) == ["Ni", "O"]
    assert elements(text_of(["?", "O"], ["Fe1", "OH"])) == ["Fe", "O"]


def test_tetrahedral_sites_are_no_tritium():
    around = ["0.2 0.2 0.2", "0.8 0.8 0.2", "0.2 0.8 0.8", "0.8 0.2 0.8"]
    sites = [("T", "0 0 0"), *[("O", place) for place in around]]
    assert "'T'" in refusal(cif(CUBE, sites))
    assert elements(cif(CUBE, [("T", "0 0 0"), ("Li", "0.5 0.5 0.5")])) == ["H", "Li"]


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("_atom_site_occupancy", ".", ""),
        ("_atom_site_occupancy", "?", ""),
        ("_atom_site_occupancy", "1.000(3)", ""),
        ("_atom_site_occupancy", "0.5", "occupancy of site 'Cs1' is 0.5"),
        ("_atom_site_occupancy", "0", "occupancy of site 'Cs1' is 0"),
        ("_atom_site_occupancy", "2", "occupancy of site 'Cs1' is 2"),
        ("_atom_site_occupancy", "full", "no number"),
        ("_atom_site_attached_hydrogens", "0", ""),
        ("_atom_site_attached_hydrogens", ".", ""),
        ("_atom_site_attached_hydrogens", "2", "2 attached hydrogen atoms"),
        ("_atom_site_calc_flag", "d", ""),
        ("_atom_site_calc_flag", "dum", "'Cs1' is a dummy atom"),
        ("_atom_site_disorder_group", ".", ""),
        ("_atom_site_disorder_group", "-1", "'Cs1' is one of several of a disorder"),
        ("_atom_site.Occupancy", "0.25", "occupancy"),
    ],
)
def test_columns_that_tell_whether_an_atom_stands_there(column, value, said):
    sites = [
        ("Cs1", "Cs", "0 0 0", value),
        ("Cl1", "Cl", "0.5 0.5 0.5", "." if "hydrogens" in column else "1"),
    ]
    text = cif(CUBE, sites, columns=column)
    if said:
        assert said in refusal(text)
    else:
        assert elements(text) == ["Cs", "Cl"]


def test_parts_of_a_disorder_are_refused():
    sites = [("O1", "O", "0 0 0", "1"), ("O2", "O", "0.25 0 0", "2")]
    assert "'O2' is one of several of a disorder" in refusal(
        cif(CUBE, sites, columns="_atom_site_disorder_group")
    )
    one_part = [("O1", "O", "0 0 0", "1"), ("O2", "O", "0.5 0 0", "1")]
    assert elements(cif(CUBE, one_part, columns="_atom_site_disorder_group")) == ["O", "O"]


def test_a_column_of_another_length_is_refused():
    text = cif(CUBE, [("Cs", "0 0 0")]) + "loop_\n_atom_site_occupancy\n1\n0.5\n"
    assert "2 values for 1 sites" in refusal(text)


def test_two_lists_of_atoms_are_refused():
    one = cif(CUBE, [("Cs", "0 0 0")])
    again = "loop_" + cif(CUBE, [("Rb", "0.5 0 0")]).split("loop_")[1]
    assert "stands twice" in refusal(one + again)
