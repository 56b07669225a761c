"""Checkpoints: one safetensors file each, whole or not at all, with a checksum; the last two are kept."""

from __future__ import annotations

import json
import re
import sys
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from gflownet_crystal.common.errors import CheckpointError, WeightsError
from gflownet_crystal.common.files import load_tensors, save_tensors

FOLDER = "checkpoints"
N_KEPT = 2
_NAME = re.compile(r"step_(\d+)\.safetensors")


class TrainingStopped(KeyboardInterrupt):
    """The user stopped the training; where it stands is in a checkpoint."""


@dataclass(frozen=True)
class Checkpoint:
    """Content of a checkpoint file.

    Attributes:
        path: path of the file.
        tensors: tensors by name, ``part/name``, on the CPU.
        metadata: numbers and texts, as JSON holds them; ``iteration`` counts finished iterations.
    """

    path: Path
    tensors: dict[str, Tensor]
    metadata: dict[str, Any]

    def part(self, name: str) -> dict[str, Tensor]:
        """The tensors under ``name/``, without the prefix."""
        prefix = f"{name}/"
        return {
            key.removeprefix(prefix): value for key, value in self.tensors.items() if key.startswith(prefix)
        }


def save_checkpoint(
    run_dir: Path, iteration: int, parts: Mapping[str, Mapping[str, Tensor]], **metadata: Any
) -> Path:
    """Write the checkpoint of ``iteration`` and remove all but the newest two.

    Args:
        run_dir: the run folder.
        iteration: finished iterations.
        parts: named tensors by part, such as ``model`` and ``optimizer``.
        metadata: further values that JSON can hold.

    Raises:
        DataError: the folder cannot be written.
    """
    tensors = {f"{part}/{name}": value for part, named in parts.items() for name, value in named.items()}
    path = run_dir / FOLDER / f"step_{iteration:08d}.safetensors"
    values = {"iteration": iteration, **metadata}
    values["checksum"] = _checksum(tensors, values)
    save_tensors(path, tensors, {"training": json.dumps(values)})
    # a run that was killed while writing leaves a temporary file behind
    for old in (*checkpoint_paths(run_dir)[:-N_KEPT], *path.parent.glob(".step_*")):
        old.unlink(missing_ok=True)
    return path


def checkpoint_paths(run_dir: Path) -> list[Path]:
    """Checkpoint files of a run folder, oldest first."""
    found = {
        int(match[1]): path for path in (run_dir / FOLDER).glob("*") if (match := _NAME.fullmatch(path.name))
    }
    return [found[iteration] for iteration in sorted(found)]


def load_checkpoint(path: Path) -> Checkpoint:
    """Read one checkpoint.

    Raises:
        CheckpointError: the file is missing, cut short or changed.
    """
    try:
        tensors, text = load_tensors(path)
        metadata = json.loads(text["training"])
        checksum = metadata.pop("checksum")
    except (WeightsError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"checkpoint {path} is corrupt ({error})") from error
    # checkpoints of before the checksum covered their metadata are read as they are
    if checksum not in (_checksum(tensors, metadata), _checksum_of_tensors(tensors)):
        raise CheckpointError(f"checkpoint {path} is corrupt (its checksum differs)")
    return Checkpoint(path, tensors, metadata)


def newest_checkpoint(run_dir: Path) -> tuple[Checkpoint | None, list[str]]:
    """The newest checkpoint that is whole.

    Returns:
        The checkpoint, or None if the run has none, and a complaint for each newer one that was passed over.

    Raises:
        CheckpointError: there are checkpoints and none is whole.
    """
    paths = checkpoint_paths(run_dir)
    complaints: list[str] = []
    for path in reversed(paths):
        try:
            return load_checkpoint(path), complaints
        except CheckpointError as error:
            complaints.append(str(error))
    if paths:
        raise CheckpointError(
            f"no checkpoint of {run_dir} can be read: {'; '.join(complaints)}; train it again"
        )
    return None, complaints


def latest(run_dir: Path) -> Checkpoint | None:
    """The newest whole checkpoint, with a warning for each damaged one passed over."""
    checkpoint, complaints = newest_checkpoint(run_dir)
    for complaint in complaints:
        sys.stderr.write(f"warning: {complaint}; an older one is used\n")
    return checkpoint


def load_weights(model: nn.Module, checkpoint: Checkpoint, averaged: bool = True) -> None:
    """Put a checkpoint's weights in a model.

    Args:
        model: model of the checkpoint's configuration.
        checkpoint: loaded checkpoint.
        averaged: take the moving average where the training kept one, as sampling does.

    Raises:
        CheckpointError: names or shapes differ.
    """
    weights = checkpoint.part("model") | (checkpoint.part("average") if averaged else {})
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise CheckpointError.of_other_settings(checkpoint.path, error) from error


def _checksum(tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> int:
    """Of the tensors with their types and shapes, and of the metadata but the checksum itself."""
    kinds = {name: f"{value.dtype} {tuple(value.shape)}" for name, value in tensors.items()}
    # numbers are written as they will be read again
    text = json.dumps([kinds, json.loads(json.dumps(metadata))], sort_keys=True)
    return zlib.crc32(text.encode(), _checksum_of_tensors(tensors))


def _checksum_of_tensors(tensors: Mapping[str, Tensor]) -> int:
    total = 0
    for name in sorted(tensors):
        total = zlib.crc32(
            tensors[name].detach().cpu().contiguous().numpy().tobytes(), zlib.crc32(name.encode(), total)
        )
    return total
