"""The verb relax: results, failures in one line, and going on after a stop."""

from __future__ import annotations

import json
from pathlib import Path

import ase.io
import gemmi
import numpy as np
import pandas as pd
import pytest
import torch
from ase.build import bulk

from gflownet_crystal.cli import relax as verb
from gflownet_crystal.cli.main import main
from gflownet_crystal.common.files import write_text
from gflownet_crystal.common.progress import Progress
from gflownet_crystal.data.readers import read_source
from gflownet_crystal.structures.cif import structures_to_cif
from gflownet_crystal.structures.convert import from_ase
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.structures.symmetry import conventional_structures
from gflownet_crystal.workflows.relaxing import relaxing
from tests.relaxation.metals import emt_energies

NAMES = ["0_copper", "1_broken", "2_gold", "3_alloyed", "4_iron"]
QUICK = ("model=emt", "quiet=true", "steps=40", "threads=1")


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relaxing, "load_energies", lambda name: emt_energies())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    alloy = bulk("Cu", "fcc", 3.8, cubic=True)
    alloy.symbols[0] = "Au"
    crystals = [bulk("Cu", "fcc", 3.7), None, bulk("Au", "fcc", 4.0), alloy, bulk("Fe", "bcc", 2.87)]
    made = tmp_path_factory.mktemp("candidates")
    for name, crystal in zip(NAMES, crystals, strict=True):
        if crystal is None:
            write_text(made / f"{name}.cif", "not a crystal")
        else:
            structure = conventional_structures(from_ase([crystal]))
            write_text(made / f"{name}.cif", structures_to_cif(structure)[0])
    return made


def table(out: Path) -> pd.DataFrame:
    return pd.read_csv(out / "relaxed.csv").drop(columns="seconds")


def test_good_ones_are_relaxed_and_bad_ones_reported(tmp_path: Path, folder: Path, capsys) -> None:
    assert main(["relax", f"structures={folder}", f"out={tmp_path / 'out'}", *QUICK]) == 0
    said = capsys.readouterr().out
    assert "3 of 5 crystals relaxed" in said and "2 failed" in said
    rows = table(tmp_path / "out").set_index("name")
    assert rows.index.tolist() == NAMES
    assert rows.loc["1_broken", "status"] == rows.loc["4_iron", "status"] == "failed"
    assert "CIF" in rows.loc["1_broken", "reason"] and "element" in rows.loc["4_iron", "reason"]
    good = rows.loc[["0_copper", "2_gold", "3_alloyed"]]
    assert (good["status"] == "converged").all()
    assert (good["energy_after"] <= good["energy_before"]).all()
    assert good["space_group_before"].tolist() == good["space_group_after"].tolist() == [225, 225, 221]
    assert (good["max_force_after"] <= 0.05).all()
    assert all((tmp_path / "out" / name).is_file() for name in good["cif"])
    assert len(pd.read_parquet(tmp_path / "out" / "relaxed.parquet")) == 3


def test_formats_have_the_cell_that_was_given_and_cifs_the_standard_one(tmp_path: Path, folder: Path) -> None:
    ase.io.write(tmp_path / "primitive.extxyz", [bulk("Cu", "fcc", 3.7), bulk("Au", "fcc", 4.0)])
    out = tmp_path / "out"
    words = [
        "relax",
        f"structures={tmp_path / 'primitive.extxyz'}",
        f"out={out}",
        *QUICK,
        "format=[extxyz,db]",
    ]
    assert main(words) == 0
    rows = table(out)
    frames = ase.io.read(out / "structures.extxyz", index=":")
    assert [len(atoms) for atoms in frames] == [1, 1]
    for atoms, name, energy in zip(frames, rows["cif"], rows["energy_after"], strict=True):
        small = gemmi.read_small_structure(str(out / name))
        assert small.spacegroup.number == 225 and len(small.sites) == 1
        assert small.cell.a == pytest.approx(np.sqrt(2) * atoms.cell.lengths()[0], abs=1e-6)
        assert atoms.info["formation_energy_per_atom"] == pytest.approx(energy, rel=1e-7)
        assert atoms.info["status"] == "converged" and atoms.info["energy_source"] == "emt"
    read = read_source(out / "structures.db")
    assert read["material_id"].tolist() == rows["name"].tolist()
    assert read["formation_energy_per_atom"].tolist() == pytest.approx(
        rows["energy_after"].tolist(), rel=1e-7
    )
    # the folder holds each crystal once
    assert len(read_source(out)) == 2


