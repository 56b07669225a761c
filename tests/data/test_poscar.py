"""POSCAR files in all their forms, against ASE's reader and hand-made answers."""

from __future__ import annotations

from io import StringIO

import numpy as np
import pytest
from ase.io.vasp import read_vasp

from gflownet_crystal.data.poscar import row_of_poscar

DIRECT = """halite
{scale}
 0.0 2.0 2.0
 2.0 0.0 2.0
 2.0 2.0 0.0
Na Cl
1 1
{mode}
{first}
{second}
"""


def text(scale: str = "1.41", mode: str = "Direct", first: str = "0 0 0", second: str = "0.5 0.5 0.5") -> str:
    return DIRECT.format(scale=scale, mode=mode, first=first, second=second)


@pytest.mark.parametrize(
    "content",
    [
        text(),
        text("-44.851536"),
        text("-44.851536", "Cartesian", second="2 2 2"),
        text("1.41 1.41 1.41"),
        text("1.0 1.2 1.5", "Cartesian", second="2 2 2"),
        text(mode="Selective dynamics\nDirect", first="0 0 0 T T F", second="0.5 0.5 0.5 F F F"),
        text(mode="kartesian", second="2.0 2.0 2.0 Cl"),
        text() + "\n0.1 0.2 0.3\n0.0 0.0 0.0\n",
        text() + "Lattice velocities and vectors\n 1\n 0.1 0 0\n",
    ],
)
def test_forms_agree_with_ase(content: str) -> None:
    row = row_of_poscar(content, "one")
    known = read_vasp(StringIO(content))
    assert not row.reason
    np.testing.assert_allclose(row.lattice, known.cell.array, rtol=1e-12)
    assert row.numbers == known.numbers.tolist()
    np.testing.assert_allclose(row.points @ row.lattice, known.positions, atol=1e-12)


def test_names_of_potentials_and_lists_over_several_lines() -> None:
    lines = text().splitlines()
    lines[5:7] = ["Na_pv/f474ac0d", "Cl/79d9987ad87", "1", "1"]
    assert row_of_poscar("\n".join(lines), "one").numbers == [11, 17]


def test_symbols_behind_coordinates() -> None:
    content = text(first="0 0 0 Na", second="0.5 0.5 0.5 Cl").replace("Na Cl\n1 1", "1 1")
    assert row_of_poscar(content, "one").numbers == [11, 17]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (text().replace("Na Cl\n", ""), "does not name its elements"),
        (text().replace("Na Cl", "Na"), "1 symbols for 2 numbers"),
        (text().replace("1 1\n", "1 -1\n"), "no number of atoms"),
        (text().replace("Na Cl", "Na Wat"), "'Wat' is no element"),
        (text("0.0"), "scale"),
        (text("nan"), "scale"),
        (text("1e308"), "makes the cell infinite"),
        (text().replace("1 1\n", "1 3\n"), "ends too early"),
        (text().replace("1 1\n", "1 1000000\n"), "ends too early"),
        (text() + "0.1 0.2 0.3\n", "more coordinates"),
        (text(second="0.5 half 0.5"), "half"),
        ("", "ends too early"),
    ],
)
def test_what_does_not_say_which_crystal_it_is_is_refused(content: str, said: str) -> None:
    row = row_of_poscar(content, "one")
    assert said in row.reason and "\n" not in row.reason
