"""Making the weights of a property, of specs or of structures: training on labels, calibration, figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, cast, get_args

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from gflownet_crystal.common.errors import ConfigError, DataError
from gflownet_crystal.data.sampled_rows import only_known
from gflownet_crystal.data.schema import require_columns
from gflownet_crystal.data.splits import true_cells
from gflownet_crystal.models.energies.trained import TrainedEnergies
from gflownet_crystal.proxies.learned_property import Components, LearnedProperty, Transform
from gflownet_crystal.proxies.mlp import MLPProxy
from gflownet_crystal.proxies.spec_property import KIND, PropertyProxy
from gflownet_crystal.structures.spec_io import frame_to_specs
from gflownet_crystal.training.base import take_all_steps
from gflownet_crystal.training.proxies.heads import HeadsSettings, HeadsTraining
from gflownet_crystal.training.proxies.mlp_recipe import calibration_factors
from gflownet_crystal.training.proxies.recipe import Recipe, Run, Trained, recipe_settings, split_table

_FEWEST = 20
"""Crystals below which no share of them says anything of the rest."""


class PropertyRecipe(Recipe):
    """Trains a property of specs on a column of labels.

    Args:
        column: column of the labels in the table.
        name: name of the property; that of the column if None.
        unit: unit of the labels.
        transform: function of the labels that is learned; ``log10`` for moduli and others that span decades.
        minimum: lowest value that the property can have, or None.
        ensemble: weights (name or ``.safetensors`` file) of the energy ensemble, which stays as it is.
        settings: fields of :class:`~gflownet_crystal.training.proxies.heads.HeadsSettings`.

    Raises:
        ConfigError: an unknown setting or a value out of range.
        WeightsError: no such ensemble.
    """

    kind: ClassVar[str] = KIND
    proxy_class: ClassVar[type[LearnedProperty]] = PropertyProxy
    base: MLPProxy | TrainedEnergies

    def __init__(
        self,
        column: str,
        unit: str,
        name: str | None = None,
        transform: str = "none",
        minimum: float | None = None,
        ensemble: str | Path = "mlp",
        **settings: Any,
    ) -> None:
        if transform not in get_args(Transform):
            choices = ", ".join(get_args(Transform))
            raise ConfigError(f"training.transform is one of {choices}, not {transform!r}")
        self.settings = recipe_settings(HeadsSettings, settings)
        self.column, self.unit, self.name = column, unit, name or column
        self.transform, self.minimum = transform, minimum
        self.base, self.labels = self.network(ensemble), (column,)

    def network(self, weights: str | Path) -> MLPProxy | TrainedEnergies:
        """The energy network whose layers are read."""
        return MLPProxy(weights)

    def layers(self, rows: pd.DataFrame) -> Tensor:
        """Inputs of the heads (members, n, f) for n rows of :meth:`rows`."""
        return cast(MLPProxy, self.base).layers(frame_to_specs(rows))[0]

    def components(self, proxy: LearnedProperty, rows: pd.DataFrame) -> Components:
        """Outputs of the heads of a proxy for n rows of :meth:`rows`."""
        return proxy.components(frame_to_specs(rows))

    def rows(self, table: pd.DataFrame) -> pd.DataFrame:
        """Known crystals with a cell and a label.

        Raises:
            DataError: no such column, or too few such rows.
        """
        require_columns(table, (self.column,), "the data")
        table = only_known(table)
        label = table[self.column].to_numpy(dtype=np.float64)
        has_cell = true_cells(table)
        if self.transform == "log10" and bool((label[has_cell] <= 0.0).any()):
            raise DataError(
                f"{self.column} has values of 0 or less, which have no logarithm; leave them out, or give "
                "training.transform=none"
            )
        return self.enough(table[has_cell & np.isfinite(label)], "a cell")

    def enough(self, labelled: pd.DataFrame, known: str) -> pd.DataFrame:
        """The rows, numbered from 0, if they are enough.

        Args:
            labelled: rows with a label.
            known: words for the further data that they have.

        Raises:
            DataError: they are too few.
        """
        if len(labelled) < _FEWEST:
            raise DataError(
                f"{len(labelled)} crystals have {known} and a number in {self.column}; give at least {_FEWEST}"
            )
        return labelled.reset_index(drop=True)

    def fit(self, table: pd.DataFrame, run: Run = take_all_steps) -> Trained:
        """Train on the labelled crystals of a prepared table, calibrate, and measure.

        Raises:
            DataError: see :meth:`rows`; or nothing is left to train or to validate on.
        """
        parts = split_table(self.rows(table), self.settings.holdout, self.settings.seed)
        target = self._learned(parts.train)
        mean, deviation = float(target.mean()), max(float(target.std()), 1e-6)
        standard = torch.from_numpy((target - mean) / deviation)
        training = HeadsTraining(self.layers(parts.train), standard.float(), self.settings)
        run(training)
        training.finish()
        tensors = {f"heads.{name}": tensor for name, tensor in training.model.state_dict().items()}
        tensors["calibration"] = torch.ones(2, dtype=torch.float64)
        card = {**self._card(training, len(parts.train)), "scale": [mean, deviation]}
        proxy = self.proxy(Trained(tensors, card))
        kept = pd.concat([parts.validation, parts.holdout], ignore_index=True)
        found = self.components(proxy, kept)
        tensors["calibration"] = self._calibration(proxy, _rows(found, slice(0, None, 2)), kept.iloc[::2])
        proxy = self.proxy(Trained(tensors, card))
        card["validation"] = {
            name: self.figures(proxy, _rows(found, rows), kept.iloc[rows])
            for name, rows in (
                ("validation", slice(len(parts.validation))),
                ("not_calibrated_on", slice(1, None, 2)),
            )
        }
        return Trained(tensors, card)

    def proxy(self, trained: Trained) -> LearnedProperty:
        """The proxy that the weights make."""
        return self.proxy_class.from_heads(self.base, trained.tensors, trained.card)

    def test(self, trained: Trained, tables: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
        """Errors on tables that were not trained on, by name."""
        proxy = self.proxy(trained)
        kept = {name: self.rows(table) for name, table in tables.items()}
        return {
            name: self.figures(proxy, self.components(proxy, table), table) for name, table in kept.items()
        }

    def figures(self, proxy: LearnedProperty, components: Components, table: pd.DataFrame) -> dict[str, Any]:
        """Errors on labelled crystals.

        Args:
            proxy: the proxy.
            components: output of its heads for the crystals.
            table: n labelled rows.

        Returns:
            n; mae, median error and rmse in the unit; mae of the transformed property where there is a transform; share
            of labels within two standard deviations; rank correlation, unless all are equal.
        """
        value, std = (column.numpy() for column in proxy.calibrated(components))
        label = table[self.column].to_numpy(dtype=np.float64)
        error = np.abs(value - label)
        figures = {
            "n": len(table),
            "mae": float(error.mean()),
            "median_error": float(np.median(error)),
            "rmse": float(np.sqrt(np.mean(error**2))),
            "within_2_std": float((error <= 2.0 * std).mean()),
        }
        if min(np.ptp(value), np.ptp(label)) > 0.0:
            ranks = pd.Series(value).corr(pd.Series(label), method="spearman")
            figures["spearman"] = float(ranks)
        if self.transform != "none":
            learned = np.log10(np.maximum(value, np.finfo(np.float64).tiny))
            figures[f"mae_{self.transform}"] = float(np.abs(learned - self._learned(table)).mean())
        return figures

    def _learned(self, table: pd.DataFrame) -> NDArray[np.float64]:
        """Labels as they are learned, (n,)."""
        label: NDArray[np.float64] = table[self.column].to_numpy(dtype=np.float64).copy()
        return np.log10(label) if self.transform == "log10" else label

    def _calibration(self, proxy: LearnedProperty, components: Components, table: pd.DataFrame) -> Tensor:
        value, spread, noise, _ = components
        # in units of the spread of the labels, for which the factors are tried
        unit = proxy.deviation
        error = (value.numpy() - self._learned(table)) / unit
        return calibration_factors(error, spread.numpy() / unit**2, noise.numpy() / unit**2).double()

    def _card(self, training: HeadsTraining, n: int) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "property": self.name,
            "unit": self.unit,
            "column": self.column,
            "transform": self.transform,
            "minimum": self.minimum,
            "ensemble": self.base.card["sha256"],
            "settings": asdict(self.settings),
            "heads": training.model.arguments,
            "samples_seen": training.steps * self.settings.batch_size,
            "crystals": n,
        }


def _rows(components: Components, rows: slice) -> Components:
    mean, spread, noise, beyond = components
    return mean[rows], spread[rows], noise[rows], beyond[rows]
