"""Making the weights of ``proxy=mlp_paper`` with the paper's hyperparameters (table 1)."""

from __future__ import annotations

from typing import Any, ClassVar

import pandas as pd
import torch
from torch import Tensor

from gflownet_crystal.data.label_schemes import to_one_scheme
from gflownet_crystal.data.prepare import labelled_crystals
from gflownet_crystal.data.quality import is_plausible
from gflownet_crystal.data.schema import ENERGY_COLUMN
from gflownet_crystal.proxies.mlp_elements import element_properties, periods_and_groups
from gflownet_crystal.proxies.mlp_paper import KIND, PaperMLPProxy, PaperNetwork
from gflownet_crystal.proxies.mlp_validation import error_figures
from gflownet_crystal.proxies.recipe import Recipe, Report, Trained, split_table
from gflownet_crystal.structures.spec import CrystalSpec
from gflownet_crystal.structures.spec_io import frame_to_specs


class PaperRecipe(Recipe):
    """Adam, halving the rate when the validation error has not fallen for some epochs, and early stopping.

    Args:
        holdout: share of formulas kept aside besides MP-20's val.
        epochs: at most.
        batch_size: crystals a step.
        learning_rate: Adam's first.
        patience: epochs without improvement after which the rate is halved.
        stop_patience: epochs without improvement after which training ends.
        bfloat16: matrix products of the hidden layers in bfloat16.
        seed: of weights and batches.
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

    def fit(self, table: pd.DataFrame, report: Report) -> Trained:
        """Train on true cells; the weights of the best epoch are kept."""
        parts = split_table(to_one_scheme(table), self.holdout)
        rows = labelled_crystals(parts.train, "the training data")
        specs = frame_to_specs(rows)
        keep = is_plausible(specs.fractions, specs.volume_per_atom)
        rows, specs = rows[keep].reset_index(drop=True), specs[torch.from_numpy(keep)]
        network = PaperNetwork(seed=self.seed)
        lattice = _lattice(specs)
        network.properties.copy_(element_properties())
        network.element_tables.copy_(periods_and_groups())
        network.lattice_scale.copy_(torch.stack([lattice.mean(0), lattice.std(0)]))
        labels = torch.tensor(rows[ENERGY_COLUMN].to_numpy(dtype="float32"))
        card: dict[str, Any] = {
            "kind": KIND,
            "property": PaperMLPProxy.property_name,
            "unit": PaperMLPProxy.unit,
            "network": network.arguments,
            "settings": dict(vars(self)),
            "crystals": len(labels),
        }
        best, curve = self._train(network, specs, labels, parts.validation, report)
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

    def _train(
        self,
        network: PaperNetwork,
        specs: CrystalSpec,
        labels: Tensor,
        validation: pd.DataFrame,
        report: Report,
    ) -> tuple[dict[str, Tensor], list[float]]:
        fractions, lattice = specs.fractions.float(), _lattice(specs)
        held, target = (
            frame_to_specs(validation),
            torch.tensor(validation[ENERGY_COLUMN].to_numpy(dtype="float64")),
        )
        generator = torch.Generator().manual_seed(self.seed + 1)
        optimizer = torch.optim.Adam(network.parameters(), lr=self.learning_rate)
        schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=self.patience)
        best, curve = _copy(network), []
        for epoch in range(1, self.epochs + 1):
            for rows in torch.randperm(len(labels), generator=generator).split(self.batch_size):
                with torch.autocast("cpu", torch.bfloat16, enabled=self.bfloat16):
                    energy = network(fractions[rows], specs.space_group[rows], lattice[rows])
                loss = (energy - labels[rows]).abs().mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            proxy = PaperMLPProxy.of(_copy(network), {"network": network.arguments})
            curve.append(float((proxy.predict(held) - target).abs().mean()))
            schedule.step(curve[-1])
            best = _copy(network) if curve[-1] == min(curve) else best
            report(epoch, self.epochs, {"validation_mae": curve[-1]})
            if len(curve) - 1 - curve.index(min(curve)) >= self.stop_patience:
                break
        return best, curve


def _copy(network: PaperNetwork) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}


def _lattice(specs: CrystalSpec) -> Tensor:
    return torch.cat([specs.lengths, specs.angles], dim=1).float()
