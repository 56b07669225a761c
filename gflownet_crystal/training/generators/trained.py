"""The contract of generators that ``train_generator`` trains: network, task, and model card."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn

from gflownet_crystal.common.arguments import settings_from
from gflownet_crystal.common.errors import ConfigError, unknown
from gflownet_crystal.common.values import flag
from gflownet_crystal.training.energies.labelled import Splits
from gflownet_crystal.training.networks import Task
from gflownet_crystal.weights import fitting_card, half_tensors, load_weights, round_to_half, save_weights

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T")
_PLACE = "generator.network"


class TrainedGenerator(ABC):
    """Network of a generator, its task and its model card.

    Settings are checked and the network is made at once; data come later.

    Args:
        section: ``generator`` of the configuration, without the name of a class.
        seed: random seed of the initial weights.
        device: device of the network.

    Attributes:
        kind: kind of the weights.
        unit: unit of the figures that are validated.
        network: entries of the card: ``name`` and ``settings``.
        model: model on its device.
        is_new: whether the model has its initial weights, and not those of :meth:`begin_with`.

    Raises:
        ConfigError: a key is unknown, or a value out of range.
    """

    kind: str
    unit: str
    network: dict[str, object]
    model: nn.Module
    is_new: bool = True
    keys: tuple[str, ...] = ("name", "half", "network", "task")

    def __init__(self, section: Mapping[str, object], seed: int, device: torch.device) -> None:
        strange = [key for key in section if key not in self.keys]
        if strange:
            raise unknown("key", f"generator.{strange[0]}", [f"generator.{key}" for key in self.keys])
        self.half = flag(section.get("half"), "generator.half")
        try:
            settings, self.model = self.build(section, seed)
        except (ArithmeticError, IndexError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise ConfigError(
                f"{_PLACE} makes no network: {reason}; are its widths and numbers positive?"
            ) from error
        self.network = {"name": self.kind, "settings": asdict(settings)}
        self._kind_of_settings = type(settings)
        self.model = self.model.to(device)

    def begin_with(self, start: str | Path) -> Mapping[str, Any]:
        """Take earlier weights of the same network, before :meth:`task` is called; returns their card.

        Args:
            start: name of shipped weights, or a ``.safetensors`` file.

        Raises:
            ConfigError: they are of another network.
            WeightsError: they are missing, corrupt or of another kind.
        """
        tensors, card = load_weights(start, self.kind)
        with fitting_card(start):
            theirs = self.described(card)
        own = self.described({**self.card(), "network": self.network})
        if other := [key for key, value in own.items() if theirs.get(key) != value]:
            key, value = other[0], theirs.get(other[0])
            raise ConfigError(f"start={start} has {key}={value}, not {own[key]}: give {key}={value}")
        with fitting_card(start):
            self.take(tensors)
        self.is_new = False
        return card

    def described(self, card: Mapping[str, Any]) -> dict[str, object]:
        """Keys of the configuration, and their values, in which weights have to agree, by the card of these."""
        settings = settings_from(self._kind_of_settings, card["network"]["settings"])
        return leaves(_PLACE, asdict(settings))

    def take(self, tensors: Mapping[str, Tensor]) -> None:
        """Take the tensors of a weights file."""
        self.model.load_state_dict(tensors)

    @abstractmethod
    def build(self, section: Mapping[str, object], seed: int) -> tuple[DataclassInstance, nn.Module]:
        """Read all of ``section``; returns the settings of the network, and the network."""

    @abstractmethod
    def task(self, splits: Splits) -> Task:
        """The task to learn from data; called once."""

    @abstractmethod
    def figures(self) -> Mapping[str, object]:
        """Validation of the model as it is."""

    @staticmethod
    @abstractmethod
    def error(figures: Mapping[str, float]) -> float:
        """The figure of a validation that training lowers."""

    def card(self) -> dict[str, object]:
        """Further entries of the card."""
        return {}

    def round_weights(self) -> None:
        """Round parameters to the precision that they are stored in, so that figures are those of the file."""
        if self.half:
            round_to_half(self.model)

    def save(self, path: Path, card: Mapping[str, object]) -> None:
        """Write weights and card; learned weights are stored in half precision, all others as they are."""
        tensors = half_tensors(self.model) if self.half else dict(self.model.state_dict())
        save_weights(path, tensors, card)


def part(section: Mapping[str, object], name: str) -> Mapping[str, object]:
    """A part of the section ``generator``.

    Raises:
        ConfigError: it holds no keys with values.
    """
    found = section.get(name)
    if not isinstance(found, Mapping):
        raise ConfigError(f"generator.{name} must be a section of keys with values, not {found!r}")
    return found


def part_settings(kind: type[T], section: Mapping[str, object], name: str) -> T:
    """A dataclass of a part of the section ``generator``, with unknown keys and wrong types refused.

    Raises:
        ConfigError: naming the key and the allowed values.
    """
    return settings_from(kind, part(section, name), f"generator.{name}")


def leaves(place: str, values: Mapping[str, object]) -> dict[str, object]:
    """Values by dotted key."""
    found: dict[str, object] = {}
    for name, value in values.items():
        key = f"{place}.{name}"
        found |= leaves(key, value) if isinstance(value, Mapping) else {key: value}
    return found
