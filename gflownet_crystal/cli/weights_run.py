"""Common parts of the verbs that train and write weights: the run folder, its configuration, and the weights file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from omegaconf import DictConfig

from gflownet_crystal.common.locks import lock_folder
from gflownet_crystal.common.run_schema import WEIGHTS
from gflownet_crystal.config.build import plain_section
from gflownet_crystal.config.compose import resolved
from gflownet_crystal.config.run_folder import open_folder, run_folder
from gflownet_crystal.config.values import check_writable
from gflownet_crystal.workflows.training_settings import NetworkChoice, NetworkSettings

SomeSettings = TypeVar("SomeSettings", bound=NetworkSettings)


def weights_folder(config: DictConfig, name: str, section: str, seed: object) -> Path:
    """``run.dir``, or ``runs/<name>_<choice of the section>_<seed>`` where it is null."""
    # the section may be filled from a group of another name: denoiser@model
    choices = [value for key, value in config.record.choices.items() if str(key).split("@")[-1] == section]
    return run_folder(config, [name, *choices], seed)


@contextmanager
def open_training(
    config: DictConfig, settings_of: Callable[[DictConfig], SomeSettings], name: str, section: str = "model"
) -> Iterator[tuple[Path, DictConfig, SomeSettings, Path]]:
    """Hold the run folder of a training of networks.

    Args:
        config: composed from the command line.
        settings_of: settings of a resolved configuration.
        name: first word of the folder's name where ``run.dir`` is null.
        section: the section that says what is trained.

    Yields:
        The folder, the configuration to train with, its settings, and the weights file to write, all checked.

    Raises:
        ConfigError: a value is out of range, the folder is another run's, or another process is writing to it.
        DataError: the weights file cannot be written.
    """
    folder = weights_folder(config, name, section, config.seed)
    with lock_folder(folder):
        config = resolved(open_folder(folder, config, (section, "loop", "record"))[0])
        settings = settings_of(config)
        out = folder / WEIGHTS if settings.out is None else settings.out
        check_writable(out)
        yield folder, config, settings, out


def network_choice(section: DictConfig) -> NetworkChoice:
    """The network of the section ``model``.

    Raises:
        ConfigError: its settings are none.
    """
    return NetworkChoice(name=section.name, settings=plain_section(section.settings, "model.settings"))
