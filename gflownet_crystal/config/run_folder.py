"""Run folders: made, found, resumed; and their contents."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from gflownet_crystal.common.errors import CheckpointError, ConfigError, DataError
from gflownet_crystal.common.run_schema import CONFIG
from gflownet_crystal.common.values import flag, path_setting, seed_number
from gflownet_crystal.common.yaml_files import read_yaml
from gflownet_crystal.config.build import COMMAND_LINE, Trust, trust_word
from gflownet_crystal.config.compose import TARGET, parse_setting, require_section
from gflownet_crystal.config.config_errors import first_line
from gflownet_crystal.training.distributed import World
from gflownet_crystal.workflows.output_folder import holds_nothing, refuse_resume
from gflownet_crystal.workflows.training.run_folders import TrainingRun

FREE_ON_RESUME = (
    "device", "threads", "resume", "trust", "quiet", "run", "samples", "export", "screening", "logger",
    "trainer.iterations", "trainer.checkpoint_every", "out", "test", "checkpoint_every",
    "loop.checkpoint_every",
)  # fmt: skip
"""Keys and sections that may change when a run is resumed; all others define the training."""


def run_folder(config: DictConfig, words: Sequence[object], seed: object) -> Path:
    """``run.dir``, or where it is null ``runs/<words>_<seed>``."""
    if config.run.dir is not None:
        return path_setting(config.run.dir, "run.dir")
    return Path("runs") / "_".join(map(str, [*words, seed_number(seed, "seed")]))


SECTIONS = ("env", "proxy", "reward", "policy", "objective", "trainer", "record")
"""Sections of the configuration of a ``train_gfn`` run."""

_OPTIONAL_SECTIONS = (
    *SECTIONS, "run", "prior", "logger", "samples", "export", "screening", "dataset",
    "loop", "model", "training", "trained_generator", "denoiser", "denoising",
)  # fmt: skip

_LENGTHS = ("trainer.iterations", "loop.epochs", "training.steps", "training.epochs")


def open_folder(
    folder: Path, config: DictConfig, sections: Sequence[str] = SECTIONS
) -> tuple[DictConfig, Trust]:
    """The configuration to train with: the given one for a new folder, the stored one to go on.

    Args:
        folder: the run folder.
        config: configuration of the command line.
        sections: sections that a stored configuration must have.

    Returns:
        The configuration, and the classes from outside the package that it may build.

    Raises:
        ConfigError: the folder holds something and ``resume`` is not set, or nothing and it is; or resuming with other
            settings.
    """
    resume = flag(config.resume, "resume")
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"run.dir={folder} is a file; give a folder")
    if holds_nothing(folder):
        if resume:
            refuse_resume(folder, "run.dir")
        return config, COMMAND_LINE
    if not resume:
        raise ConfigError(
            f"run folder {folder} is not empty; add resume=true to go on, or give another run.dir=..."
        )
    if not (folder / CONFIG).is_file():
        raise ConfigError(f"{folder} is not a run folder (no {CONFIG}); give another run.dir=...")
    stored, trust = resumed_config(read_config(folder, sections), config)
    _check_lengths(folder / CONFIG, stored, config)
    return stored, trust


def _check_lengths(path: Path, stored: DictConfig, config: DictConfig) -> None:
    """See that a stored configuration says how long its training is; a default would be another training."""
    for key in _LENGTHS:
        section, _, name = key.rpartition(".")
        given, kept = (OmegaConf.select(one, section) for one in (config, stored))
        if given is None or kept is None or given.get(TARGET) != kept.get(TARGET):
            continue
        if name in given and kept.get(name) is None:
            raise ConfigError(f"{path} is damaged: it has no {key}; give the {key}=... that it had")


def resumed_config(stored: DictConfig, config: DictConfig) -> tuple[DictConfig, Trust]:
    """The stored configuration with the keys that the command line may change.

    Raises:
        ConfigError: the command line contradicts the stored configuration.
    """
    result = stored.copy()
    given = [parse_setting(text).key for text in config.record.command]
    for key in given:
        if any(key == free or key.startswith(f"{free}.") for free in FREE_ON_RESUME):
            OmegaConf.update(result, key, OmegaConf.select(config, key), merge=False, force_add=True)
        elif _trained(stored, key) != _trained(config, key):
            raise ConfigError(
                f"{key} differs from the run being resumed (it was {_trained(stored, key)}); "
                "leave it out, or train in another run.dir"
            )
    targets = frozenset(_targets(config, [key for key in given if key != "experiment"]))
    return result, Trust(everything=bool(config.trust), targets=targets)


def _trained(config: DictConfig, key: str) -> object:
    """Value of a key of a configuration, without the keys that may change."""
    if key == "experiment":
        return config.record.choices.get(key)
    try:
        value = OmegaConf.select(config, key)
        if not isinstance(value, DictConfig):
            return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
        return {
            name: _trained(config, f"{key}.{name}")
            for name in map(str, value)
            if f"{key}.{name}" not in FREE_ON_RESUME
        }
    except OmegaConfBaseException as error:
        raise ConfigError(
            f"{key}: {first_line(error)}; give the run's env too, or leave {key} out"
        ) from error


def _targets(config: DictConfig, keys: list[str]) -> list[str]:
    """Classes in the sections that the user named."""
    found = []
    for key in keys:
        section = OmegaConf.select(config, key.removesuffix(f".{TARGET}"))
        if isinstance(section, DictConfig) and TARGET in section:
            found.append(str(section[TARGET]))
    return found


def training_run(folder: Path, verb: str, config: DictConfig, world: World | None = None) -> TrainingRun:
    """A training in a folder that this process holds, or the first of a world of processes.

    Args:
        folder: run folder.
        verb: verb of the training.
        config: configuration of the run, resolved.
        world: processes that train together; None for this one alone.
    """
    text = OmegaConf.to_yaml(config, resolve=True)
    command = card_command(verb, config)
    return TrainingRun(folder, verb, text, command, trust_word(config), config.quiet, world or World())


def read_config(folder: Path, sections: Sequence[str] = SECTIONS) -> DictConfig:
    """The stored configuration of a run.

    Raises:
        CheckpointError: the folder is no run folder, or its configuration is damaged.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise CheckpointError(f"{folder} is not a run folder (no {CONFIG}); give the run.dir of a training")
    try:
        config = read_yaml(path)
    except DataError as error:
        raise CheckpointError(str(error)) from error
    lacking = [name for name in sections if name not in config]
    if lacking:
        raise CheckpointError(f"{path} is damaged: it has no {', '.join(lacking)}")
    for name in (*sections, *(name for name in _OPTIONAL_SECTIONS if config.get(name) is not None)):
        try:
            require_section(config[name], name)
        except ConfigError as error:
            raise CheckpointError(f"{path} is damaged: {error}") from error
    return config


def card_command(verb: str, config: DictConfig) -> str:
    """The command with file names for paths: a card travels, the folders of one machine do not."""
    return shlex.join([verb, *(re.sub(r"[^=\[,]*/", "", str(word)) for word in config.record.command)])
