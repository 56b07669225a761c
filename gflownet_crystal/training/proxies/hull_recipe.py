"""Making the weights of the learned hull: lowest formation energies by composition, exact ones and bounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from gflownet_crystal.common.bounds import Count, Several
from gflownet_crystal.common.devices import autocast
from gflownet_crystal.common.errors import DataError
from gflownet_crystal.common.run_schema import FORMULA, HULL_COLUMN
from gflownet_crystal.data.label_schemes import to_one_scheme
from gflownet_crystal.data.schema import ENERGY_COLUMN
from gflownet_crystal.data.splits import reduced_formulas
from gflownet_crystal.models.spec_energy.network import EnergyEnsemble
from gflownet_crystal.proxies.base import Proxy
from gflownet_crystal.proxies.e_above_hull import EnergyAboveHull
from gflownet_crystal.proxies.learned_hull import KIND, LearnedHull
from gflownet_crystal.proxies.mlp import MLPProxy
from gflownet_crystal.structures.element_properties import N_PROPERTIES, element_properties
from gflownet_crystal.structures.formulas import reduce_composition, text_to_composition
from gflownet_crystal.training.base import Training, take_all_steps
from gflownet_crystal.training.optimizer import Optimizer
from gflownet_crystal.training.proxies.mlp_data import Packed, join
from gflownet_crystal.training.proxies.mlp_training import prototype_rows
from gflownet_crystal.training.proxies.recipe import (
    Recipe,
    RecipeSettings,
    Run,
    Trained,
    recipe_settings,
    split_table,
)
from gflownet_crystal.training.schedule import cosine

_SHIFTS = np.linspace(0.0, 0.2, 41)
_SHIFT_ROWS = 2000
_WARM_UP = 0.3
"""Share of the steps over which the learning rate rises."""


@dataclass(frozen=True)
class HullTargets:
    """Targets from the hull at n compositions.

    Attributes:
        composition: (n, 119) int64 reduced counts.
        energy: (n,) float32, eV/atom: the hull's energy where ``exact``, else an upper bound.
        exact: (n,) bool.
        formula: (n,) reduced formulas.
    """

    composition: Tensor
    energy: Tensor
    exact: Tensor
    formula: np.ndarray[Any, np.dtype[np.str_]]


def hull_targets(table: pd.DataFrame) -> HullTargets:
    """Formation energy minus energy above hull where that is known, else the lowest formation energy, by formula.

    Args:
        table: prepared rows, labels in one scheme.
    """
    labelled = table[(table["strain"] == "").to_numpy() & table[ENERGY_COLUMN].notna().to_numpy()]
    energy = labelled[ENERGY_COLUMN].to_numpy(dtype=np.float64)
    above = (
        labelled[HULL_COLUMN].to_numpy(dtype=np.float64)
        if HULL_COLUMN in labelled
        else np.full(len(energy), np.nan)
    )
    rows = pd.DataFrame({FORMULA: reduced_formulas(labelled), "lowest": energy, "hull": energy - above})
    grouped = rows.groupby(FORMULA).min()
    exact = grouped["hull"].notna().to_numpy()
    # compounds of one element are at or above zero by definition of the formation energy
    target = np.minimum(np.where(exact, grouped["hull"], grouped["lowest"]), np.where(exact, np.inf, 0.5))
    composition = reduce_composition(text_to_composition(grouped.index.tolist()))
    return HullTargets(
        composition,
        torch.from_numpy(target).float(),
        torch.from_numpy(exact.copy()),
        grouped.index.to_numpy(dtype=np.str_),
    )


@dataclass(frozen=True)
class HullSettings(RecipeSettings):
    """Hyperparameters of the compound energies; a row is a composition.

    Attributes:
        members: networks.
        width: width of their trunks.
        token_width: width of an element's representation.
        steps: optimiser steps.
        mixtures: mixtures of two known compositions a step; the hull lies below the line between them.
        bound_weight: weight of a prediction below an upper bound, against 1 above it.
        weight_decay: weight decay of AdamW.
    """

    members: Several = 3
    width: Count = 128
    token_width: Count = 64
    steps: Count = 2500
    mixtures: Count = 256
    bound_weight: float = 0.3
    weight_decay: float = 0.1


class HullRecipe(Recipe):
    """Trains the compound energies and fits the shift of enumerated entries.

    Args:
        settings: fields of :class:`HullSettings`.

    Raises:
        ConfigError: an unknown setting or a value out of range.
    """

    kind: ClassVar[str] = KIND

    def __init__(self, **settings: Any) -> None:
        self.settings = recipe_settings(HullSettings, settings)

    def fit(self, table: pd.DataFrame, run: Run = take_all_steps) -> Trained:
        """Train and measure.

        Raises:
            DataError: no energy above hull is known.
        """
        parts = split_table(to_one_scheme(self.rows(table)), self.settings.holdout)
        train, validation = hull_targets(parts.train), hull_targets(parts.validation)
        if not bool(train.exact.any()) or not bool(validation.exact.any()):
            raise DataError(
                "no e_above_hull among the rows to train or validate on; the hull cannot be learned"
            )
        training = HullTraining(train, self.settings)
        run(training)
        training.finish()
        network = training.model
        card: dict[str, Any] = {
            "kind": KIND,
            "property": "hull energy",
            "unit": "eV/atom",
            "network": network.arguments,
            "settings": asdict(self.settings),
            "samples_seen": self.settings.steps * self.settings.batch_size,
            "compositions": len(train.energy),
            "exact": int(train.exact.sum()),
        }
        rows = validation.exact.nonzero()[:, 0]
        half = rows[::2][:_SHIFT_ROWS]
        card["entry_shift"] = fit_entry_shift(network, validation.composition[half], validation.energy[half])
        hull = LearnedHull(network, card["entry_shift"])
        unseen = rows[1::2]
        direct = (hull.compound_energy(validation.composition[unseen]) - validation.energy[unseen]).abs()
        card["validation"] = {
            **hull_figures(hull, validation, unseen),
            "mae_without_mixtures": round(float(direct.mean()), 5),
        }
        return Trained(dict(network.state_dict()), card)

    def proxy(self, trained: Trained) -> Proxy:
        """Energy above this hull with the shipped MLP proxy."""
        return EnergyAboveHull.of(MLPProxy(), LearnedHull.of(trained.tensors, trained.card))

    def test(self, trained: Trained, tables: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
        """Errors of the energy above hull on tables that were not trained on, by name.

        Raises:
            DataError: a table has no energy above hull.
        """
        hull = LearnedHull.of(trained.tensors, trained.card)
        figures = {}
        for name, table in tables.items():
            targets = hull_targets(to_one_scheme(table))
            if not bool(targets.exact.any()):
                raise DataError(f"{name} has no e_above_hull, so that a hull cannot be tested on it")
            figures[name] = hull_figures(hull, targets, targets.exact.nonzero()[:, 0])
        return figures


class HullTraining(Training):
    """Training of the compound energies.

    Args:
        data: training data.
        settings: hyperparameters.
    """

    model: EnergyEnsemble
    generator: torch.Generator

    def __init__(self, data: HullTargets, settings: HullSettings) -> None:
        self.data, self.settings, self.steps = data, settings, settings.steps
        self.packed = Packed.of(data.composition, torch.ones(len(data.energy), dtype=torch.int64))
        known = prototype_rows(self.packed.features.bucket)
        self.model = EnergyEnsemble(
            settings.members,
            settings.width,
            settings.token_width,
            n_properties=N_PROPERTIES,
            n_prototypes=int(known.max()),
            seed=settings.seed,
        )
        self.model.row_of_bucket.copy_(known)
        scalar = self.packed.features.scalar
        self.model.properties.copy_(element_properties())
        self.model.scalar_scale.copy_(torch.stack([scalar.mean(0), scalar.std(0).clamp(min=1e-3)]))
        self.generator = torch.Generator().manual_seed(settings.seed + 1)
        adam = torch.optim.AdamW(
            self.model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        self.optimizer = Optimizer(self.model, adam, clip_norm=2.0, average=0.998)
        self.exact_rows = data.exact.nonzero()[:, 0]

    def rate_factor(self) -> float:
        return cosine((self.done + 1) / (self.steps + 1), warm_up=_WARM_UP)

    def advance(self) -> dict[str, float]:
        loss = self._loss()
        # members do not interact: the sum over them gives each its own gradient
        return self.update(loss * self.model.members, {"loss": loss})

    def _loss(self) -> Tensor:
        data, generator, settings = self.data, self.generator, self.settings
        half = (settings.batch_size // 2,)
        rows = torch.randint(len(data.energy), half, generator=generator)
        known = self.exact_rows[torch.randint(len(self.exact_rows), half, generator=generator)]
        rows = torch.cat([rows, known])
        pairs = torch.randint(len(data.energy), (2, settings.mixtures), generator=generator)
        mixed = data.composition[pairs].sum(0)
        atoms = data.composition.sum(1)[pairs].float()
        bound = (data.energy[pairs] * atoms).sum(0) / atoms.sum(0)
        features = Packed.of(
            reduce_composition(mixed), torch.ones(settings.mixtures, dtype=torch.int64)
        ).features
        with autocast(torch.device("cpu"), half=True):
            energy = self.model.encode(join(self.packed.take(rows), features)).energy
        error = energy[:, : len(rows)] - data.energy[rows]
        below = torch.where(data.exact[rows], 1.0, settings.bound_weight)
        loss = torch.where(error > 0, error, -error * below).mean()
        # a mixture of two compounds is no entry of its own unless something lies below it
        return loss + 0.3 * (energy[:, len(rows) :] - bound).clamp(min=0).mean()


def hull_figures(hull: LearnedHull, targets: HullTargets, rows: Tensor) -> dict[str, Any]:
    """Number of compositions and errors of the energy above hull, eV/atom, at those ``rows`` of the targets."""
    error = (hull.hull_energy(targets.composition[rows]) - targets.energy[rows]).abs()
    return {
        "n": len(rows),
        "mae_e_above_hull": round(float(error.mean()), 5),
        "median_e_above_hull": round(float(error.median()), 5),
    }


def fit_entry_shift(network: EnergyEnsemble, composition: Tensor, energy: Tensor) -> float:
    """The shift of enumerated entries with the least mean absolute error of the hull energy, eV/atom."""
    hull = LearnedHull(network)
    errors = []
    for shift in _SHIFTS.tolist():
        hull.entry_shift = shift
        errors.append(float((hull.hull_energy(composition) - energy).abs().mean()))
    return float(_SHIFTS[int(np.argmin(errors))])
