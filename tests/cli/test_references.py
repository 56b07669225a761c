"""The verb references, and the verbs that then judge by any calculator."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

from gflownet_crystal.cli.main import main
from gflownet_crystal.models.energies import reference_tables
from gflownet_crystal.structures.convert import from_ase
from gflownet_crystal.structures.frames import structures_to_frame

EMT_WORD = "_target_=ase.calculators.emt.EMT"
QUIET = ("quiet=true", "threads=1", "device=cpu")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(reference_tables, "user_cache", lambda: tmp_path / "cache")
    alloy = bulk("Cu", "fcc", 3.75, cubic=True)
    alloy.symbols[0] = "Au"
    made = from_ase([alloy, bulk("Cu", "fcc", 3.6), bulk("Fe", "bcc", 2.87)])
    structures_to_frame(made, material_id=["alloy", "copper", "iron"]).to_parquet(tmp_path / "made.parquet")
    gold = from_ase([bulk("Au", "fcc", 4.08)])
    known = structures_to_frame(gold, material_id=["gold"], formation_energy_per_atom=[0.0])
    known.to_parquet(tmp_path / "known.parquet")
    return tmp_path


def references(folder: Path, *words: str) -> int:
    return main(["references", f"model.{EMT_WORD}", "elements=[Cu,Au,Fe]", *QUIET, *words])


def table(folder: Path) -> dict[str, dict[str, float]]:
    (path,) = (folder / "cache" / "references").glob("*.json")
    return json.loads(path.read_text())


def test_once_computed_they_serve_relax_evaluate_and_generate(folder: Path, capsys) -> None:
    structures = f"structures={folder / 'made.parquet'}"
    relaxing = ["relax", structures, f"model.{EMT_WORD}", f"out={folder / 'relaxed'}", "fmax=0.005", *QUIET]
    assert main(relaxing) == 2
    said = capsys.readouterr().err
    assert (
        said.count("\n") == 1 and f"references model.{EMT_WORD}" in said and not (folder / "relaxed").exists()
    )
    assert references(folder) == 0
    told = capsys.readouterr().out
    assert "2 of 3 elements" in told and "none of Fe (Fe: NotImplementedError" in told
    energy = table(folder)["energy"]
    assert set(energy) == {"Cu", "Au"}

    assert main(relaxing) == 0
    relaxed = pd.read_csv(folder / "relaxed" / "relaxed.csv")
    assert relaxed["status"].tolist() == ["converged", "converged", "failed"]
    # pure relaxed copper is the reference itself
    assert relaxed["energy_after"][1] == pytest.approx(0.0, abs=1e-4)
    given = bulk("Cu", "fcc", 3.75, cubic=True)
    given.symbols[0] = "Au"
    given.calc = EMT()
    before = (given.get_potential_energy() - energy["Au"] - 3 * energy["Cu"]) / 4
    assert relaxed["energy_before"][0] == pytest.approx(before, abs=1e-9)
    stored = json.loads((folder / "relaxed" / "settings.json").read_text())
    assert stored["model"] == "ase.calculators.emt.EMT()"

    capsys.readouterr()
    words = [
        structures,
        f"reference={folder / 'known.parquet'}",
        "metrics=[stability]",
        "relax.fmax=0.005",
        f"out={folder / 'judged'}",
    ]
    assert main(["evaluate", *words, f"judge.{EMT_WORD}", "cache=null", "threads=1"]) == 0
    figures = json.loads(capsys.readouterr().out)
    (name,) = figures["stability"]
    assert name.startswith("EMT-") and figures["stability"][name]["judge"] == "ase.calculators.emt.EMT()"
    rows = pd.read_csv(folder / "judged" / f"stability_{name}.csv")
    assert rows["energy_after"][0] == pytest.approx(relaxed["energy_after"][0], abs=1e-6)


def test_they_serve_generate_and_pipeline(folder: Path, capsys) -> None:
    assert references(folder, "elements=[Cu,Au]") == 0
    energy = table(folder)["energy"]
    header = "space_group,formula,a,b,c,alpha,beta,gamma"
    (folder / "specs.csv").write_text(f"{header}\n221,Cu3 Au1,3.75,3.75,3.75,90,90,90\n")
    words = [f"specs={folder / 'specs.csv'}", f"out={folder / 'made'}", "generator=quick", "format=null"]
    assert main(["generate", *words, f"judge.{EMT_WORD}", *QUIET]) == 0
    alloy = bulk("Cu", "fcc", 3.75, cubic=True)
    alloy.symbols[0] = "Au"
    alloy.calc = EMT()
    expected = (alloy.get_potential_energy() - energy["Au"] - 3 * energy["Cu"]) / 4
    made = pd.read_parquet(folder / "made" / "structures.parquet")
    assert made["formation_energy_per_atom"][0] == pytest.approx(expected, abs=1e-9)

    run = folder / "run"
    words = ["env=crystal_89", "proxy=mlp", "prior=null", "trainer.iterations=1", "trainer.batch_size=16"]
    words += [
        "policy.forward.n_hidden=8",
        "samples.n=20",
        "export.k=0",
        "quiet=true",
        "threads=1",
        f"run.dir={run}",
    ]
    assert main(["train_gfn", *words, "env.space_groups=[221,225]", "env.elements=[Cu,Au]"]) == 0
    words = [f"run={run}", f"out={folder / 'best'}", "k=1", "n=10", "tries=1", "generator=quick", "relax=1"]
    words += [f"energies.{EMT_WORD}", f"relax_model.{EMT_WORD}", "relaxation.steps=2", *QUIET]
    assert main(["pipeline", *words]) == 0
    summary = json.loads((folder / "best" / "summary.json").read_text())
    assert summary["energies"] == summary["relax_model"] == "ase.calculators.emt.EMT()"
    assert main(["pipeline", *words, "resume=true"]) == 0
    capsys.readouterr()
    assert main(["pipeline", *words, "resume=true", "energies.asap_cutoff=true"]) == 2
    assert "references" in capsys.readouterr().err


def test_what_is_kept_is_not_computed_again(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    assert references(folder, "elements=[Cu]") == 0
    first = table(folder)
    monkeypatch.setattr("gflownet_crystal.workflows.relaxing.reference_energies.least_energy", None)
    assert references(folder, "elements=[Cu]") == 0
    assert table(folder) == first
    monkeypatch.undo()
    monkeypatch.setattr(reference_tables, "user_cache", lambda: folder / "cache")
    assert references(folder) == 0
    assert table(folder)["energy"]["Cu"] == first["energy"]["Cu"] and set(table(folder)["energy"]) == {
        "Cu",
        "Au",
    }


def test_a_file_and_crystals_of_the_users_own(folder: Path, capsys) -> None:
    out = folder / "own.json"
    copper = from_ase([bulk("Cu", "fcc", 3.59)])
    structures_to_frame(copper, material_id=["mine"]).to_parquet(folder / "copper.parquet")
    words = [f"out={out}", f"data={folder / 'copper.parquet'}", "steps=0", "elements=[Cu]"]
    assert references(folder, *words) == 0
    # nearer to its minimum than the crystal of ASE's table, at 3.61 A
    assert json.loads(out.read_text())["crystal"] == {"Cu": "mine"}
    relaxing = [
        "relax",
        f"structures={folder / 'copper.parquet'}",
        f"model.{EMT_WORD}",
        f"model.references={out}",
    ]
    assert main([*relaxing, f"out={folder / 'relaxed'}", "steps=0", *QUIET]) == 0
    energy = pd.read_csv(folder / "relaxed" / "relaxed.csv")["energy_before"][0]
    assert energy == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["model=chgnet"], "by dotted path"),
        ([f"model.{EMT_WORD}", "elements=[Xx]"], "'Xx'"),
        ([f"model.{EMT_WORD}", "elements=[]"], "elements"),
        ([f"model.{EMT_WORD}", "elements=[Fe]"], "NotImplementedError"),
        ([f"model.{EMT_WORD}", "fmax=0"], "fmax"),
        ([f"model.{EMT_WORD}", "data=made.parquet"], "made.parquet"),
        (["model._target_=ase.calculators.emt.Nothing"], "does not exist"),
        (["model._target_=EMT"], "dotted path"),
        ([], "model"),
    ],
)
def test_errors_are_one_line(folder: Path, capsys, words: list[str], said: str) -> None:
    assert main(["references", *words, *QUIET]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and said in told
    assert not (folder / "cache").exists() or not list((folder / "cache").rglob("*.json"))
