"""Making the weights of the correction for placed atoms: training on specs of samplers, calibration, figures."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from gflownet_crystal.common.bounds import InnerShare
from gflownet_crystal.common.errors import DataError
from gflownet_crystal.data.sampled_rows import only_sampled
from gflownet_crystal.data.schema import ENERGY_COLUMN
from gflownet_crystal.data.splits import in_holdout, reduced_formulas
from gflownet_crystal.proxies.hull import Hull
from gflownet_crystal.proxies.mlp import MLPProxy
from gflownet_crystal.proxies.mlp_placing import KIND, Placing
from gflownet_crystal.proxies.reference_hull import ReferenceHull
from gflownet_crystal.structures.spec_io import frame_to_specs
from gflownet_crystal.training.base import take_all_steps
from gflownet_crystal.training.proxies.heads import HeadsSettings, HeadsTraining
from gflownet_crystal.training.proxies.mlp_recipe import calibrate
from gflownet_crystal.training.proxies.placed_figures import HIGHEST, capped, placed_figures
from gflownet_crystal.training.proxies.placing_labels import BESIDE, distinct_labels, pack_labels
from gflownet_crystal.training.proxies.recipe import Recipe, Run, Trained, recipe_settings


@dataclass(frozen=True)
class PlacingSettings(HeadsSettings):
    """Hyperparameters of the heads of the correction.

    Attributes:
        highest: eV/atom above the reference hull; energies above it count as it, as atoms so bad say little more.
    """

    holdout: InnerShare = 0.2
    highest: float = HIGHEST


class PlacingRecipe(Recipe):
    """Trains the correction of the energy ensemble for placed atoms.

    Rows of known crystals are left aside: only specs of samplers (``structure_source`` sampled) are learned from.

    Args:
        ensemble: weights (name or ``.safetensors`` file) of the ensemble, which stays as it is.
        start: weights (name or ``.safetensors`` file) of an earlier correction of the same ensemble to go on from.
        hull: hull from which energies are measured in figures; the shipped reference hull if None.
        settings: fields of :class:`PlacingSettings`.

    Raises:
        ConfigError: an unknown setting or a value out of range.
        WeightsError: no such ensemble.
    """

    kind: ClassVar[str] = KIND

    def __init__(
        self,
        ensemble: str | Path = "mlp",
        start: str | Path | None = None,
        hull: Hull | None = None,
        **settings: Any,
    ) -> None:
        self.settings = recipe_settings(PlacingSettings, settings)
        self.ensemble = MLPProxy(ensemble)
        self.start = None if start is None else Placing.from_weights(start, self.ensemble.card["sha256"])
        self.hull = hull or ReferenceHull.from_weights()

    def rows(self, table: pd.DataFrame) -> pd.DataFrame:
        """Labelled specs of samplers."""
        table = only_sampled(table)
        return table[np.isfinite(table[ENERGY_COLUMN].to_numpy(dtype=np.float64))].reset_index(drop=True)

    def fit(self, table: pd.DataFrame, run: Run = take_all_steps) -> Trained:
        """Train on the specs of samplers in a prepared table, calibrate, and measure.

        Raises:
            DataError: too few specs of samplers.
        """
        labels = self.rows(table)
        table = self._capped(labels)
        held = in_holdout(reduced_formulas(table), self.settings.holdout, self.settings.seed)
        train, rest = table[~held].reset_index(drop=True), table[held].reset_index(drop=True)
        if len(train) < 2 or len(rest) < 2:
            raise DataError(
                f"{len(train)} specs of samplers (structure_source sampled) to train and {len(rest)} to validate on; "
                "give more of them, or another holdout"
            )
        specs = frame_to_specs(train)
        energy = torch.from_numpy(train[ENERGY_COLUMN].to_numpy(dtype=np.float64).copy())
        target = (energy - self.ensemble(specs).value).float()
        heads = None if self.start is None else self.start.heads
        training = HeadsTraining(self.ensemble.layers(specs)[0], target, self.settings, heads)
        run(training)
        training.finish()
        tensors = {f"heads.{name}": tensor for name, tensor in training.model.state_dict().items()}
        card = self._card(training, len(distinct_labels(train)))
        placing = Placing(training.model, torch.ones(2, dtype=torch.float64), card)
        proxy = self.ensemble.with_placing(placing)
        placing.calibration = calibrate(proxy, rest.iloc[::2].reset_index(drop=True))
        tensors["calibration"] = placing.calibration
        card["validation"] = {
            "without_correction": self._figures(self.ensemble, rest),
            "sampled": self._figures(proxy, rest),
            "sampled_not_calibrated_on": self._figures(proxy, rest.iloc[1::2].reset_index(drop=True)),
        }
        return Trained(tensors, card, beside={BESIDE: pack_labels(labels)})

    def proxy(self, trained: Trained) -> MLPProxy:
        """The ensemble with the correction that the weights make."""
        return self.ensemble.with_placing(Placing.of(trained.tensors, trained.card))

    def _capped(self, table: pd.DataFrame) -> pd.DataFrame:
        """Rows of which none lies higher above the hull than the settings say."""
        if table.empty:
            return table
        label, hull = table[ENERGY_COLUMN].to_numpy(dtype=np.float64), self._hull_energy(table)
        return table.assign(**{ENERGY_COLUMN: capped(label, hull, self.settings.highest)})

    def _hull_energy(self, table: pd.DataFrame) -> NDArray[np.float64]:
        energy: NDArray[np.float64] = self.hull.hull_energy(frame_to_specs(table).composition).numpy()
        return energy

    def _card(self, training: HeadsTraining, n: int) -> dict[str, Any]:
        return {
            "kind": KIND,
            "property": MLPProxy.property_name,
            "unit": MLPProxy.unit,
            "ensemble": self.ensemble.card["sha256"],
            "settings": asdict(self.settings)
            | {"start": None if self.start is None else self.start.card.get("sha256")},
            "heads": training.model.arguments,
            "samples_seen": training.steps * self.settings.batch_size,
            "sampled_specs": n,
        }

    def _figures(self, proxy: MLPProxy, table: pd.DataFrame) -> dict[str, Any]:
        """Errors of the predictions for sampled specs, eV/atom, and precision of telling which lie near the hull."""
        prediction = proxy(frame_to_specs(table))
        label, hull = table[ENERGY_COLUMN].to_numpy(dtype=np.float64), self._hull_energy(table)
        return placed_figures(
            prediction.value.numpy(), label, hull, self.settings.highest, prediction.std.numpy()
        )
