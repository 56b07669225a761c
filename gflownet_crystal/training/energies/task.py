"""Learning formation energies per atom."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from gflownet_crystal.data.label_schemes import is_legacy
from gflownet_crystal.models.energies.energy import EnergyModel
from gflownet_crystal.models.layers.inputs import CrystalGraph
from gflownet_crystal.models.layers.stored_graphs import StoredGraphs
from gflownet_crystal.training.energies.labelled import LabelledStructures, Splits
from gflownet_crystal.training.networks import Task


class EnergyTask(Task):
    """Mean absolute error of energies, eV/atom.

    Args:
        model: model on its device; its elements' energies and scale are set from the training set.
        splits: data to learn from and to validate on.
        legacy_weight: weight of labels brought over from the earlier correction scheme.
        half: bfloat16 in validation too.
        watched: structures of the validation set that are looked at during the training, at random but always the same.
    """

    def __init__(
        self,
        model: EnergyModel,
        splits: Splits,
        legacy_weight: float = 1.0,
        half: bool = False,
        watched: int = 2000,
    ) -> None:
        self.model: EnergyModel = model
        self.splits, self.half = splits, half
        order = np.random.default_rng(0).permutation(len(splits.validation))
        self.watched = splits.validation.take(np.sort(order[:watched]))
        self.sizes = splits.train.structures.n_atoms
        legacy = is_legacy(pd.Series(splits.train.source))
        self.weight = torch.from_numpy(np.where(legacy, legacy_weight, 1.0)).float()
        model.fit_elements(splits.train.structures, splits.train.energy)
        self.device = model.scale.device
        # a search of neighbours takes a GPU longer than the training step
        self.stored = self._stored_graphs() if self.device.type == "cuda" else None

    def losses(self, rows: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """The weighted mean absolute error of a batch."""
        train = self.splits.train
        graph = self._graph(rows)
        target = train.energy[rows].to(self.device, torch.float32)
        error = (self.model(graph).float() - target).abs() * self.weight[rows].to(self.device)
        return {"mae": error.mean()}

    def _graph(self, rows: Tensor) -> CrystalGraph:
        if self.stored is None:
            return self.model.graph(self.splits.train.structures[rows].to(self.device))
        return self.stored.batch(rows.to(self.device), self.model.needs_triplets)

    def _stored_graphs(self) -> StoredGraphs:
        return StoredGraphs.of(self.splits.train.structures.to(self.device), self.model.graph)

    def validate(self) -> dict[str, float]:
        """Mean absolute and root mean square error on the watched structures."""
        figures = error_figures(self.model, self.watched, self.half)
        return {"mae": figures["mae"], "rmse": figures["rmse"]}


def error_figures(model: EnergyModel, data: LabelledStructures, half: bool = False) -> dict[str, Any]:
    """Errors on labelled structures, eV/atom.

    Returns:
        n, mae, rmse, and mae by source of the labels.
    """
    predicted = model.energies(data.structures.to(model.scale.device), half=half).cpu()
    return figures_of((predicted - data.energy).numpy(), data.source)


def figures_of(error: NDArray[np.float64], source: NDArray[np.str_]) -> dict[str, Any]:
    """The figures of :func:`error_figures` from errors (n,), eV/atom, and the sources (n,) of their labels."""
    by_source = {str(name): float(np.abs(error[source == name]).mean()) for name in np.unique(source)}
    return {
        "n": len(error),
        "mae": float(np.abs(error).mean()),
        "rmse": float(np.sqrt((error**2).mean())),
        "mae_by_energy_source": by_source,
    }
