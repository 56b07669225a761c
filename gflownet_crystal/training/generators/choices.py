"""Generators of this package that ``train_generator`` trains, by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gflownet_crystal.common.arguments import settings_from
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.generators.assignments.ranked import RankedAssignments
from gflownet_crystal.generators.assignments.table import AssignmentTable
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
from gflownet_crystal.training.generators.trained import TrainedGenerator, leaves, part, part_settings
from gflownet_crystal.training.networks import Task
from gflownet_crystal.weights import tensors_under


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
        settings = settings_from(GemsDiffSettings, network, "generator.network")
        self._settings = part_settings(DiffusionSettings, section, "task")
        self._model = GemsDiffModel(settings, seed)
        if settings.is_corrected:
            self.unit = "squared errors of ways back and lattice velocities, in units of their deviations"
        else:
            self.unit = "position: squared fractional coordinates; lattice: deviations of its parameters"
        return settings, self._model

    def described(self, card: Mapping[str, Any]) -> dict[str, object]:
        network = card["network"]
        return super().described(
            {**card, "network": {**network, "settings": present_values(network["settings"])}}
        )

    def task(self, splits: Splits) -> Task:
        self._task = GemsDiffTask(self._model, splits, self._settings, self.is_new)
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

    def described(self, card: Mapping[str, Any]) -> dict[str, object]:
        levels = leaves("generator.levels", card["levels"])
        return {**super().described(card), **levels, "generator.task.mode": card["mode"]}


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
        self._table = AssignmentTable()
        return settings, self._ranker

    def take(self, tensors: Mapping[str, Tensor]) -> None:
        self._ranker.load_state_dict(tensors_under(tensors, "ranker/"))
        self._table = AssignmentTable.from_tensors(tensors_under(tensors, "table/"))

    def task(self, splits: Splits) -> Task:
        occupied = OccupiedSplits.of(splits)
        self._task, self._table = AssignmentTask.of(self._ranker, occupied, self._settings, self._table)
        return self._task

    def figures(self) -> Mapping[str, object]:
        # as it is in use
        self._ranker.double()
        figures = recall_figures(self._task)
        self._ranker.float()
        return figures

    @staticmethod
    def error(figures: Mapping[str, float]) -> float:
        return 1.0 - figures["recall_1"]

    def card(self) -> dict[str, object]:
        crystals = sum(sum(found.values()) for found in self._table.counts.values())
        return {"table": {"keys": len(self._table.counts), "crystals": crystals}}

    def save(self, path: Path, card: Mapping[str, object]) -> None:
        # the sizes are read from there
        own = {**card, "settings": self.network["settings"], "loop": card["settings"]}
        RankedAssignments(self._table, self._ranker, self._settings.listed).save(path, own)


TRAINED: dict[str, type[TrainedGenerator]] = {
    "wyckoff": TrainedWyckoff,
    "gemsdiff": TrainedGemsDiff,
    "langevin": TrainedLangevin,
    "assignments": TrainedAssignments,
}
