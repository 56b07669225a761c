"""Common parts of the verbs that train networks on atoms: folder, checks, resumable training, and model card."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from gflownet_crystal.cli.weights_run import run_folder, train_in_folder, weights_file
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.common.locks import lock_folder
from gflownet_crystal.common.metrics import read_metrics
from gflownet_crystal.common.run_schema import WEIGHTS
from gflownet_crystal.config.build import plain, to_settings
from gflownet_crystal.config.compose import resolved
from gflownet_crystal.config.run_folder import card_command, open_folder
from gflownet_crystal.config.values import HIGHEST_SEED, check_whole, flag
from gflownet_crystal.training.engine import METRICS, Engine
from gflownet_crystal.training.networks import NetworkTraining, Task
from gflownet_crystal.training.settings import LoopSettings


@contextmanager
def open_training(
    config: DictConfig, name: str, section: str = "model"
) -> Iterator[tuple[Path, DictConfig, Path]]:
    """Hold the run folder.

    Args:
        config: composed from the command line.
        name: first word of the folder's name where ``run.dir`` is null.
        section: the section that says what is trained.

    Yields:
        The folder, the configuration to train with, and the weights file to write, all checked.

    Raises:
        ConfigError: a value is out of range, the folder is another run's, or another process is writing to it.
        DataError: the weights file cannot be written.
    """
    folder = run_folder(config, name, section, config.seed)
    with lock_folder(folder):
        yield folder, *_checked(folder, config, section)


def _checked(folder: Path, config: DictConfig, section: str) -> tuple[DictConfig, Path]:
    """The configuration to train with, and the weights file."""
    config = resolved(open_folder(folder, config, (section, "loop", "record"))[0])
    check_whole(config, "seed", 0, HIGHEST_SEED)
    check_whole(config, "max_atoms", 1, may_be_none=True)
    for key in ("resume", "trust", "quiet"):
        flag(config[key], key)
    check_number(config, "holdout", 1.0)
    return config, weights_file(folder / WEIGHTS if config.out is None else config.out)


def check_number(config: DictConfig, key: str, limit: float) -> None:
    """Check that a value is a number from 0 to below ``limit``.

    Raises:
        ConfigError: the value is out of range or no number.
    """
    value = config[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value < limit:
        raise ConfigError(f"{key} must be a number from 0 to below {limit}, not {value!r}")


def loop_settings(config: DictConfig) -> LoopSettings:
    """The settings of the loop.

    Raises:
        ConfigError: one is out of range, or there is nothing to train and nothing to start from.
    """
    settings = to_settings(LoopSettings, config.loop, "loop")
    if settings.epochs == 0 and config.get("start") is None:
        raise ConfigError("loop.epochs must be at least 1, not 0, where no start=FILE gives weights")
    return settings


def train(task: Task, config: DictConfig, folder: Path, verb: str) -> Engine[NetworkTraining]:
    """Train, or go on training; the task's model then has its averaged weights.

    Raises:
        TrainingStopped: the user interrupted; the text says how to go on.
    """
    settings = loop_settings(config)
    training = NetworkTraining(task, settings, config.seed)
    engine = train_in_folder(training, folder, verb, config, settings.checkpoint_every)
    training.finish()
    return engine


def training_card(
    config: DictConfig,
    engine: Engine[NetworkTraining],
    verb: str,
    paths: Sequence[Path],
    network: Mapping[str, Any],
) -> dict[str, Any]:
    """Entries of the card of any training: network, loop, seed, data, command, and cost.

    Args:
        config: configuration of the training.
        engine: engine of the finished training.
        verb: verb of the command.
        paths: paths of the data.
        network: its name and its settings.
    """
    training = engine.training
    return {
        "network": dict(network),
        "parameters": sum(value.numel() for value in training.optimizer.named.values()),
        "settings": plain(config.loop),
        "seed": config.seed,
        **({"max_atoms": config.max_atoms} if "max_atoms" in config else {}),
        "structures": len(training.task.sizes),
        "samples_seen": training.samples,
        "training_seconds": round(training.seconds),
        "data": [path.name for path in paths],
        "command": card_command(verb, config),
    }


def validation_curve(engine: Engine[NetworkTraining], *names: str) -> list[Any]:
    """Figures of all validations of a run, in order: a number each for one name, else numbers by name.

    Args:
        engine: engine of the finished training.
        names: names of the figures; none for all.
    """
    records = [
        record["validation"] for record in read_metrics(engine.run_dir / METRICS) if "validation" in record
    ]
    if len(names) == 1:
        return [record[names[0]] for record in records]
    return [{name: record[name] for name in names or record if name in record} for record in records]


def still_falling(curve: Sequence[float]) -> bool:
    """Whether the last figure is the lowest."""
    return len(curve) > 1 and curve[-1] < min(curve[:-1])
