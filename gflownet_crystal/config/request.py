"""A command's configuration as verbs read it: settings, objects and plain values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from omegaconf import DictConfig, OmegaConf

from gflownet_crystal.common.locks import lock_folder
from gflownet_crystal.common.outputs import check_writable
from gflownet_crystal.common.run_schema import WEIGHTS
from gflownet_crystal.config.build import (
    COMMAND_LINE,
    Trust,
    build,
    plain,
    plain_section,
    settings_among,
    to_settings,
    verb_settings,
)
from gflownet_crystal.config.compose import resolved
from gflownet_crystal.config.run_folder import SECTIONS, card_command, open_folder, run_folder, training_run
from gflownet_crystal.training.distributed import World
from gflownet_crystal.workflows.settings.training import NetworkChoice, NetworkSettings
from gflownet_crystal.workflows.training.run_folders import TrainingRun

T = TypeVar("T")
SomeSettings = TypeVar("SomeSettings", bound=NetworkSettings)


@dataclass(frozen=True)
class Request:
    """A command's configuration, read as settings, objects and plain values.

    Attributes:
        config: configuration composed from a command line, or stored with a run.
        trust: classes from outside the package that its sections may name.
    """

    config: DictConfig
    trust: Trust = COMMAND_LINE

    @cached_property
    def resolved(self) -> DictConfig:
        """The configuration with all references replaced by values.

        Raises:
            ConfigError: a reference leads nowhere, or a mandatory key has no value.
        """
        return resolved(self.config)

    def settings(self, kind: type[T], **given: object) -> T:
        """Settings of a verb; see :func:`~gflownet_crystal.config.build.verb_settings`."""
        return verb_settings(kind, self.resolved, **given)

    def settings_among(self, kind: type[T], key: str) -> T:
        """A dataclass whose fields are some of the keys; errors name them under ``key``."""
        return settings_among(kind, self.resolved, key)

    def settings_in(self, kind: type[T], section: str) -> T:
        """A dataclass of a section."""
        return to_settings(kind, self.resolved[section], section)

    def build(self, section: str, contract: type[T]) -> T:
        """The object that a section describes; see :func:`~gflownet_crystal.config.build.factory`."""
        return build(self.resolved[section], contract, section, self.trust)

    def section(self, name: str) -> dict[str, object]:
        """A section with lists and mappings as Python's own."""
        return plain_section(self.resolved[name], name)

    def values(self) -> dict[str, object]:
        """All keys, with plain Python lists and dictionaries as values."""
        return plain_section(self.resolved, "configuration")

    def value(self, key: str) -> object:
        """Value of a key, lists and mappings as Python objects; None if the key is missing."""
        return plain(self.resolved.get(key))

    def stated(self, key: str) -> object:
        """A key as it stands, also where other keys have no value yet; None where it has none."""
        return OmegaConf.select(self.config, key)

    def choice(self, group: str) -> object:
        """Name of the choice of a group, or of the section that a group fills; None where there is none."""
        # the section may be filled from a group of another name: denoiser@model
        chosen = {str(key).split("@")[-1]: value for key, value in self.config.record.choices.items()}
        return chosen.get(group)

    def network(self) -> NetworkChoice:
        """The network of the section ``model``."""
        section = self.resolved.model
        return NetworkChoice(name=section.name, settings=plain_section(section.settings, "model.settings"))

    def training_run(self, folder: Path, verb: str, world: World | None = None) -> TrainingRun:
        """A training in a folder that this process holds, or the first of a world of processes."""
        return training_run(folder, verb, self.resolved, world)

    def command(self, verb: str) -> str:
        """The command as cards have it, without folders."""
        return card_command(verb, self.config)

    def opened(self, folder: Path, sections: Sequence[str] = SECTIONS) -> Request:
        """The request to train with: this one in a new folder, the stored one to go on; see ``open_folder``."""
        return Request(*open_folder(folder, self.config, sections))


@contextmanager
def hold_folder(
    request: Request,
    words: Sequence[object],
    seed: object,
    sections: Sequence[str],
    world: World | None = None,
) -> Iterator[tuple[Path, Request]]:
    """Hold the run folder of a training.

    Args:
        request: request of the command line.
        words: words of the folder's name where ``run.dir`` is null; None for no word.
        seed: seed in that name.
        sections: sections that a stored configuration must have.
        world: processes that train together, of which the first holds the folder; None for this one alone.

    Yields:
        The folder, and the request to train with.

    Raises:
        ConfigError: the folder is another run's, or another process is writing to it.
    """
    folder = run_folder(request.config, [word for word in words if word is not None], seed)
    with lock_folder(folder) if world is None or world.is_main else nullcontext():
        yield folder, request.opened(folder, sections)


@contextmanager
def hold_recipe(
    request: Request, *words: object, sections: Sequence[str] = ()
) -> Iterator[tuple[Path, Request]]:
    """Hold the run folder of a training by a recipe, whose seed is that of the section ``training``."""
    seed = request.stated("training.seed") or 0
    with hold_folder(request, words, seed, (*sections, "training", "record")) as held:
        yield held


@contextmanager
def open_training(
    request: Request,
    settings_of: Callable[[Request], SomeSettings],
    name: str,
    section: str = "model",
    world: World | None = None,
) -> Iterator[tuple[Path, Request, SomeSettings, Path]]:
    """Hold the run folder of a training of networks.

    Args:
        request: request of the command line.
        settings_of: function that reads the settings.
        name: first word of the folder's name where ``run.dir`` is null.
        section: section that says which network is trained.
        world: processes that train together; None for this one alone.

    Yields:
        The folder, the request to train with, its settings, and the weights file to write, all checked.

    Raises:
        ConfigError: a value is out of range, the folder is another run's, or another process is writing to it.
        DataError: the weights file cannot be written.
    """
    words, sections = (name, request.choice(section)), (section, "loop", "record")
    with hold_folder(request, words, request.config.seed, sections, world) as (folder, chosen):
        settings = settings_of(chosen)
        out = folder / WEIGHTS if settings.out is None else settings.out
        check_writable(out)
        yield folder, chosen, settings, out
