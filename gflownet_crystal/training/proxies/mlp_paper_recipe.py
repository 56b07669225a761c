"""Making the weights of ``proxy=mlp_paper`` with the paper's hyperparameters (table 1)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import pandas as pd
import torch
from torch import Tensor
from torch.optim.lr_scheduler import ReduceLROnPlateau

from gflownet_crystal.common.bounds import Count, Positive, Whole
from gflownet_crystal.common.checkpoint import Checkpoint
from gflownet_crystal.common.devices import autocast
from gflownet_crystal.data.label_schemes import to_one_scheme
from gflownet_crystal.data.prepare import labelled_crystals
from gflownet_crystal.data.quality import is_plausible
from gflownet_crystal.data.schema import ENERGY_COLUMN
from gflownet_crystal.data.splits import true_cells
from gflownet_crystal.proxies.mlp_paper import KIND, PaperMLPProxy, PaperNetwork
from gflownet_crystal.structures.element_properties import element_properties, periods_and_groups
from gflownet_crystal.structures.spec import CrystalSpec
from gflownet_crystal.structures.spec_io import frame_to_specs
from gflownet_crystal.training.base import Training, take_all_steps
from gflownet_crystal.training.optimizer import Optimizer
from gflownet_crystal.training.proxies.mlp_validation import error_figures
from gflownet_crystal.training.proxies.recipe import (
    Recipe,
    RecipeSettings,
    Run,
    Trained,
    recipe_settings,
    split_table,
)


@dataclass(frozen=True)
class PaperSettings(RecipeSettings):
    """Hyperparameters of the paper's network.

    Attributes:
        epochs: maximum number of epochs.
        patience: epochs without improvement after which the rate is halved.
        stop_patience: epochs without improvement after which training ends.
        bfloat16: matrix products of the hidden layers in bfloat16.
    """

    epochs: Count = 100
    batch_size: Count = 448
    learning_rate: Positive = 0.0017
    patience: Whole = 4
    stop_patience: Count = 11
    bfloat16: bool = True


class PaperRecipe(Recipe):
    """Adam, halving the rate when the validation error has not fallen for some epochs, and early stopping.

    Args:
        settings: fields of :class:`PaperSettings`.

    Raises:
        ConfigError: an unknown setting or a value out of range.
    """

    kind: ClassVar[str] = KIND

    def __init__(self, **settings: Any) -> None:
        self.settings = recipe_settings(PaperSettings, settings)

    def fit(self, table: pd.DataFrame, run: Run = take_all_steps) -> Trained:
        """Train on true cells; the weights of the best epoch are kept."""
        parts = split_table(to_one_scheme(self.rows(table)), self.settings.holdout)
        rows = labelled_crystals(parts.train, "the training data")
        specs = frame_to_specs(rows)
        keep = is_plausible(specs.fractions, specs.volume_per_atom)
        rows, specs = rows[keep].reset_index(drop=True), specs[torch.from_numpy(keep)]
        network = PaperNetwork(seed=self.settings.seed)
        lattice = _lattice(specs)
        network.properties.copy_(element_properties())
        network.element_tables.copy_(periods_and_groups())
        network.lattice_scale.copy_(torch.stack([lattice.mean(0), lattice.std(0).clamp(min=1e-3)]))
        labels = torch.tensor(rows[ENERGY_COLUMN].to_numpy(dtype="float32"))
        card: dict[str, Any] = {
            "kind": KIND,
            "property": PaperMLPProxy.property_name,
            "unit": PaperMLPProxy.unit,
            "network": network.arguments,
            "settings": asdict(self.settings),
            "crystals": len(labels),
        }
        training = PaperTraining(network, specs, labels, parts.validation, self.settings)
        run(training)
        best, curve = training.best, training.curve
        card |= {
            "epochs": len(curve),
            "samples_seen": len(curve) * len(labels),
            "curve_still_falling": curve.index(min(curve)) == len(curve) - 1,
            "validation": {"mp20_val": error_figures(PaperMLPProxy.of(best, card), parts.validation)},
        }
        holdout = parts.holdout[true_cells(parts.holdout)].reset_index(drop=True)
        if len(holdout):
            card["validation"]["holdout"] = error_figures(PaperMLPProxy.of(best, card), holdout)
        return Trained(best, card)

    def proxy(self, trained: Trained) -> PaperMLPProxy:
        """The proxy that the weights make."""
        return PaperMLPProxy.of(trained.tensors, trained.card)


class PaperTraining(Training):
    """Training of the paper's network; a step is an epoch.

    Args:
        network: network to train.
        specs: training specs.
        labels: (n,) their energies, eV/atom.
        validation: prepared rows that choose the epoch.
        settings: hyperparameters.
    """

    model: PaperNetwork
    generator: torch.Generator

    def __init__(
        self,
        network: PaperNetwork,
        specs: CrystalSpec,
        labels: Tensor,
        validation: pd.DataFrame,
        settings: PaperSettings,
    ) -> None:
        self.model, self.settings, self.steps = network, settings, settings.epochs
        self.fractions, self.lattice, self.space_group = (
            specs.fractions.float(),
            _lattice(specs),
            specs.space_group,
        )
        self.labels = labels
        self.held = frame_to_specs(validation)
        self.target = torch.tensor(validation[ENERGY_COLUMN].to_numpy(dtype="float64"))
        self.generator = torch.Generator().manual_seed(settings.seed + 1)
        adam = torch.optim.Adam(network.parameters(), lr=settings.learning_rate)
        self.optimizer = Optimizer(network, adam)
        # the paper's own schedule, which follows the validation error and not the number of the step
        self.schedule = ReduceLROnPlateau(adam, factor=0.5, patience=settings.patience)
        self.best = _copy(network)
        self.curve: list[float] = []

    @property
    def is_finished(self) -> bool:
        stalled = len(self.curve) - 1 - self.curve.index(min(self.curve)) if self.curve else 0
        return super().is_finished or stalled >= self.settings.stop_patience

    def advance(self) -> dict[str, float]:
        settings, network = self.settings, self.model
        for rows in torch.randperm(len(self.labels), generator=self.generator).split(settings.batch_size):
            with autocast(torch.device("cpu"), settings.bfloat16):
                energy = network(self.fractions[rows], self.space_group[rows], self.lattice[rows])
            self.update((energy - self.labels[rows]).abs().mean(), {})
        proxy = PaperMLPProxy.of(_copy(network), {"network": network.arguments})
        self.curve.append(float((proxy.predict(self.held) - self.target).abs().mean()))
        self.schedule.step(self.curve[-1])
        self.best = _copy(network) if self.curve[-1] == min(self.curve) else self.best
        return {"validation_mae": self.curve[-1]}

    def state(self) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
        parts, values = super().state()
        return {**parts, "best": self.best}, {**values, "curve": self.curve}

    def restore(self, checkpoint: Checkpoint) -> str | None:
        self.best, self.curve = checkpoint.part("best"), list(checkpoint.metadata["curve"])
        # the rate is a function of the errors so far
        for error in self.curve:
            self.schedule.step(error)
        return super().restore(checkpoint)


def _copy(network: PaperNetwork) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}


def _lattice(specs: CrystalSpec) -> Tensor:
    return torch.cat([specs.lengths, specs.angles], dim=1).float()