def test_crowded_atoms_fail_and_are_named(tmp_path: Path, capsys) -> None:
    crystals = [bulk("Cu", "fcc", 3.7, cubic=True) for _ in range(2)]
    crystals[0].positions[1] = crystals[0].positions[0] + [0.0, 0.0, 0.3]
    ase.io.write(tmp_path / "made.extxyz", crystals, format="extxyz")
    assert main(["relax", f"structures={tmp_path / 'made.extxyz'}", f"out={tmp_path / 'out'}", *QUICK]) == 0
    assert "1 failed" in capsys.readouterr().out
    rows = table(tmp_path / "out")
    assert rows["status"].tolist() == ["failed", "converged"]
    assert "atoms closer than 0.5 Å" in rows["reason"][0]


@pytest.mark.parametrize("stored", [[], "text", 3, None])
def test_settings_of_another_kind_are_told_at_resume(
    tmp_path: Path, folder: Path, capsys, stored: object
) -> None:
    words = ["relax", f"structures={folder}", f"out={tmp_path / 'out'}", *QUICK]
    assert main(words) == 0
    before = table(tmp_path / "out")
    (tmp_path / "out" / "settings.json").write_text(json.dumps(stored))
    capsys.readouterr()
    assert main([*words, "resume=true"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "settings.json is damaged" in said
    assert table(tmp_path / "out").equals(before)


def test_it_goes_on_with_what_is_not_done(tmp_path: Path, folder: Path, monkeypatch, capsys) -> None:
    words = ["relax", f"structures={folder}", *QUICK]
    assert main([*words, f"out={tmp_path / 'whole'}"]) == 0
    advance, done = Progress.advance, []

    def killed(self: Progress, message: str) -> None:
        advance(self, message)
        done.append(message)
        if len(done) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(Progress, "advance", killed)
    cut = [*words, f"out={tmp_path / 'cut'}"]
    assert main(cut) == 130
    kept = table(tmp_path / "cut")["name"].tolist()
    assert len(kept) == 3 and {message.split()[0] for message in done} == set(kept) < set(NAMES)
    assert main([*cut, "resume=true"]) == 0
    assert len(done) == 5
    pd.testing.assert_frame_equal(table(tmp_path / "cut"), table(tmp_path / "whole"))
    # nothing is left to do
    assert main([*cut, "resume=true"]) == 0 and len(done) == 5
    # another input or other settings are another run
    capsys.readouterr()
    for given, said in (("fmax=0.01", "fmax"), (f"structures={folder / '2_gold.cif'}", "structures")):
        assert main([*cut, "resume=true", given]) == 2
        assert said in capsys.readouterr().err


def test_an_interrupt_says_how_to_go_on(tmp_path: Path, folder: Path, monkeypatch, capsys) -> None:
    asked = iter([False, True])
    relax_items = relaxing.relax_items
    monkeypatch.setattr(
        relaxing, "relax_items", lambda *arguments: relax_items(*arguments[:-1], lambda: next(asked))
    )
    assert main(["relax", f"structures={folder}", f"out={tmp_path / 'out'}", *QUICK]) == 130
    # the one that cannot be read, and the one that was taken before the interrupt
    assert "2 of 5 crystals are done" in capsys.readouterr().err
    assert len(table(tmp_path / "out")) == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["fmax=0"], "fmax"),
        (["steps=many"], "steps"),
        (["symmetry=1"], "symmetry"),
        (["processes=0"], "processes"),
        (["structures=nowhere.cif"], "nowhere.cif"),
        (["stpes=3"], "steps"),
        (["device=tpu9"], "tpu9"),
    ],
)
def test_errors_are_one_line(tmp_path: Path, folder: Path, capsys, words: list[str], said: str) -> None:
    out = tmp_path / "out"
    assert main(["relax", f"structures={folder}", f"out={out}", *QUICK, *words]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and said in err
    assert not out.exists()


def test_a_folder_in_use_is_not_written_to(tmp_path: Path, folder: Path, capsys) -> None:
    write_text(tmp_path / "notes.txt", "mine")
    words = ["relax", f"structures={folder}", f"out={tmp_path}", *QUICK]
    assert main(words) == 2 and "resume=true" in capsys.readouterr().err
    assert main([*words, "resume=true"]) == 2 and "not made by this verb" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_an_unknown_model_lists_the_choices(tmp_path: Path, folder: Path, monkeypatch, capsys) -> None:
    monkeypatch.undo()
    assert main(["relax", f"structures={folder}", f"out={tmp_path / 'out'}", *QUICK]) == 2
    assert "chgnet, sevenn" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "told"), [("alignn", True), ("sevenn:7net-l3i5", False)])
