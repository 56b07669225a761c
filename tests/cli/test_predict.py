"""The verb ``predict`` end to end: files, lists of formulas, resume, errors of one line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from pymatgen.core import Composition, Lattice, Structure

from gflownet_crystal.cli.main import main
from gflownet_crystal.common.files import read_json
from gflownet_crystal.structures.spec_io import frame_to_specs
from gflownet_crystal.workflows.settings.predict import PredictSettings

QUICK = (
    "templates=3",
    "cells=4",
    "n=2",
    "threads=1",
    "quiet=true",
    "device=cpu",
    "energies=null",
    "generator.tries=1",
)


def predict(out: Path, *words: str) -> int:
    return main(["predict", f"out={out}", *QUICK, *words])


def test_structures_have_the_formula_group_and_lattice_asked_for(tmp_path: Path, capsys) -> None:
    out = tmp_path / "nacl"
    given = ("formula=NaCl", "space_group=Fm-3m", "lattice=[5.64,5.64,5.64,90,90,90]")
    assert predict(out, *given) == 0
    assert "the best Na4 Cl4 in space group 225" in capsys.readouterr().out
    table = pd.read_csv(out / "candidates.csv")
    assert table["rank"].tolist() == list(range(1, len(table) + 1)) and len(table) >= 1
    assert (table["space_group"] == 225).all() and (table["a"] == 5.64).all()
    assert table["formula"][0] == "Na4 Cl4" and 0.0 < table["probability"][0] <= 1.0
    assert Structure.from_file(out / table["cif"][0]).composition.formula == "Na4 Cl4"
    summary = read_json(out / "summary.json")
    assert summary["formula"] == "NaCl" and summary["best_space_group"] == 225


def test_each_formula_of_a_list_is_kept_and_an_impossible_one_is_told(tmp_path: Path, capsys) -> None:
    listed, out = tmp_path / "formulas.txt", tmp_path / "out"
    listed.write_text("NaCl\n\nLi2O\nCa7Na5O31\n")
    words = (f"formulas={listed}", "space_group=[225]", "most_atoms=4")
    assert predict(out, *words) == 0
    said = capsys.readouterr().out
    assert "NaCl: " in said and "fits no Wyckoff positions" in said
    summary = read_json(out / "summary.json")["predictions"]
    assert [one["formula"] for one in summary] == ["NaCl", "Li2O", "Ca7Na5O31"]
    assert summary[2]["structures"] == 0 and summary[2]["reason"]
    # what is done is not done again
    (out / "Li2O" / "summary.json").unlink()
    kept = (out / "NaCl" / "candidates.csv").stat().st_mtime_ns
    assert predict(out, *words) == 2
    assert predict(out, *words, "resume=true") == 0
    assert (out / "Li2O" / "summary.json").is_file()
    assert (out / "NaCl" / "candidates.csv").stat().st_mtime_ns == kept


def test_a_crystal_is_varied_in_three_ways(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    halite = tmp_path / "halite.cif"
    cell = Lattice.cubic(5.64)
    Structure.from_spacegroup(225, cell, ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]).to(filename=str(halite))
    ways = {
        "substituted": (["sites={Na:[K],Cl:[F]}"], "K F", [225]),
        "doped": (["supercell=[1,1,1]", "dope={Na:{K:1}}"], "K Na3 Cl4", [221]),
        "moved": (["keep=elements", "templates=0", "cells=3", "n=9"], "Na Cl", None),
    }
    for name, (words, formula, groups) in ways.items():
        assert predict(tmp_path / name, f"start={halite}", *words) == 0
        said = capsys.readouterr().out
        assert max(map(len, said.splitlines()[:-1])) <= 80 and "NaCl: " in said
        table = pd.read_csv(tmp_path / name / "candidates.csv")
        expected = Composition(formula).reduced_formula
        assert {Composition(one).reduced_formula for one in table["formula"]} == {expected}
        assert groups is None or table["space_group"].tolist() == groups
        # the table is a spec file: its letters can be given to a generator
        assert frame_to_specs(table).sites.any()
    assert (table["a"] - 5.64).abs().min() < 1e-9


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "give either formula=NaCl"),
        (["formula=NaCl", "formulas=[NaCl]"], "give either formula=NaCl"),
        (["formulas=[NaCl]", "sites={A:[Na]}"], "sites goes with formula"),
        (["formula=NaCl", "start=halite.cif"], "give either formula=NaCl"),
        (["start=missing.cif"], "no data at missing.cif"),
        (["start=halite.cif", "keep=group"], "keep is one of prototype, elements"),
        (["start=halite.cif", "space_group=225"], "leave out space_group"),
        (["start=halite.cif", "supercell=[2,1,1]"], "supercell and dope go together"),
        (["formula=NaCl", "supercell=[2,1,1]", "dope={Na:{K:1}}"], "dope goes with start=FILE"),
        (["start=halite.cif", "keep=elements", "sites={Na:[K]}"], "sites goes with keep=prototype"),
        (["formula=NaCl", "relax=2"], "relax=2 needs energies"),
        (["formula=Xx2"], "no element Xx"),
        (["formula=NaCl", "n=0"], "n must be at least 1, not 0"),
        (["formula=NaCl", "temperature=-1"], "temperature must be at least 0, not -1"),
        (["formula=NaCl", "by_prototypes=2"], "by_prototypes must be at least 0 and at most 1, not 2"),
        (["formula=NaCl", "lattice=[5,5,5]"], "six numbers"),
        (["formula=NaCl", "space_group=Fm9"], "Fm9"),
        (["formulas=missing.txt"], "cannot read formulas=missing.txt"),
        (["formula=Na30Cl31", "most_atoms=10"], "raise most_atoms"),
        (["formula=NaCl", "space_group=225", "lattice=[5,5,6,90,90,90]"], "fits no Wyckoff positions"),
    ],
)
def test_what_cannot_be_done_is_told_in_a_line(tmp_path: Path, capsys, words: list[str], says: str) -> None:
    assert predict(tmp_path / "out", *words) == 2
    told = capsys.readouterr().err
    assert says in told and told.count("\n") == 1


def test_a_given_lattice_stays_when_the_best_are_relaxed() -> None:
    given = PredictSettings(out=Path("out"), formula="NaCl", relax=3)
    assert given.relaxation.cell
    assert not replace(given, lattice=[5.6, 5.6, 5.6, 90, 90, 90]).relaxation.cell
