"""Making the weights of ``proxy=mlp``: data, training, calibration and the figures of its card."""

from __future__ import annotations

import itertools
from dataclasses import asdict
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from gflownet_crystal.data.label_schemes import to_one_scheme
from gflownet_crystal.data.quality import is_plausible
from gflownet_crystal.data.sampled_rows import without_sampled
from gflownet_crystal.data.schema import ENERGY_COLUMN
from gflownet_crystal.data.splits import true_cells
from gflownet_crystal.models.spec_energy.network import EnergyEnsemble
from gflownet_crystal.proxies.base import Proxy
from gflownet_crystal.proxies.mlp import KIND, MLPProxy
from gflownet_crystal.structures.spec_io import frame_to_specs
from gflownet_crystal.training.base import take_all_steps
from gflownet_crystal.training.proxies.mlp_data import TrainingData, build_training_data
from gflownet_crystal.training.proxies.mlp_training import EnsembleTraining, TrainingSettings
from gflownet_crystal.training.proxies.mlp_validation import error_figures, lattice_figures, strain_figures
from gflownet_crystal.training.proxies.recipe import Parts, Recipe, Run, Trained, recipe_settings, split_table

_SPREAD_FACTORS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)
_NOISE_FACTORS = (0.1, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5)
_LATTICE_CRYSTALS = 2000
_STRAINED_CRYSTALS = 400


