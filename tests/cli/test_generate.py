"""The verb ``generate`` end to end: files, tries, resume, errors of one line."""

from __future__ import annotations

from pathlib import Path

import ase.io
import gemmi
import numpy as np
import pandas as pd
import pytest
import torch
from pymatgen.core import Structure

from gflownet_crystal.cli.main import main
from gflownet_crystal.data.readers import read_source
from gflownet_crystal.structures.distances import shortest_distance_ratio
from gflownet_crystal.structures.frames import frame_to_structures
from gflownet_crystal.structures.spec_io import frame_to_specs
from gflownet_crystal.structures.symmetry import symmetry_error
from tests.cli.test_export import CRYSTALS
from tests.data.crystals import stored_frame

UNPLACEABLE = 4
QUICK = ("generator=quick", "generator.tries=4", "batch_size=4", "quiet=true", "threads=1")


@pytest.fixture(scope="module")
def specs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    group, formula, lengths, angles = zip(*CRYSTALS, strict=True)
    frame = pd.DataFrame({"space_group": group, "formula": formula})
    frame[["a", "b", "c"]], frame[["alpha", "beta", "gamma"]] = lengths, angles
    path = tmp_path_factory.mktemp("specs") / "specs.csv"
    frame.to_csv(path, index=False)
    return path


def generate(specs: Path, out: Path, *more: str) -> int:
    return main(["generate", f"specs={specs}", f"out={out}", *QUICK, *more])


def test_structures_are_those_of_their_specs(specs: Path, tmp_path: Path, capsys) -> None:
    assert generate(specs, tmp_path / "out", "tries=2") == 0
    said = capsys.readouterr().out
    table = pd.read_parquet(tmp_path / "out" / "structures.parquet")
    wanted = pd.read_csv(specs)
    assert sorted(set(wanted.index) - set(table["row"])) == [UNPLACEABLE]
    assert "1 specs could not be placed" in said
    assert pd.read_csv(tmp_path / "out" / "unplaced.csv")["row"].tolist() == [UNPLACEABLE]
    assert table.groupby("row")["try"].apply(list).map(lambda tries: tries == [0, 1]).all()
    structures, asked = frame_to_structures(table), frame_to_specs(wanted.iloc[table["row"]])
    made = structures.specs()
    assert torch.equal(made.composition, asked.composition)
    assert torch.equal(made.space_group, asked.space_group)
    torch.testing.assert_close(made.lengths, asked.lengths, rtol=0, atol=1e-9)
    torch.testing.assert_close(made.angles, asked.angles, rtol=0, atol=1e-7)
    assert float(symmetry_error(structures).max()) < 1e-6
    np.testing.assert_allclose(table["distance_ratio"], shortest_distance_ratio(structures).numpy())


def test_files_say_the_same(specs: Path, tmp_path: Path) -> None:
    assert generate(specs, tmp_path / "out", "n=3") == 0
    table = pd.read_parquet(tmp_path / "out" / "structures.parquet")
    frames = ase.io.read(tmp_path / "out" / "structures.extxyz", index=":")
    for row, atoms in zip(table.itertuples(), frames, strict=True):
        assert atoms.info["name"] == row.material_id
        assert atoms.get_atomic_numbers().tolist() == row.atomic_numbers.tolist()
        np.testing.assert_allclose(atoms.cell.cellpar(), row.lattice, atol=1e-5)
        crystal = Structure.from_file(tmp_path / "out" / "cif" / f"{row.material_id}.cif")
        assert crystal.lattice.parameters == pytest.approx(tuple(row.lattice), abs=1e-4)
        assert len(crystal) == row.n_atoms


