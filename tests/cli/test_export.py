"""The verb ``export`` end to end on run folders made by hand: files, ranks, replacements and errors of one line."""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path

import ase.io
import numpy as np
import pandas as pd
import pytest
import torch
from pymatgen.core import Composition, Structure

from gflownet_crystal.cli.main import main
from gflownet_crystal.models.energies.trained import TrainedEnergies
from gflownet_crystal.proxies.reference_hull import ReferenceHull
from gflownet_crystal.structures.convert import from_ase, from_pymatgen
from gflownet_crystal.structures.spec_io import frame_to_specs, read_specs
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.structures.symmetry import find_space_groups, symmetry_error
from gflownet_crystal.workflows.candidates import hulls
from tests.cli.tiny_weights import loose_contacts

RIGHT, HEXAGONAL = (90.0, 90.0, 90.0), (90.0, 90.0, 120.0)
CRYSTALS = [
    # group, formula of the conventional cell, lengths, angles
    (225, "Na4 Cl4", (5.64, 5.64, 5.64), RIGHT),
    (225, "Na4 Cl4", (5.66, 5.66, 5.66), RIGHT),  # a duplicate of the first
    (225, "Na4 Cl4", (6.20, 6.20, 6.20), RIGHT),  # the same crystal once it has atoms
    (221, "Cs1 Cl1", (4.12, 4.12, 4.12), RIGHT),
    (221, "Li1 O1 F1", (4.0, 4.0, 4.0), RIGHT),  # no Wyckoff assignment
    (221, "Sr1 Ti1 O3", (3.9, 3.9, 3.9), RIGHT),
    (216, "Zn4 S4", (5.41, 5.41, 5.41), RIGHT),
    (227, "Mg8 Al16 O32", (8.08, 8.08, 8.08), RIGHT),
    (136, "Ti2 O4", (4.594, 4.594, 2.959), RIGHT),
    (186, "Zn2 O2", (3.25, 3.25, 5.2), HEXAGONAL),
    (167, "Al12 O18", (4.76, 4.76, 12.99), HEXAGONAL),
    (62, "Ca4 Ti4 O12", (5.38, 7.64, 5.44), RIGHT),
    (14, "Zr4 O8", (5.15, 5.21, 5.31), (90.0, 99.2, 90.0)),
    (2, "B2 P2 O8", (4.6, 5.4, 6.9), (81.0, 97.0, 103.0)),
    (1, "Li2 N1 O2", (4.1, 4.9, 5.3), (85.0, 99.0, 107.0)),
]


def write_run(folder: Path, unit: str = "eV", crystals: list = CRYSTALS) -> Path:
    folder.mkdir()
    group, formula, lengths, angles = zip(*crystals, strict=True)
    frame = pd.DataFrame({"space_group": group, "formula": formula})
    frame[["a", "b", "c"]], frame[["alpha", "beta", "gamma"]] = lengths, angles
    specs = frame_to_specs(frame)
    frame["volume_per_atom"] = specs.volume_per_atom.numpy()
    frame["energy"] = np.linspace(-3, -2, len(frame))
    frame["energy_std"] = 0.1
    frame["log_reward"] = -frame["energy"]
    frame.to_parquet(folder / "samples.parquet")
    (folder / "summary.json").write_text(json.dumps({"property": "formation_energy_per_atom", "unit": unit}))
    return folder


def command(run: Path, out: Path, *more: str) -> list[str]:
    return [
        "export",
        f"run={run}",
        f"out={out}",
        "quiet=true",
        "generator=placement",
        "generator.tries=300",
        "generator.keep=20",
        *more,
    ]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = write_run(tmp_path_factory.mktemp("run") / "run")
    out = run.parent / "best"
    # the simplest of generators leaves little room, which is not the matter here
    words = ("k=12", "screening.within=null", loose_contacts(run.parent))
    assert main(command(run, out, *words)) == 0
    return out


def test_the_table_ranks_distinct_placeable_crystals(exported: Path) -> None:
    table = pd.read_csv(exported / "candidates.csv")
    assert list(table.columns) == [
        *("rank", "space_group", "formula", "a", "b", "c", "alpha", "beta", "gamma"),
        *("volume_per_atom", "energy", "energy_std", "log_reward", "e_above_hull"),
        *("energy_before", "energy_before_std", "e_above_hull_judged", "contact", "contact_ratio"),
        *("hull_entries", "known_formula", "known_formula_and_group", "relative", "status", "reason"),
        *("sample", "try", "cif"),
    ]
    kept = [formula for row, (_, formula, _, _) in enumerate(CRYSTALS) if row not in (1, 2, 4)]
    assert [Composition(formula) for formula in table["formula"]] == [
        Composition(formula) for formula in kept
    ]
    assert table["rank"].tolist() == list(range(1, 13))
    assert table["log_reward"].is_monotonic_decreasing
    assert table["e_above_hull"].isna().all()
    assert table["cif"].iloc[0] == "001_NaCl.cif"
    files = [*table["cif"], "candidates.csv", "left_out.csv", "summary.json"]
    assert sorted(path.name for path in exported.iterdir()) == sorted(files)