def test_the_model_is_the_best_that_is_installed_unless_one_is_named(
    name: str, told: bool, tmp_path: Path, folder: Path, monkeypatch, capsys
) -> None:
    monkeypatch.setattr(verb, "recommended", lambda: name)
    words = [f"structures={folder}", f"out={tmp_path / 'out'}", "steps=0", "threads=1"]
    assert main(["relax", *words, "version=7net-0"]) == 2
    assert f"a version needs a model: give model={name.partition(':')[0]}:7net-0" in capsys.readouterr().err
    assert main(["relax", *words]) == 0
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("model=")]
    assert line.startswith(f"model={name} relaxes") and ("is not installed" in line) is told
    assert json.loads((tmp_path / "out" / "settings.json").read_text())["model"] == name
    # one that is named is taken, and nothing is said
    assert main(["relax", *words, "model=emt", "quiet=true", "resume=true"]) == 2
    assert "model differs" in capsys.readouterr().err
    named = [f"structures={folder}", f"out={tmp_path / 'named'}", *QUICK]
    assert main(["relax", *named]) == 0
    assert capsys.readouterr().err == ""


def test_chgnet_relaxes_a_crystal(tmp_path: Path, monkeypatch, capfd) -> None:
    pytest.importorskip("chgnet.model.dynamics", exc_type=ImportError)
    monkeypatch.undo()
    salt = from_ase([bulk("NaCl", "rocksalt", 5.5)])
    cif = structures_to_cif(StructureBatch(salt.cell, salt.atomic_numbers, salt.fractional,
                                           salt.structure_index, torch.ones(1, dtype=torch.int64)))[0]  # fmt: skip
    write_text(tmp_path / "salt.cif", cif)
    words = [f"structures={tmp_path / 'salt.cif'}", f"out={tmp_path / 'out'}", "model=chgnet", "threads=1"]
    assert main(["relax", *words, "steps=30"]) == 0
    # standard error is left to errors, and chgnet's own prints go nowhere
    out, err = capfd.readouterr()
    assert err == "" and "CHGNet" not in out
    row = table(tmp_path / "out").iloc[0]
    assert (row["status"], row["space_group_after"]) == ("converged", 225)
    # 5.69 Å by density functional theory, 5.5 Å given
    relaxed = pd.read_parquet(tmp_path / "out" / "relaxed.parquet").iloc[0]
    assert relaxed["lattice"][0] * 2**0.5 == pytest.approx(5.69, abs=0.05)
    assert json.loads((tmp_path / "out" / "settings.json").read_text())["model"] == "chgnet"


def test_a_denoiser_gives_the_start_and_the_table_says_so(tmp_path: Path, capsys) -> None:
    rattled = bulk("Cu", "fcc", 3.6, cubic=True)
    rattled.rattle(0.15, seed=1)
    ase.io.write(tmp_path / "made.extxyz", [rattled, bulk("Cu", "fcc", 3.6)], format="extxyz")
    words = ["relax", f"structures={tmp_path / 'made.extxyz'}", *QUICK, "steps=0", "symmetry=false"]
    assert main([*words, f"out={tmp_path / 'out'}", "denoise=denoiser_gemsnet"]) == 0
    assert "1 started from the denoiser's pass" in capsys.readouterr().out
    rows = table(tmp_path / "out")
    assert rows["denoised"].tolist() == [True, False]
    assert rows["energy_after"][0] < rows["energy_before"][0] - 0.05
    assert rows["energy_after"][1] == rows["energy_before"][1]


@pytest.mark.parametrize(
    ("weights", "says"), [("denoiser_x", "no weights 'denoiser_x'"), ("mlp", "'denoiser'")]
)
def test_weights_of_no_denoiser_are_refused_before_anything_is_written(
    tmp_path: Path, folder: Path, capsys, weights: str, says: str
) -> None:
    words = ["relax", f"structures={folder}", f"out={tmp_path / 'out'}", *QUICK]
    assert main([*words, f"denoise={weights}"]) == 2
    assert says in capsys.readouterr().err and not (tmp_path / "out").exists()
