"""Public data sets fetched from a server on this machine, in the forms of the real ones, and read by other verbs."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pymatgen.core import Structure
from pymatgen.io.cif import CifWriter

from gflownet_crystal.data.public_sets import PUBLIC_SETS, RemoteFile
from gflownet_crystal.training.energies.labelled import read_labelled
from gflownet_crystal.workflows.data import fetching
from tests.cli.commands import Result, run_command
from tests.cli.published_data import (
    GROUPS,
    N,
    primitive_structures,
    published_files,
)
from tests.data.crystals import ENERGIES, KNOWN
from tests.data.file_server import Files, serving


@pytest.fixture(scope="module")
def published() -> dict[str, bytes]:
    return published_files()


@pytest.fixture
def server(published: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Files]:
    """The registry with addresses of this machine, small files, and their digests."""
    monkeypatch.setenv("GFLOWNET_CRYSTAL_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    content = dict(published)
    with serving(content) as files:
        for name, public in PUBLIC_SETS.items():
            local = [
                RemoteFile(
                    file.name,
                    f"{files.url}/{file.name}",
                    f"sha256:{hashlib.sha256(content.get(file.name, b'')).hexdigest()}",
                )
                for file in public.files
            ]
            monkeypatch.setitem(PUBLIC_SETS, name, replace(public, files=tuple(local)))
        yield files


def done(folder: Path, verb: str, *settings: str) -> Result:
    result = run_command(folder, verb, *settings)
    assert result.returncode == 0, result.stderr
    return result


def test_the_list_tells_names_sizes_licences_sources_and_uses(server: Files, tmp_path: Path) -> None:
    page = done(tmp_path, "fetch_data").stdout
    for name, public in PUBLIC_SETS.items():
        assert f"{name}: {public.crystals} crystals" in page
        assert public.licence in page and public.source in page and public.purpose in page
    assert "data=mp20_val" in page and "MB on disk" not in page and server.asked == []
    done(tmp_path, "fetch_data", "name=mp20", "quiet=true")
    assert len(re.findall(r"fetched, \d+ MB on disk", done(tmp_path, "fetch_data").stdout)) == 1


def test_mp20_is_train_and_val_with_its_splits_and_test_apart(server: Files, tmp_path: Path) -> None:
    said = done(tmp_path, "fetch_data", "name=mp20", "quiet=true").stdout
    assert "data=mp20, data=mp20_train, data=mp20_val, data=mp20_test" in said
    folder = tmp_path / "data" / "mp20"
    tables = {path.stem: pd.read_parquet(path) for path in folder.glob("*.parquet")}
    assert tables["mp20"]["mp20_split"].tolist() == ["train"] * 4 + ["val"] * 2
    assert tables["mp20_test"]["mp20_split"].tolist() == ["test"] * 2
    whole = pd.concat([tables["mp20"], tables["mp20_test"]], ignore_index=True)
    assert whole["space_group"].tolist() == GROUPS
    assert whole["formation_energy_per_atom"].tolist() == list(ENERGIES)
    assert whole["band_gap"].tolist() == [0.5 * row for row in range(N)]
    assert whole["energy_source"].tolist() == [f"mp20_{split}" for split in whole["mp20_split"]]
    primitive = primitive_structures()
    assert whole["n_atoms"].tolist() == [len(crystal) for crystal in primitive]
    volume = [Structure.from_str(text, fmt="cif").volume for text in map(str, map(CifWriter, primitive))]
    lattices = np.stack(list(whole["lattice"]))
    cosines = np.cos(np.radians(lattices[:, 3:]))
    root = np.sqrt(1 - (cosines**2).sum(1) + 2 * cosines.prod(1))
    np.testing.assert_allclose(lattices[:, :3].prod(1) * root, volume, rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "column", "values"),
    [
        ("matbench_mp_e_form", "formation_energy_per_atom", list(ENERGIES)),
        ("matbench_mp_gap", "band_gap", [0.5 * row for row in range(N)]),
        ("matbench_log_kvrh", "log10(K_VRH)", [float(row) for row in range(N)]),
    ],
)
def test_matbench_labels_keep_their_meaning(
    server: Files, tmp_path: Path, name: str, column: str, values: list[float]
) -> None:
    done(tmp_path, "fetch_data", f"name={name}", "quiet=true")
    table = pd.read_parquet(tmp_path / "data" / name / f"{name}.parquet")
    assert table[column].tolist() == values
    assert table["space_group"].tolist() == GROUPS
    assert table["material_id"].tolist() == [f"mb-{number:06d}" for number in range(N)]


def test_wbm_has_the_labels_of_its_summary_by_name_and_leaves_out_what_is_no_crystal(
    server: Files, tmp_path: Path
) -> None:
    said = done(tmp_path, "fetch_data", "name=wbm", "quiet=true")
    assert "left out 1, wbm-1-8" in said.stderr
    table = pd.read_parquet(tmp_path / "data" / "wbm" / "wbm.parquet")
    # the first is not in the summary, the last is disordered
    assert table["material_id"].tolist() == [f"wbm-1-{number}" for number in range(1, N)]
    np.testing.assert_allclose(table["formation_energy_per_atom"], [-0.1 * n for n in range(1, N)])
    np.testing.assert_allclose(
        table["formation_energy_per_atom_mp2020"], table["formation_energy_per_atom"] - 0.05
    )
    assert set(table["e_above_hull"]) == {0.2} and table["space_group"].tolist() == GROUPS[1:]


def test_a_second_call_asks_no_server_and_makes_nothing_again(server: Files, tmp_path: Path) -> None:
    done(tmp_path, "fetch_data", "name=[mp20,matbench_mp_gap]", "quiet=true")
    table = tmp_path / "data" / "mp20" / "mp20.parquet"
    before, asked = table.stat().st_mtime_ns, list(server.asked)
    done(tmp_path, "fetch_data", "name=mp20_val", "quiet=true")
    assert table.stat().st_mtime_ns == before and server.asked == asked
    done(tmp_path, "fetch_data", "name=mp20", "overwrite=true", "quiet=true")
    assert table.stat().st_mtime_ns > before and server.asked == asked


def test_an_interrupted_download_is_completed_by_the_same_command(server: Files, tmp_path: Path) -> None:
    server.cut = [100_000]
    failed = run_command(tmp_path, "fetch_data", "name=mp20", "quiet=true")
    assert failed.returncode == 2 and failed.stderr.count("\n") == 1 and "goes on from there" in failed.stderr
    assert not list(tmp_path.rglob("*.csv")) and not list(tmp_path.rglob("*.parquet"))
    done(tmp_path, "fetch_data", "name=mp20", "quiet=true")
    assert ("train.csv", "bytes=65536-") in server.asked


def test_an_interrupt_says_that_the_part_is_kept(
    server: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(fetching, "fetch", interrupted)
    stopped = run_command(tmp_path, "fetch_data", "name=mp20", "quiet=true")
    assert stopped.returncode == 130 and stopped.stderr.count("\n") == 1
    assert "the downloaded part is kept; go on with the same command" in stopped.stderr


def test_a_wrong_checksum_leaves_nothing(server: Files, tmp_path: Path) -> None:
    server.content["val.csv"] += b"more"
    failed = run_command(tmp_path, "fetch_data", "name=mp20", "quiet=true")
    assert failed.returncode == 2 and failed.stderr.count("\n") == 1
    assert "val.csv is not the file that is known" in failed.stderr
    assert not list(tmp_path.rglob("val.csv")) and not list(tmp_path.rglob("*.parquet"))


def test_a_folder_of_ones_own_is_found_by_the_variable(
    server: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "own"
    said = done(tmp_path, "fetch_data", "name=mp20", f"folder={own}", "quiet=true").stdout
    assert f"GFLOWNET_CRYSTAL_DATA={own}" in said
    words = ("source=mp20", "out=p.parquet", "quiet=true")
    failed = run_command(tmp_path, "prepare_data", *words)
    assert failed.returncode == 2 and "run fetch_data name=mp20" in failed.stderr
    monkeypatch.setenv("GFLOWNET_CRYSTAL_DATA", str(own))
    done(tmp_path, "prepare_data", *words)
    assert len(pd.read_parquet(tmp_path / "p.parquet")) == 6


def test_unknown_names_and_wrong_values_are_one_line(server: Files, tmp_path: Path) -> None:
    for words, said in (
        ("name=mp2o", "did you mean mp20"),
        ("name=[]", "a list of them"),
        ("timeout=0", "timeout must be a whole number"),
    ):
        failed = run_command(tmp_path, "fetch_data", "quiet=true", words)
        assert failed.returncode == 2 and failed.stderr.count("\n") == 1 and said in failed.stderr
    assert list(tmp_path.iterdir()) == []


ASKED_BY_NAME = (
    ("prepare_data", "source=mp20", "out=prepared.parquet"),
    ("train_proxy", "proxy=mlp", "data=mp20"),
    ("evaluate_proxy", "proxy=mlp", "data=mp20_val"),
    ("train_energy", "model=alignn", "data=mp20"),
    ("train_denoiser", "model=egnn", "data=mp20"),
    ("train_generator", "generator=wyckoff", "data=mp20"),
    ("train_prior", "data=mp20"),
    ("generate", "specs=mp20_val", "out=structures"),
    ("relax", "structures=mp20_val", "out=relaxed"),
    ("evaluate", "structures=mp20_val", "reference=mp20_train", "metrics=[uniqueness,novelty]"),
)


@pytest.mark.parametrize("words", ASKED_BY_NAME, ids=[words[0] for words in ASKED_BY_NAME])
def test_every_verb_says_how_to_fetch_a_set(server: Files, tmp_path: Path, words: tuple[str, ...]) -> None:
    failed = run_command(tmp_path, *words, "quiet=true")
    assert failed.returncode == 2, failed.stdout
    assert failed.stderr.count("\n") == 1 and "run fetch_data name=mp20" in failed.stderr


def test_verbs_read_what_was_fetched(server: Files, tmp_path: Path) -> None:
    done(tmp_path, "fetch_data", "name=mp20", "quiet=true")
    scores = json.loads(done(tmp_path, "evaluate_proxy", "proxy=mlp", "data=mp20_val").stdout)
    assert scores["n"] == 2
    done(tmp_path, "generate", "specs=mp20_val", "out=structures", "quiet=true")
    metrics = ("metrics=[uniqueness,novelty]", "out=metrics", "quiet=true")
    done(tmp_path, "evaluate", "structures=mp20_val", "reference=mp20_train", *metrics)
    found = json.loads((tmp_path / "metrics" / "metrics.json").read_text())
    assert found["counts"]["reference"] == 4


def test_trainings_on_atoms_find_energies_and_splits(server: Files, tmp_path: Path) -> None:
    done(tmp_path, "fetch_data", "name=[mp20,wbm]", "quiet=true")
    labelled = read_labelled([Path("mp20"), Path("wbm")], one_scheme=False)
    assert sorted(labelled.split.tolist()) == sorted(["train"] * 4 + ["val"] * 2 + ["none"] * (N - 1))
    mp20 = labelled.take(labelled.split != "none")
    assert mp20.energy.tolist() == list(ENERGIES[:6])
    assert mp20.formula.tolist() == [name for name, *_ in KNOWN[:6]]