def test_each_cif_is_its_spec_for_both_parsers_and_moyo(exported: Path) -> None:
    table = read_specs(exported / "candidates.csv")
    specs = frame_to_specs(table)
    for row, name in enumerate(table["cif"]):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            read = [
                from_pymatgen([Structure.from_file(exported / name)]),
                from_ase([ase.io.read(exported / name)]),
            ]
        for one in read:
            found = one.specs()
            assert found.composition[0].equal(specs.composition[row])
            # six decimals
            torch.testing.assert_close(found.lengths[0], specs.lengths[row], rtol=0, atol=6e-7)
            torch.testing.assert_close(found.angles[0], specs.angles[row], rtol=0, atol=6e-7)
            group = specs.space_group[row : row + 1]
            claimed = StructureBatch(one.cell, one.atomic_numbers, one.fractional, one.structure_index, group)
            assert symmetry_error(claimed).item() < 1e-5
            assert find_space_groups(one, symprec=0.01).equal(group)


def test_energies_above_hull_decide_where_they_are_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_run(tmp_path / "run", unit="eV/atom")
    monkeypatch.setattr(hulls, "energies_above_hull", lambda frame, hull: -frame["energy"].to_numpy() - 2)
    assert main(command(run, tmp_path / "best", "k=3", "energies=null")) == 0
    table = pd.read_csv(tmp_path / "best" / "candidates.csv")
    assert table["formula"].tolist() == ["Li2 N1 O2", "B2 P2 O8", "Zr4 O8"]
    assert table["e_above_hull"].is_monotonic_increasing
    assert "within 0.1 eV/atom" in capsys.readouterr().out


def test_the_number_left_out_and_a_shortage_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_run(tmp_path / "run", crystals=CRYSTALS[:6])
    assert main(command(run, tmp_path / "best", "k=10")) == 0
    said = capsys.readouterr().out
    assert "3 candidates" in said
    assert "1 samples left out because their atoms could not be placed" in said
    assert "fewer than the 10 asked for" in said


