"""A whole small run: what is in its folder, what it prints, and samples from it afterwards."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from gflownet_crystal.common.metrics import read_metrics
from gflownet_crystal.common.tables import read_csv
from gflownet_crystal.proxies.toy import GridCorners
from tests.cli.commands import SMALL_GRID, run_command


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    result = run_command(folder, "train_gfn", *SMALL_GRID)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    (folder / "page.txt").write_text(result.stdout)
    return folder


def test_the_folder_has_everything_and_nothing_is_elsewhere(place: Path) -> None:
    run = place / "runs" / "hypergrid_grid_corners_0"
    assert {path.name for path in place.iterdir()} == {"runs", "page.txt"}
    assert {path.name for path in run.iterdir()} == {
        "config.yaml", "metrics.jsonl", "checkpoints", "samples.parquet", "samples.csv", "summary.json", "figures",
    }  # fmt: skip
    assert {path.name for path in (run / "figures").iterdir()} == {"training.png", "energies.png"}
    assert [record["step"] for record in read_metrics(run / "metrics.jsonl")] == list(range(1, 21))
    assert len(list((run / "checkpoints").iterdir())) == 2


def test_samples_and_summary_agree(place: Path) -> None:
    run = place / "runs" / "hypergrid_grid_corners_0"
    parquet, csv = (
        pd.read_parquet(run / "samples.parquet"),
        read_csv(run / "samples.csv"),
    )
    assert np.array_equal(parquet.to_numpy(), csv.to_numpy()) and list(parquet.columns) == list(csv.columns)
    values = GridCorners(6).predict(torch.tensor(parquet[["x0", "x1"]].to_numpy()))
    assert np.allclose(parquet["energy"], values)
    assert np.allclose(parquet["log_reward"], values.log())
    summary = json.loads((run / "summary.json").read_text())
    assert (summary["property"], summary["unit"], summary["iterations"]) == ("reward", "1", 20)
    assert summary["samples"]["n"] == 200
    assert summary["samples"]["energy_quantiles"]["0.5"] == pytest.approx(float(np.median(values)))
    assert summary["trajectories"] == 20 * 16


def test_the_page_tells_what_is_next(place: Path) -> None:
    page = (place / "page.txt").read_text()
    assert "Best samples" in page and "samples.parquet" in page
    assert "next: gflownet-crystal sample run=runs/hypergrid_grid_corners_0" in page


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_sample_repeats_itself_by_seed(place: Path, suffix: str) -> None:
    run = "run=runs/hypergrid_grid_corners_0"
    files = [place / f"{name}.{suffix}" for name in "abc"]
    for file, seed in zip(files, (1, 1, 2), strict=True):
        result = run_command(
            place, "sample", run, "n=50", "batch_size=16", f"seed={seed}", f"out={file.name}", "threads=1"
        )
        assert result.returncode == 0, result.stderr
    read = pd.read_csv if suffix == "csv" else pd.read_parquet
    first, second, other = (read(file) for file in files)
    assert len(first) == 50 and first.equals(second) and not first.equals(other)


def test_another_run_does_not_overwrite(place: Path) -> None:
    def written() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in (place / "runs").rglob("*") if path.is_file()}

    before = written()
    result = run_command(place, "train_gfn", *SMALL_GRID)
    assert result.returncode == 2
    assert "resume=true" in result.stderr and result.stderr.count("\n") == 1
    assert before == written()


def test_a_run_goes_on_with_more_iterations(place: Path) -> None:
    result = run_command(
        place, "train_gfn", "run.dir=runs/hypergrid_grid_corners_0", "resume=true", "trainer.iterations=30"
    )
    assert result.returncode == 0, result.stderr
    assert "after iteration 20" in result.stdout
    run = place / "runs" / "hypergrid_grid_corners_0"
    assert [record["step"] for record in read_metrics(run / "metrics.jsonl")] == list(range(1, 31))
    assert json.loads((run / "summary.json").read_text())["iterations"] == 30


OWN_PROXY = '''
"""A proxy of one's own."""
from gflownet_crystal.proxies.base import Proxy


class Slope(Proxy):
    input_kind, property_name, unit = "grid", "slope", "m"

    def __init__(self, steepness: float) -> None:
        self.steepness = steepness

    def predict(self, batch):
        return self.steepness * batch.double().sum(dim=1) + 1.0
'''


def test_a_proxy_of_ones_own_trains_resumes_and_samples(tmp_path: Path) -> None:
    (tmp_path / "own_slope.py").write_text(OWN_PROXY)
    (tmp_path / "conf" / "proxy").mkdir(parents=True)
    (tmp_path / "conf" / "proxy" / "mine.yaml").write_text(
        "_target_: own_slope.Slope\nsteepness: 2.0  # m a step\n"
    )
    by_path = ["proxy._target_=own_slope.Slope", "proxy.steepness=2.0"]
    by_folder = ["--config-dir", "conf", "proxy=mine"]
    for name, words in (("path", by_path), ("folder", by_folder)):
        run = f"run.dir={name}"
        first = run_command(tmp_path, "train_gfn", *SMALL_GRID, *words, run)
        assert first.returncode == 0, first.stderr
        assert "out=FILE.parquet trust=true" in first.stdout
        more = run_command(
            tmp_path, "train_gfn", *words, run, "resume=true", "trainer.iterations=22", "quiet=true"
        )
        assert more.returncode == 0, more.stderr
        bare = run_command(tmp_path, "train_gfn", run, "resume=true", "trainer.iterations=24")
        assert bare.returncode == 2 and "trust=true" in bare.stderr and bare.stderr.count("\n") == 1
        refused = run_command(tmp_path, "sample", f"run={name}", "n=10", "out=s.csv")
        assert refused.returncode == 2 and "trust=true" in refused.stderr
        sampled = run_command(tmp_path, "sample", f"run={name}", "n=10", f"out={name}.csv", "trust=true")
        assert sampled.returncode == 0, sampled.stderr
        frame = pd.read_csv(tmp_path / f"{name}.csv")
        assert np.allclose(frame["energy"], 2.0 * (frame["x0"] + frame["x1"]) + 1.0)