def test_all_formats_hold_the_same_structures(specs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert generate(specs, out, "format=[db,json,poscar]") == 0
    table = pd.read_parquet(out / "structures.parquet")
    assert not (out / "cif").exists() and not (out / "structures.extxyz").exists()
    for name in ("structures.json", "structures.db"):
        frame = read_source(out / name)
        assert frame["material_id"].tolist() == table["material_id"].tolist()
        assert frame["atomic_numbers"].map(list).tolist() == table["atomic_numbers"].map(list).tolist()
        np.testing.assert_allclose(np.stack(frame["lattice"]), np.stack(table["lattice"]), atol=1e-7)
    assert len(list((out / "poscar").iterdir())) == len(table)
    # another look adds formats and makes nothing again
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.vasp")}
    assert generate(specs, out, "resume=true", "format=[poscar,cif]") == 0
    assert before == {path: path.stat().st_mtime_ns for path in out.rglob("*.vasp")}
    groups = [
        gemmi.read_small_structure(str(out / f"cif/{name}.cif")).spacegroup.number
        for name in table["material_id"]
    ]
    assert groups == table["space_group"].tolist()


def test_no_other_formats_on_request(specs: Path, tmp_path: Path) -> None:
    assert generate(specs, tmp_path / "out", "n=2", "format=null") == 0
    found = {path.name for path in (tmp_path / "out").iterdir() if not path.name.startswith(".")}
    assert found == {"structures.parquet", "unplaced.csv", "settings.json", "parts"}


def test_the_best_try_is_kept(specs: Path, tmp_path: Path) -> None:
    assert generate(specs, tmp_path / "all", "tries=3") == 0
    assert generate(specs, tmp_path / "best", "tries=3", "keep=best") == 0
    every, best = (pd.read_parquet(tmp_path / name / "structures.parquet") for name in ("all", "best"))
    roomiest = every.groupby("row")["distance_ratio"].max()
    assert best["row"].is_unique
    assert best.set_index("row")["distance_ratio"].to_dict() == roomiest.to_dict()


def test_a_stopped_run_goes_on(specs: Path, tmp_path: Path, capsys) -> None:
    whole, part = tmp_path / "whole", tmp_path / "part"
    assert generate(specs, whole) == 0 and generate(specs, part) == 0
    # as if it had been killed before the second batch was done
    (part / "parts" / "00000004.parquet").unlink()
    (part / "structures.parquet").unlink()
    assert generate(specs, part) == 2 and "resume=true" in capsys.readouterr().err
    assert generate(specs, part, "resume=true", "seed=1") == 2 and "seed differs" in capsys.readouterr().err
    assert generate(specs, part, "resume=true") == 0
    one, other = (pd.read_parquet(folder / "structures.parquet") for folder in (whole, part))
    pd.testing.assert_frame_equal(one, other)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"space_group": 225, "a": 4.0, "b": 4.5, "c": 4.0}, "in group 225 with cell 4, 4.5, 4"),
        (
            {"space_group": 225, "a": 4.0, "b": 4.0, "c": 4.0, "gamma": 80.0},
            "in group 225 with cell 4, 4, 4, 90, 90, 80",
        ),
        ({"alpha": 30.0, "beta": 30.0, "gamma": 90.0}, "row 2: lattice angles that close no cell"),
        ({"a": 1e7}, "row 2: a lattice vector longer than 1000 Å"),
        ({"a": np.inf}, "column a, row 2"),
    ],
)
def test_a_cell_that_its_group_does_not_allow_is_named(
    specs: Path, tmp_path: Path, capsys, changes: dict[str, float], said: str
) -> None:
    frame = pd.read_csv(specs).astype(dict.fromkeys(("a", "b", "c", "alpha", "beta", "gamma"), float))
    for name, value in changes.items():
        frame.loc[2, name] = value
    frame.to_parquet(tmp_path / "bad.parquet")
    assert generate(tmp_path / "bad.parquet", tmp_path / "out") == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and said in err
    assert not (tmp_path / "out").exists()


def test_a_damaged_batch_is_told_at_resume(specs: Path, tmp_path: Path, capsys) -> None:
    assert generate(specs, tmp_path / "out") == 0
    (part, *_) = sorted((tmp_path / "out" / "parts").iterdir())
    whole = part.read_bytes()
    for content, said in (
        (b"x", "cannot read"),
        (specs_as_parquet(specs, tmp_path), "is damaged (no column row"),
    ):
        part.write_bytes(content)
        capsys.readouterr()
        assert generate(specs, tmp_path / "out", "resume=true") == 2
        err = capsys.readouterr().err
        assert err.count("\n") == 1 and said in err and part.name in err
    part.write_bytes(whole)
    assert generate(specs, tmp_path / "out", "resume=true") == 0


def specs_as_parquet(specs: Path, folder: Path) -> bytes:
    pd.read_csv(specs).to_parquet(folder / "specs.parquet")
    return (folder / "specs.parquet").read_bytes()


def test_specs_can_be_those_of_crystals(tmp_path: Path) -> None:
    crystals = stored_frame()
    crystals.to_parquet(tmp_path / "crystals.parquet")
    assert generate(tmp_path / "crystals.parquet", tmp_path / "out") == 0
    table = pd.read_parquet(tmp_path / "out" / "structures.parquet")
    assert len(table) == len(crystals)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["specs=nowhere.csv"], "nowhere.csv"),
        (["run=runs/one"], "either specs=FILE or run=DIR"),
        (["tries=0"], "tries"),
        (["keep=worst"], "keep is one of all, best"),
        (["format=xsf"], "unknown format 'xsf' of structures; choose among cif, poscar"),
        (["format=3"], "format must be a name or a list of names"),
        (["cif=true"], "cif"),
        (["judge=oracle"], "unknown energies 'oracle'"),
        (["generator=golem"], "golem"),
        (["generator.tries=-1"], "tries"),
    ],
)
def test_errors_are_one_line(specs: Path, tmp_path: Path, capsys, words: list[str], said: str) -> None:
    assert generate(specs, tmp_path / "out", *words) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and said in err
    assert not (tmp_path / "out").exists()