def test_candidates_are_what_is_near_the_hull_with_atoms_and_each_stage_is_counted(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", unit="eV/atom")
    words = (
        "k=3",
        "screening.better=1",
        "screening.fill=false",
        "screening.within=0.1",
        "generator.tries=40",
    )
    assert main(command(run, tmp_path / "best", *words)) == 0
    table, left_out = (pd.read_csv(tmp_path / "best" / f"{name}.csv") for name in ("candidates", "left_out"))
    structures = from_pymatgen([Structure.from_file(tmp_path / "best" / name) for name in table["cif"]])
    energy, std = TrainedEnergies("alignn").predict(structures)
    above = energy - ReferenceHull.from_weights().hull_energy(structures.composition)
    np.testing.assert_allclose(table["energy_before"], energy.numpy(), atol=2e-4)
    np.testing.assert_allclose(table["energy_before_std"], std.numpy(), atol=2e-4)
    np.testing.assert_allclose(table["e_above_hull_judged"], above.numpy(), atol=2e-4)
    # nothing is gained below the hull
    key = list(zip(table["e_above_hull_judged"].clip(lower=0), table["energy_before_std"], strict=True))
    assert key == sorted(key) and (above <= 0.1).all()
    assert (table["contact_ratio"] >= 1).all() and (table["status"] == "generated").all()
    # all of them are among the commonest compounds
    assert table[["known_formula", "known_formula_and_group"]].all().all()
    reduced = [Composition(formula).reduced_formula for formula in table["formula"]]
    assert [Composition(name).reduced_formula for name in table["relative"]] == reduced
    summary = json.loads((tmp_path / "best" / "summary.json").read_text())
    counts = {row["stage"]: row["n"] for row in summary["funnel"]}
    assert counts["sampled"] == len(CRYSTALS) and counts["distinct"] == len(CRYSTALS) - 1
    assert counts["tried"] == len(table) + len(left_out) and counts["candidates"] == len(table) == 3
    far = left_out[left_out["status"] == "far"]
    assert (far["e_above_hull_judged"] > 0.1).all() and far["cif"].isna().all()


def test_known_formulas_can_be_left_out(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", crystals=[*CRYSTALS[:1], *CRYSTALS[-1:]])
    assert main(command(run, tmp_path / "best", "k=3", "screening.known=formula", "energies=null")) == 0
    table = pd.read_csv(tmp_path / "best" / "candidates.csv")
    assert table["formula"].tolist() == ["Li2 N1 O2"] and not table["known_formula"].any()


def test_crystals_near_the_hull_come_before_those_of_higher_reward(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    words = ("k=12", "screening.within=0.1", loose_contacts(tmp_path))
    assert main(command(run, tmp_path / "best", *words)) == 0
    table = pd.read_csv(tmp_path / "best" / "candidates.csv")
    near = table["e_above_hull_judged"] <= 0.1
    assert 0 < near.sum() < 12 and near.is_monotonic_decreasing
    assert table["log_reward"][near].is_monotonic_decreasing


def test_a_formula_can_be_limited(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", crystals=CRYSTALS[:4])
    assert (
        main(command(run, tmp_path / "best", "k=3", "screening.max_per_formula=1", "screening.within=null"))
        == 0
    )
    assert pd.read_csv(tmp_path / "best" / "candidates.csv")["formula"].tolist() == ["Na4 Cl4", "Cs1 Cl1"]


def test_a_smaller_export_leaves_no_stale_cifs(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", crystals=CRYSTALS[:7])
    own = tmp_path / "best" / "notes.cif"
    own.parent.mkdir()
    own.write_text("mine")
    assert main(command(run, tmp_path / "best", "k=5", "overwrite=true", "screening.within=null")) == 0
    # a table that someone else has filled says nothing of what may be removed
    table = own.parent / "candidates.csv"
    listed = pd.read_csv(table)
    pd.concat([listed, listed.head(1).assign(cif="notes.cif")]).to_csv(table, index=False)
    assert main(command(run, tmp_path / "best", "k=2", "overwrite=true", "screening.within=null")) == 0
    names = {path.name for path in own.parent.iterdir()}
    assert names == {
        "candidates.csv", "left_out.csv", "summary.json", "notes.cif", "001_NaCl.cif", "002_CsCl.cif",
    }  # fmt: skip


def test_a_folder_that_holds_something_is_left_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_run(tmp_path / "run", crystals=CRYSTALS[:7])
    other = tmp_path / "best" / "001_NaCl.cif"
    other.parent.mkdir()
    other.write_text("mine")
    assert main(command(run, tmp_path / "best", "k=2")) == 2
    told = capsys.readouterr().err
    assert "overwrite=true" in told and str(other.parent) in told and told.count("\n") == 1
    assert [path.read_text() for path in other.parent.iterdir()] == ["mine"]
    assert main(command(run, tmp_path / "best.csv", "k=2")) == 2
    assert "named like a file" in capsys.readouterr().err and not (tmp_path / "best.csv").exists()


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (["run=nowhere"], "nowhere"),
        (["k=0"], "k must be"),
        (["generator=teleport"], "wyckoff"),
        (["screening.max_per_formula=0"], "max_per_formula"),
        (["screening.known=perhaps"], "screening.known"),
        (["screening.better=0"], "better"),
        (["screening.contacts=nowhere"], "nowhere"),
        (["choose_from=1"], "choose_from"),
        (["tries=0"], "tries"),
        (["+tries=null"], "tries must be a whole number"),
        (["energies=oracle"], "oracle"),
        (["generator.tries=0"], "tries"),
        (["screening.volume_tolerance=wide"], "volume_tolerance"),
        (["quiet=perhaps"], "quiet"),
        (["samples=absent.csv"], "absent.csv"),
        (["samples=absent.csv", "n=10"], "both"),
    ],
)
def test_wrong_settings_give_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], settings: list[str], told: str
) -> None:
    run = write_run(tmp_path / "run", crystals=CRYSTALS[:2])
    assert main(command(run, tmp_path / "best", *settings)) == 2
    error = capsys.readouterr().err
    assert told in error
    assert len(error.strip().splitlines()) == 1
    assert not (tmp_path / "best" / "candidates.csv").exists()


def test_a_damaged_sample_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write_run(tmp_path / "run", crystals=CRYSTALS[:2])
    pd.read_parquet(run / "samples.parquet").drop(columns="beta").to_parquet(run / "samples.parquet")
    assert main(command(run, tmp_path / "best")) == 2
    assert "beta" in capsys.readouterr().err
    foreign = tmp_path / "foreign.csv"
    pd.read_parquet(write_run(tmp_path / "other") / "samples.parquet").drop(columns="energy").to_csv(foreign)
    assert main(command(run, tmp_path / "best", f"samples={foreign}")) == 2
    assert "energy" in capsys.readouterr().err


def test_an_unwritable_folder_is_refused_before_any_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_run(tmp_path / "run", crystals=CRYSTALS[:2])
    blocked = tmp_path / "blocked"
    blocked.write_text("a file, not a folder")
    assert main(command(run, blocked / "best")) == 2
    assert "cannot write" in capsys.readouterr().err
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)
    if not os.access(closed, os.W_OK):
        assert main(command(run, closed)) == 2
        assert "cannot write" in capsys.readouterr().err
