"""Checkpoint files: round trips, damage, and what is kept."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import pytest
import torch

from gflownet_crystal.common.checkpoint import (
    checkpoint_paths,
    load_checkpoint,
    newest_checkpoint,
    save_checkpoint,
)
from gflownet_crystal.common.errors import CheckpointError
from gflownet_crystal.common.files import save_tensors


def parts(seed: int) -> dict[str, dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    return {
        "model": {"a.weight": torch.randn(3, 4, generator=generator), "a/b": torch.arange(5)},
        "random": {"generator": generator.get_state()},
        "empty": {"flags": torch.zeros(0, 2, dtype=torch.bool)},
    }


def test_round_trip_is_exact(tmp_path: Path) -> None:
    saved = parts(1)
    path = save_checkpoint(tmp_path, 25, saved, metrics_offset=117, seconds=0.1 + 0.2)
    loaded = load_checkpoint(path)
    assert loaded.metadata["iteration"] == 25
    assert (loaded.metadata["metrics_offset"], loaded.metadata["seconds"]) == (117, 0.1 + 0.2)
    for name, tensors in saved.items():
        part = loaded.part(name)
        assert part.keys() == tensors.keys()
        assert all(
            torch.equal(part[key], value) and part[key].dtype == value.dtype for key, value in tensors.items()
        )


def test_the_newest_two_are_kept_and_leftovers_removed(tmp_path: Path) -> None:
    for iteration in (5, 100, 20_000):
        save_checkpoint(tmp_path, iteration, parts(iteration))
        (tmp_path / "checkpoints" / ".step_00000001-x.safetensors").write_bytes(b"half")
    save_checkpoint(tmp_path, 20_001, parts(0))
    assert [path.name for path in checkpoint_paths(tmp_path)] == [
        "step_00020000.safetensors",
        "step_00020001.safetensors",
    ]
    assert len(list((tmp_path / "checkpoints").iterdir())) == 2


@pytest.mark.parametrize("damage", ["cut", "bit", "empty"])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path: Path, damage: str) -> None:
    save_checkpoint(tmp_path, 25, parts(1))
    path = save_checkpoint(tmp_path, 50, parts(2))
    content = bytearray(path.read_bytes())
    if damage == "cut":
        content = content[: len(content) // 2]
    elif damage == "bit":
        content[-3] ^= 16
    else:
        content = bytearray()
    path.write_bytes(content)
    checkpoint, complaints = newest_checkpoint(tmp_path)
    assert checkpoint is not None
    assert checkpoint.metadata["iteration"] == 25
    assert len(complaints) == 1 and path.name in complaints[0]


def test_no_byte_of_a_checkpoint_changes_unseen(tmp_path: Path) -> None:
    """Every byte of a small file is changed in turn; what still loads says the same as before."""
    path = save_checkpoint(tmp_path, 25, {"a": {"b": torch.arange(3)}}, metrics_offset=117, seconds=1.25)
    content, saved = path.read_bytes(), load_checkpoint(path)
    assert b"117" in content
    for place in range(len(content)):
        changed = bytearray(content)
        # a digit becomes another digit, which keeps the file readable
        changed[place] ^= 1
        path.write_bytes(changed)
        try:
            loaded = load_checkpoint(path)
        except CheckpointError:
            continue
        assert loaded.metadata == saved.metadata, place
        assert loaded.tensors.keys() == saved.tensors.keys()
        assert torch.equal(loaded.tensors["a/b"], saved.tensors["a/b"])
        assert loaded.tensors["a/b"].dtype == saved.tensors["a/b"].dtype


@pytest.mark.parametrize("key", ["iteration", "metrics_offset", "seed"])
def test_a_changed_digit_of_the_metadata_is_seen(tmp_path: Path, key: str) -> None:
    path = save_checkpoint(tmp_path, 1234, parts(1), metrics_offset=1234, seed=1234)
    content = path.read_bytes()
    wanted = f'{key}\\": 1234'.encode()
    assert content.count(wanted) == 1
    path.write_bytes(content.replace(wanted, wanted[:-1] + b"5"))
    with pytest.raises(CheckpointError, match="corrupt"):
        load_checkpoint(path)


def test_checkpoints_of_before_are_read(tmp_path: Path) -> None:
    """Their checksum is a CRC of names and contents of the tensors alone."""
    tensors = {"model/a": torch.arange(4.0), "model/b": torch.ones(2, dtype=torch.int64)}
    checksum = zlib.crc32(
        b"".join(name.encode() + value.numpy().tobytes() for name, value in tensors.items())
    )
    path = tmp_path / "step_00000003.safetensors"
    text = json.dumps({"iteration": 3, "checksum": checksum, "seconds": 1.0})
    save_tensors(path, tensors, {"training": text})
    loaded = load_checkpoint(path)
    assert loaded.metadata == {"iteration": 3, "seconds": 1.0}
    assert torch.equal(loaded.part("model")["a"], tensors["model/a"])
    save_tensors(path, tensors | {"model/a": torch.zeros(4)}, {"training": text})
    with pytest.raises(CheckpointError, match="corrupt"):
        load_checkpoint(path)


def test_no_checkpoint_and_no_whole_checkpoint(tmp_path: Path) -> None:
    assert newest_checkpoint(tmp_path) == (None, [])
    save_checkpoint(tmp_path, 1, parts(1)).write_bytes(b"")
    with pytest.raises(CheckpointError, match="no checkpoint"):
        newest_checkpoint(tmp_path)
