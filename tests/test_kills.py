"""The program that kills the verbs sees what a kill could do."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import torch

from benchmarks.kills import main
from benchmarks.kills_files import contents, difference, is_whole
from gflownet_crystal.common.files import save_tensors
from tests.data.crystals import stored_frame


def fill(folder: Path, seconds: float = 1.0, energy: float = -1.5) -> None:
    folder.mkdir()
    (folder / "metrics.jsonl").write_text(
        "".join(
            json.dumps({"step": n, "loss": 0.1, "trajectories_per_second": seconds}) + "\n" for n in range(3)
        )
    )
    (folder / "summary.json").write_text(json.dumps({"energy": energy, "training_seconds": seconds}))
    frame = pd.DataFrame({"name": ["a", "b"], "energy": [energy, 0.0], "seconds": [seconds, 1.0]})
    frame.to_csv(folder / "t.csv", index=False)
    frame.to_parquet(folder / "t.parquet", index=False)
    values = {"iteration": 3, "seconds": seconds, "checksum": int(seconds)}
    save_tensors(folder / "c.safetensors", {"w": torch.tensor([energy])}, {"training": json.dumps(values)})
    (folder / "config.yaml").write_text(f"seed: 1\nresume: {'true' if seconds > 1 else 'false'}\n")


def test_times_are_no_difference(tmp_path: Path) -> None:
    fill(tmp_path / "a")
    fill(tmp_path / "b", seconds=2.5)
    assert difference(contents(tmp_path / "a"), contents(tmp_path / "b")) == ([], [])


def test_the_last_bit_of_a_result_is(tmp_path: Path) -> None:
    fill(tmp_path / "a")
    fill(tmp_path / "b", energy=-1.5 + 2.0**-23)
    changed = ["c.safetensors", "summary.json", "t.csv", "t.parquet"]
    assert difference(contents(tmp_path / "a"), contents(tmp_path / "b")) == ([], changed)
    (tmp_path / "b" / "t.csv").unlink()
    (tmp_path / "b" / "more.txt").touch()
    lost, different = difference(contents(tmp_path / "a"), contents(tmp_path / "b"))
    assert lost == ["t.csv"] and "more.txt" in different


@pytest.mark.parametrize("name", ["summary.json", "t.parquet", "c.safetensors"])
def test_a_file_that_was_cut_is_not_whole(tmp_path: Path, name: str) -> None:
    fill(tmp_path / "a")
    path = tmp_path / "a" / name
    assert is_whole(path)
    path.write_bytes(path.read_bytes()[:-9])
    assert not is_whole(path)


def test_lines_may_be_cut_at_the_end_only(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 1}\n{"st')
    assert is_whole(path)
    path.write_bytes(b'{"step": 1}\n{"st\n{"step": 3}\n')
    assert not is_whole(path)


@pytest.mark.slow
def test_killed_verbs_go_on_as_if_nothing_had_been(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = pd.concat([stored_frame()] * 5, ignore_index=True).assign(n_atoms=2)
    frame.to_parquet(tmp_path / "known.parquet")
    main([f"data={tmp_path / 'known.parquet'}", "verbs=prepare_data,generate,export", "n=3"])
    rows = [line.split("|")[1:-1] for line in capsys.readouterr().out.splitlines() if line.startswith("|")][
        2:
    ]
    assert [[cell.strip() for cell in row[3:]] for row in rows] == [["0", "0", "0"]] * 3