class MLPRecipe(Recipe):
    """Trains the energy ensemble.

    Args:
        legacy_weight: weight of labels of the earlier correction scheme.
        random_strains: randomly strained copies of each crystal.
        start: weights (name or ``.safetensors`` file) to go on from instead of fresh ones.
        settings: fields of :class:`TrainingSettings`.

    Raises:
        ConfigError: an unknown setting or a value out of range.
    """

    kind: ClassVar[str] = KIND

    def __init__(
        self,
        legacy_weight: float = 1.0,
        random_strains: int = 16,
        start: str | None = None,
        **settings: Any,
    ) -> None:
        self.settings = recipe_settings(TrainingSettings, settings)
        self.legacy_weight, self.random_strains = legacy_weight, random_strains
        self.start = None if start is None else MLPProxy(start)

    def rows(self, table: pd.DataFrame) -> pd.DataFrame:
        """Known crystals and ones with exchanged elements."""
        return without_sampled(table)

    def fit(self, table: pd.DataFrame, run: Run = take_all_steps) -> Trained:
        """Train, calibrate, and measure.

        Raises:
            DataError: too little data, or none to validate on.
        """
        parts = split_table(to_one_scheme(self.rows(table)), self.settings.holdout)
        data = build_training_data(parts.train, self.legacy_weight, self.random_strains)
        training = EnsembleTraining(data, self.settings, None if self.start is None else self.start.network)
        run(training)
        training.finish()
        card = self._card(data, training.curve)
        known = None if self.start is None else self.start.shape_range
        trained = pack(training.model, data, parts, card, known)
        proxy = MLPProxy.of(trained.tensors, trained.card)
        trained.card["validation"] = validation_figures(proxy, parts)
        return trained

    def proxy(self, trained: Trained) -> MLPProxy:
        """The proxy that the weights make."""
        return MLPProxy.of(trained.tensors, trained.card)

    def _card(self, data: TrainingData, curve: list[float]) -> dict[str, object]:
        settings, tenth = self.settings, max(1, len(curve) // 10)
        # a training of one step has nothing before its last tenth
        last, before = (
            float(np.mean(part)) for part in (curve[-tenth:], curve[-2 * tenth : -tenth] or curve)
        )
        return {
            "kind": KIND,
            "property": MLPProxy.property_name,
            "unit": MLPProxy.unit,
            "settings": asdict(settings)
            | {
                "legacy_weight": self.legacy_weight,
                "random_strains": self.random_strains,
                "start": None if self.start is None else self.start.card["command"],
            },
            "samples_seen": settings.steps * settings.batch_size,
            "crystals": len(data.energy),
            "strained_cells": len(data.measured),
            "compositions_without_structure": len(data.composition_energy),
            "training_mae_last_tenth": round(last, 4),
            "training_mae_tenth_before": round(before, 4),
            "curve_still_falling": last < 0.99 * before,
        }


def pack(
    network: EnergyEnsemble,
    data: TrainingData,
    parts: Parts,
    card: dict[str, object],
    known_range: Tensor | None = None,
) -> Trained:
    """Weights with the training range of the lattice descriptors and the calibration of the deviations.

    Args:
        network: trained.
        data: trained on.
        parts: parts to calibrate on.
        card: fields of the card.
        known_range: (2, 15) least and greatest descriptors of an earlier training that it goes on from.
    """
    shape = data.true.shape.double().numpy()
    low, high = np.quantile(shape, [0.0005, 0.9995], axis=0)
    own = torch.from_numpy(np.stack([low - 0.3, high + 0.3]))
    if known_range is not None:
        own = torch.stack([own[0].minimum(known_range[0]), own[1].maximum(known_range[1])])
    tensors = {f"network.{name}": tensor for name, tensor in network.state_dict().items()}
    tensors["shape_range"] = own.float()
    tensors["calibration"] = torch.ones(2)
    card = {**card, "network": network.arguments}
    first = parts.validation.iloc[::2]
    rows = pd.concat([first, _true_cells(parts.holdout)], ignore_index=True)
    tensors["calibration"] = calibrate(MLPProxy.of(tensors, card), rows)
    return Trained(tensors, card)


def calibrate(proxy: MLPProxy, table: pd.DataFrame) -> Tensor:
    """Factors (2,) of the members' spread and of their own error estimates.

    The pair has the least negative log-likelihood under a Laplace law, then is scaled so that 95 % of the labels lie
    within two standard deviations.

    Args:
        proxy: whose own calibration is not used.
        table: prepared rows that were not trained on.
    """
    energy, spread, noise = proxy.components(frame_to_specs(table))
    error = energy.numpy() - table[ENERGY_COLUMN].to_numpy(dtype=np.float64)
    return calibration_factors(error, spread.numpy(), noise.numpy())


def calibration_factors(
    error: NDArray[np.float64], spread: NDArray[np.float64], noise: NDArray[np.float64]
) -> Tensor:
    """Factors (2,) of :func:`calibrate` from errors.

    Args:
        error: (n,) predictions less labels.
        spread: (n,) variance among members.
        noise: (n,) variance that the members expect.
    """
    error = np.abs(error)
    candidates = []
    for a, b in itertools.product(_SPREAD_FACTORS, _NOISE_FACTORS):
        deviation = np.sqrt(a**2 * spread + b**2 * noise) + 1e-4
        candidates.append((float(np.mean(np.sqrt(2) * error / deviation + np.log(deviation))), a, b))
    _, a, b = min(candidates)
    deviation = np.sqrt(a**2 * spread + b**2 * noise) + 1e-4
    factor = float(np.quantile(error / deviation, 0.95)) / 2
    return torch.tensor([a * factor, b * factor])


def validation_figures(proxy: Proxy, parts: Parts) -> dict[str, object]:
    """The figures of the card: errors, calibration on rows not used for it, and dependence on the lattice."""
    unseen = parts.validation.iloc[1::2].reset_index(drop=True)
    figures: dict[str, object] = {
        "mp20_val": error_figures(proxy, parts.validation),
        "mp20_val_not_calibrated_on": error_figures(proxy, unseen),
        "mp20_val_lattice": lattice_figures(
            proxy,
            frame_to_specs(
                parts.validation.sample(min(_LATTICE_CRYSTALS, len(parts.validation)), random_state=0)
            ),
        ),
    }
    holdout = _true_cells(parts.holdout)
    if len(holdout):
        figures["holdout"] = error_figures(proxy, holdout)
    strained = _held_out_strains(parts.holdout)
    if len(strained):
        crystals = strained[strained["strain"] == "reference"]
        figures["strained"] = strain_figures(proxy, strained)
        figures["strained_lattice"] = lattice_figures(proxy, frame_to_specs(crystals))
    return _rounded(figures)


def _true_cells(table: pd.DataFrame) -> pd.DataFrame:
    rows = true_cells(table) & table[ENERGY_COLUMN].notna().to_numpy()
    return table[rows].reset_index(drop=True)


def _held_out_strains(table: pd.DataFrame) -> pd.DataFrame:
    """Strained cells, with their references, of at most _STRAINED_CRYSTALS plausible crystals."""
    if "delta_energy_per_atom" not in table.columns:
        return table.iloc[:0]
    strained = table[(table["strain"] != "").to_numpy()]
    reference = strained[strained["strain"] == "reference"]
    if reference.empty:
        return reference
    specs = frame_to_specs(reference)
    reference = reference[is_plausible(specs.fractions, specs.volume_per_atom)]
    chosen = reference["material_id"].sample(min(_STRAINED_CRYSTALS, len(reference)), random_state=0)
    delta = strained["delta_energy_per_atom"]
    return strained[strained["material_id"].isin(chosen) & (delta > -0.3) & (delta < 4.5)].reset_index(
        drop=True
    )


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(item) for name, item in value.items()}
    return round(value, 5) if isinstance(value, float) else value
