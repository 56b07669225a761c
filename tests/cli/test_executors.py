"""Verbs whose work is done by others: the same files as by one process, and errors of one line."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from ase.build import bulk

from gflownet_crystal.cli.main import main
from gflownet_crystal.common.files import read_json
from gflownet_crystal.structures.convert import from_ase
from gflownet_crystal.structures.writing import write_structures
from gflownet_crystal.workflows.relaxing import relaxing
from tests.relaxation.metals import emt_energies

OTHERS = "executor._target_=tests.common.units_that_die.Threads"
"""A user's own executor: all that it is given and gives is pickled."""

QUIET = ("threads=1", "quiet=true", "device=cpu")


@pytest.fixture
def metals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(relaxing, "load_energies", lambda name: emt_energies())
    structures = from_ase([bulk("Cu", "fcc", 3.7), bulk("Au", "fcc", 4.0), bulk("Al", "fcc", 4.1)])
    write_structures(tmp_path / "metals", structures, pd.DataFrame(index=range(3)), ["extxyz"])
    return next((tmp_path / "metals").rglob("*.extxyz"))


def test_relaxations(metals: Path, tmp_path: Path) -> None:
    words = ("relax", f"structures={metals}", "model=emt", "steps=20", *QUIET)
    assert main([*words, f"out={tmp_path / 'one'}"]) == 0
    assert main([*words, f"out={tmp_path / 'others'}", OTHERS]) == 0
    one, others = (
        pd.read_csv(tmp_path / name / "relaxed.csv").drop(columns="seconds") for name in ("one", "others")
    )
    pd.testing.assert_frame_equal(one, others)
    assert (one["status"] == "converged").all()


def test_batches_of_specs(tmp_path: Path) -> None:
    edges = [5.4, 5.5, 5.6, 5.7, 5.8]
    frame = pd.DataFrame({"space_group": 225, "formula": "Na4 Cl4", **dict.fromkeys("abc", edges)})
    frame = frame.assign(alpha=90.0, beta=90.0, gamma=90.0)
    frame.to_csv(tmp_path / "specs.csv", index=False)
    words = ("generate", f"specs={tmp_path / 'specs.csv'}", "generator.tries=1", "batch_size=2", *QUIET)
    assert main([*words, f"out={tmp_path / 'one'}"]) == 0
    assert main([*words, f"out={tmp_path / 'others'}", OTHERS]) == 0
    one, others = (pd.read_parquet(tmp_path / name / "structures.parquet") for name in ("one", "others"))
    pd.testing.assert_frame_equal(one, others)
    assert one["row"].tolist() == [0, 1, 2, 3, 4]


def test_formulas(tmp_path: Path) -> None:
    words = (
        "predict",
        "formulas=[NaCl,Li2O,Ca7Na5O31]",
        "space_group=[225]",
        "most_atoms=4",
        "cells=2",
        "n=1",
    )
    words += ("generator.tries=1", "energies=null", *QUIET)
    assert main([*words, f"out={tmp_path / 'one'}"]) == 0
    assert main([*words, f"out={tmp_path / 'others'}", OTHERS]) == 0
    one, others = (read_json(tmp_path / name / "summary.json") for name in ("one", "others"))
    assert one == others and [bool(found["structures"]) for found in one["predictions"]] == [
        True,
        True,
        False,
    ]
    tables = [pd.read_csv(tmp_path / name / "NaCl" / "candidates.csv") for name in ("one", "others")]
    pd.testing.assert_frame_equal(*tables)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["executor=slurm"], "executor.jobs, executor.memory must be given"),
        (
            ["executor=pbs", "executor.jobs=0", "executor.memory=1GB"],
            "jobs must be a whole number of at least 1",
        ),
        (
            ["executor=dask", "executor.scheduler=s:1", "processes=2"],
            "processes is for workers on this machine",
        ),
        (["executor=mpi", "processes=2"], "those of executor=mpi are its ranks"),
        (["executor=cloud"], "choose one of dask, local, lsf, mpi, pbs, sge, slurm"),
        (["processes=0"], "processes must be a whole number of at least 1"),
        (
            ["executor._target_=builtins.dict"],
            "is not a subclass of gflownet_crystal.common.executors.Executor",
        ),
    ],
)
def test_faults_are_one_line(
    metals: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], says: str
) -> None:
    assert (
        main(["relax", f"structures={metals}", f"out={tmp_path / 'out'}", "model=emt", *QUIET, *words]) == 2
    )
    said = capsys.readouterr().err.strip()
    assert says in said and "\n" not in said
    assert not (tmp_path / "out").exists()
