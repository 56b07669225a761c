"""Generators that ``train_generator`` trains: network, task, and model card of each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import nn

from gflownet_crystal.common.arguments import settings_from
from gflownet_crystal.common.errors import ConfigError, unknown
from gflownet_crystal.common.values import flag
from gflownet_crystal.generators.assignments.ranked import RankedAssignments
from gflownet_crystal.models.gemsdiff import model as gemsdiff
from gflownet_crystal.models.gemsdiff.model import GemsDiffModel
from gflownet_crystal.models.gemsdiff.settings import GemsDiffSettings, present_values
from gflownet_crystal.models.langevin import model as langevin
from gflownet_crystal.models.langevin.dimenet_settings import DimeNetSettings
from gflownet_crystal.models.langevin.model import NoiseLevels, ScoreModel
from gflownet_crystal.models.sites import assignment_ranker, parameter_flow
from gflownet_crystal.models.sites.assignment_ranker import AssignmentRanker
from gflownet_crystal.models.sites.parameter_flow import ParameterFlow
from gflownet_crystal.models.sites.settings import SiteSettings
from gflownet_crystal.training.energies.labelled import Splits
from gflownet_crystal.training.generators.assignment_data import OccupiedSplits
from gflownet_crystal.training.generators.assignment_task import (
    AssignmentSettings,
    AssignmentTask,
    RankerSettings,
    recall_figures,
)
from gflownet_crystal.training.generators.gemsdiff_task import DiffusionSettings, GemsDiffTask
from gflownet_crystal.training.generators.langevin_task import LangevinTask, LangevinTaskSettings
from gflownet_crystal.training.generators.site_task import SiteTask, SiteTaskSettings
from gflownet_crystal.training.networks import Task
from gflownet_crystal.weights import half_tensors, round_to_half, save_weights

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

    Raises:
        ConfigError: a key is unknown, or a value out of range.
    """

    kind: str
    unit: str
    network: dict[str, object]
    model: nn.Module
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
        self.model = self.model.to(device)

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


class TrainedWyckoff(TrainedGenerator):
    """The flow of ``generators/wyckoff_sampler.py``."""

    kind = parameter_flow.KIND
    unit = "squared error of velocities over the squared reach of a crystal's atoms"

    def build(self, section: Mapping[str, object], seed: int) -> tuple[SiteSettings, ParameterFlow]:
        settings = part_settings(SiteSettings, section, "network")
        self._settings = part_settings(SiteTaskSettings, section, "task")
        self._flow = ParameterFlow.new(settings, seed)
        return settings, self._flow

    def task(self, splits: Splits) -> Task:
        self._task = SiteTask.of(self._flow, splits, self._settings)
        return self._task

    def figures(self) -> Mapping[str, object]:
        return {"n": len(self._task.validation), **self._task.validate()}

    @staticmethod
    def error(figures: Mapping[str, float]) -> float:
        return figures["velocity"]


class TrainedGemsDiff(TrainedGenerator):
    """The diffusion of ``generators/gemsdiff.py``, in the recipe that ``network.recipe`` names."""

    kind = gemsdiff.KIND

    def build(self, section: Mapping[str, object], seed: int) -> tuple[GemsDiffSettings, GemsDiffModel]:
        network = present_values(part(section, "network"))
        settings = settings_from(GemsDiffSettings, network, _PLACE)
        self._settings = part_settings(DiffusionSettings, section, "task")
        self._model = GemsDiffModel(settings, seed)
        if settings.is_corrected:
            self.unit = "squared errors of ways back and lattice velocities, in units of their deviations"
        else:
            self.unit = "position: squared fractional coordinates; lattice: deviations of its parameters"
        return settings, self._model

    def task(self, splits: Splits) -> Task:
        self._task = GemsDiffTask(self._model, splits, self._settings)
        return self._task

    def figures(self) -> Mapping[str, object]:
        return {"n": len(self._task.validation), **self._task.validate()}

    @staticmethod
    def error(figures: Mapping[str, float]) -> float:
        return figures["loss"]


class TrainedLangevin(TrainedGenerator):
    """The scores of ``generators/langevin.py``, of the mode that ``task.mode`` names."""

    kind = langevin.KIND
    unit = "squared error of the noise in units of its deviation; 1 for a model that says nothing"
    keys = (*TrainedGenerator.keys, "levels")

    def build(self, section: Mapping[str, object], seed: int) -> tuple[DimeNetSettings, ScoreModel]:
        settings = part_settings(DimeNetSettings, section, "network")
        self._levels = part_settings(NoiseLevels, section, "levels")
        self._settings = part_settings(LangevinTaskSettings, section, "task")
        self._model = ScoreModel(settings, self._levels, seed)
        return settings, self._model

    def task(self, splits: Splits) -> Task:
        self._task = LangevinTask(self._model, splits, self._settings)
        return self._task

    def figures(self) -> Mapping[str, object]:
        return {"n": len(self._task.validated), **self._task.validate()}

    @staticmethod
    def error(figures: Mapping[str, float]) -> float:
        return figures["position"] + figures.get("lattice", 0.0)

    def card(self) -> dict[str, object]:
        return {"mode": self._settings.mode, "levels": asdict(self._levels)}


class TrainedAssignments(TrainedGenerator):
    """The table and the ranker of ``generators/ranked_assignments.py``."""

    kind = assignment_ranker.KIND
    unit = "share of crystals"

    def build(self, section: Mapping[str, object], seed: int) -> tuple[RankerSettings, AssignmentRanker]:
        settings = part_settings(RankerSettings, section, "network")
        self._settings = part_settings(AssignmentSettings, section, "task")
        if not self.half:
            raise ConfigError("generator.half must be true: the ranker and its table are stored in float16")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self._ranker = AssignmentRanker(**asdict(settings))
        return settings, self._ranker

    def task(self, splits: Splits) -> Task:
        occupied = OccupiedSplits.of(splits)
        self._task, self._table = AssignmentTask.of(self._ranker, occupied, self._settings)
        return self._task

    def figures(self) -> Mapping[str, object]:
        # as it is in use
        self._ranker.double()
        return recall_figures(self._task)

    @staticmethod
    def error(figures: Mapping[str, float]) -> float:
        return 1.0 - figures["recall_1"]

    def card(self) -> dict[str, object]:
        return {"table": {"keys": len(self._table.counts), "crystals": len(self._task.train)}}

    def save(self, path: Path, card: Mapping[str, object]) -> None:
        # the sizes are read from there
        own = {**card, "settings": self.network["settings"], "loop": card["settings"]}
        RankedAssignments(self._table, self._ranker, self._settings.listed).save(path, own)


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


TRAINED: dict[str, type[TrainedGenerator]] = {
    "wyckoff": TrainedWyckoff,
    "gemsdiff": TrainedGemsDiff,
    "langevin": TrainedLangevin,
    "assignments": TrainedAssignments,
}
