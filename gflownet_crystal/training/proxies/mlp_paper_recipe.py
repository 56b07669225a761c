"""Making the weights of ``proxy=mlp_paper`` with the paper's hyperparameters (table 1)."""

from __future__ import annotations

from typing import Any, ClassVar

import pandas as pd
import torch
from torch import Tensor
from torch.optim.lr_scheduler import ReduceLROnPlateau

from gflownet_crystal.common.checkpoint import Checkpoint
from gflownet_crystal.common.devices import autocast
from gflownet_crystal.data.label_schemes import to_one_scheme
from gflownet_crystal.data.prepare import labelled_crystals
from gflownet_crystal.data.quality import is_plausible
from gflownet_crystal.data.schema import ENERGY_COLUMN
from gflownet_crystal.proxies.mlp_paper import KIND, PaperMLPProxy, PaperNetwork
from gflownet_crystal.structures.element_properties import element_properties, periods_and_groups
from gflownet_crystal.structures.spec import CrystalSpec
from gflownet_crystal.structures.spec_io import frame_to_specs
from gflownet_crystal.training.base import Training, take_all_steps
from gflownet_crystal.training.optimizer import Optimizer
from gflownet_crystal.training.proxies.mlp_validation import error_figures
from gflownet_crystal.training.proxies.recipe import Recipe, Run, Trained, split_table


class PaperRecipe(Recipe):
    """Adam, halving the rate when the validation error has not fallen for some epochs, and early stopping.

    Args:
        holdout: share of formulas held out in addition to MP-20's val.
        epochs: maximum number of epochs.
        batch_size: crystals a step.
        learning_rate: initial learning rate of Adam.
        patience: epochs without improvement after which the rate is halved.
        stop_patience: epochs without improvement after which training ends.
        bfloat16: matrix products of the hidden layers in bfloat16.
        seed: random seed of weights and batches.
    """

    kind: ClassVar[str] = KIND

    def __init__(
        self,
        holdout: float = 0.04,
        epochs: int = 100,
        batch_size: int = 448,
        learning_rate: float = 0.0017,
        patience: int = 4,
        stop_patience: int = 11,
        bfloat16: bool = True,
        seed: int = 0,
    ) -> None:
        self.holdout, self.epochs, self.batch_size = holdout, epochs, batch_size
        self.learning_rate, self.patience, self.stop_patience = learning_rate, patience, stop_patience
        self.bfloat16, self.seed = bfloat16, seed

    def fit(self, table: pd.DataFrame, run: Run = take_all_steps) -> Trained:
        """Train on true cells; the weights of the best epoch are kept."""
        parts = split_table(to_one_scheme(self.rows(table)), self.holdout)
        rows = labelled_crystals(parts.train, "the training data")
        specs = frame_to_specs(rows)
        keep = is_plausible(specs.fractions, specs.volume_per_atom)
        rows, specs = rows[keep].reset_index(drop=True), specs[torch.from_numpy(keep)]
        network = PaperNetwork(seed=self.seed)
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
            "settings": dict(vars(self)),
            "crystals": len(labels),
        }
        training = PaperTraining(network, specs, labels, parts.validation, self)
        run(training)
        best, curve = training.best, training.curve
        card |= {
            "epochs": len(curve),
            "samples_seen": len(curve) * len(labels),
            "curve_still_falling": curve.index(min(curve)) == len(curve) - 1,
            "validation": {"mp20_val": error_figures(PaperMLPProxy.of(best, card), parts.validation)},
        }
        holdout = parts.holdout[
            (parts.holdout["strain"] == "").to_numpy() & parts.holdout["a"].notna().to_numpy()
        ]
        if len(holdout):
            card["validation"]["holdout"] = error_figures(
                PaperMLPProxy.of(best, card), holdout.reset_index(drop=True)
            )
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
        recipe: whose settings hold.
    """

    model: PaperNetwork
    generator: torch.Generator

    def __init__(
        self,
        network: PaperNetwork,
        specs: CrystalSpec,
        labels: Tensor,
        validation: pd.DataFrame,
        recipe: PaperRecipe,
    ) -> None:
        self.model, self.recipe, self.steps = network, recipe, recipe.epochs
        self.fractions, self.lattice, self.space_group = (
            specs.fractions.float(),
            _lattice(specs),
            specs.space_group,
        )
        self.labels = labels
        self.held = frame_to_specs(validation)
        self.target = torch.tensor(validation[ENERGY_COLUMN].to_numpy(dtype="float64"))
        self.generator = torch.Generator().manual_seed(recipe.seed + 1)
        adam = torch.optim.Adam(network.parameters(), lr=recipe.learning_rate)
        self.optimizer = Optimizer(network, adam)
        self.schedule = ReduceLROnPlateau(adam, factor=0.5, patience=recipe.patience)
        self.best = _copy(network)
        self.curve: list[float] = []

    @property
    def is_finished(self) -> bool:
        """Whether all epochs are done, or too many without improvement."""
        stalled = len(self.curve) - 1 - self.curve.index(min(self.curve)) if self.curve else 0
        return super().is_finished or stalled >= self.recipe.stop_patience

    def advance(self) -> dict[str, float]:
        """Train one epoch; returns the validation error."""
        recipe, network = self.recipe, self.model
        for rows in torch.randperm(len(self.labels), generator=self.generator).split(recipe.batch_size):
            with autocast(torch.device("cpu"), recipe.bfloat16):
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
