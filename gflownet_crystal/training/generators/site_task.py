"""Learning the free parameters of Wyckoff positions by flow matching."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from gflownet_crystal.common.annotations import CheckedFields
from gflownet_crystal.common.bounds import Count
from gflownet_crystal.common.errors import DataError
from gflownet_crystal.models.sites.parameter_flow import ParameterFlow, velocity_loss
from gflownet_crystal.models.sites.settings import SiteSettings
from gflownet_crystal.structures.batching import spread
from gflownet_crystal.training.energies.labelled import LabelledStructures, Splits
from gflownet_crystal.training.generators.assignment_data import OccupiedSpecs
from gflownet_crystal.training.generators.site_data import SiteData, uniform_parameters
from gflownet_crystal.training.networks import Task

VALIDATION_SEED = 2024
"""Of noise and times that are validated on, whatever the seed of the training."""

_PAIRS = 8192


@dataclass(frozen=True)
class SiteTaskSettings(CheckedFields):
    """Settings of the task of placing atoms on Wyckoff positions.

    Attributes:
        nearest: start each path at the nearest description of the crystal to the noise, rather than at the one that is
            stored; paths are then shorter and straighter, and uniform noise stays uniform.
        validated: crystals that are validated on while training; None for all.
        max_pairs: most pairs of an orbit and an atom of the primitive cell in a training crystal.
    """

    place = "generator.task"

    nearest: bool = True
    validated: Count | None = 1024
    max_pairs: Count = 800


class SiteTask(Task):
    """Squared errors of velocities.

    Batches are cut by pairs of an orbit and an atom, not by atoms.

    Args:
        model: model on its device.
        train: crystals to learn from; those without a free parameter teach nothing and are left out.
        validation: crystals to validate on, likewise.
        settings: settings of the task.

    Raises:
        DataError: there is nothing to learn, or to validate on.
    """

    def __init__(
        self, model: ParameterFlow, train: SiteData, validation: SiteData, settings: SiteTaskSettings
    ) -> None:
        self.model: ParameterFlow = model
        self.settings = settings
        self.train = train.take((train.is_free & (train.n_pairs <= settings.max_pairs)).nonzero()[:, 0])
        rows = validation.is_free.nonzero()[:, 0]
        if not len(self.train) or not len(rows):
            raise DataError("no crystal has a free parameter to learn: give more structures")
        self.validation = validation.take(rows[spread(len(rows), settings.validated)])
        self.sizes = self.train.n_pairs
        self.device = model.network.element.device

    @classmethod
    def of(cls, model: ParameterFlow, splits: Splits, settings: SiteTaskSettings) -> Self:
        """The task of a model; finding the orbits of crystals takes about 1 ms each.

        Args:
            model: model on its device.
            splits: data to learn from and to validate on; energies are not looked at.
            settings: settings of the task.

        Raises:
            DataError: no crystal has a symmetry that is found, or none has a free parameter.
        """
        train, validation = (_data(part, model.settings) for part in (splits.train, splits.validation))
        return cls(model, train, validation, settings)

    def losses(self, rows: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """The loss of a batch."""
        return {"velocity": self._loss(self.train.take(rows), generator)}

    def _loss(self, data: SiteData, generator: torch.Generator) -> Tensor:
        graph = data.graph()
        start = uniform_parameters(graph, generator)
        time = torch.rand(len(data), generator=generator)
        if self.settings.nearest:
            way = data.nearest(graph, start)
        else:
            way = data.occupied.parameters - start
            way = (way - way.round()).where(graph.is_free, 0.0)
        here = start + time.double()[graph.crystal, None] * way
        graph = graph.to(self.device)
        wanted = graph.without_drift(graph.displacement(way.to(self.device)))
        predicted = self.model(graph, here.to(self.device), time.to(self.device))
        return velocity_loss(graph, predicted.float(), wanted.float())

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """The loss on crystals that are validated on, always with the same noise."""
        generator = torch.Generator().manual_seed(VALIDATION_SEED)
        total, n = 0.0, len(self.validation)
        pairs = self.validation.n_pairs.cumsum(0) // _PAIRS
        for rows in torch.arange(n).split(torch.unique_consecutive(pairs, return_counts=True)[1].tolist()):
            total += float(self._loss(self.validation.take(rows), generator)) * len(rows)
        return {"velocity": total / n}


def _data(labelled: LabelledStructures, network: SiteSettings) -> SiteData:
    found, _ = OccupiedSpecs.of(labelled.structures)
    return SiteData.of(found.specs, found.occupied, network)
