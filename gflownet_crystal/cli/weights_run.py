"""Common parts of the verbs that train and write weights: folder, file, and stopping."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from gflownet_crystal.common.checkpoint import TrainingStopped
from gflownet_crystal.common.commands import setting_word
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.common.interrupt import stop_on_signal
from gflownet_crystal.config.build import trust_word
from gflownet_crystal.config.run_folder import latest, write_config
from gflownet_crystal.config.values import check_writable, path_setting, seed_number
from gflownet_crystal.training.engine import Engine, SomeTraining


def run_folder(config: DictConfig, name: str, section: str, seed: Any) -> Path:
    """``run.dir``, or ``runs/<name>_<choice of the section>_<seed>`` where it is null."""
    if config.run.dir is not None:
        return path_setting(config.run.dir, "run.dir")
    # the section may be filled from a group of another name: denoiser@model
    (choice,) = (value for key, value in config.record.choices.items() if str(key).split("@")[-1] == section)
    return Path("runs") / f"{name}_{choice}_{seed_number(seed, 'seed')}"


def weights_file(value: Any) -> Path:
    """The weights file to write.

    Raises:
        ConfigError: its name ends in something else.
        DataError: it cannot be written.
    """
    out = path_setting(value, "out")
    if out.suffix != ".safetensors":
        raise ConfigError(f"out must end in .safetensors, not {out.name!r}")
    check_writable(out)
    return out


def train_in_folder(
    training: SomeTraining, folder: Path, verb: str, config: DictConfig, checkpoint_every: int | None
) -> Engine[SomeTraining]:
    """Take all steps of a training, from the newest checkpoint of the folder if it has one.

    Args:
        training: training before its first step.
        folder: folder of the run.
        verb: verb of the training.
        config: configuration of the run, resolved.
        checkpoint_every: steps between checkpoints; None for a hundredth of all steps.

    Raises:
        CheckpointError: the folder's checkpoints are damaged, or of another training.
        TrainingError: the loss or its gradient is not finite.
        TrainingStopped: the user interrupted; the text says how to go on.
    """
    engine = Engine(training, folder, checkpoint_every, config.quiet)
    engine.restore(latest(folder))
    write_config(folder, config)
    with stoppable(verb, folder, config) as should_stop:
        engine.train(should_stop)
    return engine


@contextmanager
def stoppable(verb: str, folder: Path, config: DictConfig) -> Iterator[Callable[[], bool]]:
    """Let a training ask whether to stop; if it does, say how to go on.

    Args:
        verb: verb of the training.
        folder: folder of the run.
        config: configuration of the run, resolved.

    Raises:
        TrainingStopped: the training stopped.
    """
    try:
        with stop_on_signal() as should_stop:
            yield should_stop
    except TrainingStopped as stop:
        raise TrainingStopped(
            f"{stop}, a checkpoint is in {folder}; go on with: "
            f"gflownet-crystal {verb} {setting_word('run.dir', folder)} resume=true{trust_word(config)}"
        ) from stop
