"""docs/own_generator.md, done as it says in an empty folder; its crystals are judged by pymatgen and spglib."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from pymatgen.core import Composition, Structure
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer
from pymatgen.symmetry.groups import SpaceGroup

from tests.own_pages import run_page


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """The folder after all commands of the page."""
    place = tmp_path_factory.mktemp("own")
    run_page("own_generator.md", place, {"generate": ["threads=1", "quiet=true"]})
    return place


def test_every_spec_is_a_crystal_or_told_as_left_out(folder):
    specs = pd.read_csv(folder / "specs.csv")
    made = sorted((folder / "structures" / "cif").glob("*.cif"))
    assert len(made) >= 3
    assert len(made) + len(pd.read_csv(folder / "structures" / "unplaced.csv")) == len(specs)


def test_crystals_have_the_composition_the_cell_and_the_symmetry_asked_for(folder):
    specs = pd.read_csv(folder / "specs.csv").set_index("formula")
    asked = {Composition(formula.replace(" ", "")): row for formula, row in specs.iterrows()}
    for path in (folder / "structures" / "cif").glob("*.cif"):
        crystal = Structure.from_file(path)
        row = asked[crystal.composition]
        assert crystal.lattice.abc == pytest.approx(row[["a", "b", "c"]].tolist(), rel=1e-5)
        assert crystal.lattice.angles == pytest.approx(row[["alpha", "beta", "gamma"]].tolist(), abs=1e-4)
        found = SpacegroupAnalyzer(crystal, symprec=0.01).get_space_group_number()
        # draws may have a higher symmetry by chance, never a lower one
        wanted = SpaceGroup.from_int_number(int(row["space_group"]))
        assert SpaceGroup.from_int_number(found).order >= wanted.order / 4
        assert found == row["space_group"] or wanted.is_subgroup(SpaceGroup.from_int_number(found))
