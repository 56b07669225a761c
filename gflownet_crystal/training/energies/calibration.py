"""Uncertainty of a trained network's energies, learned from its training data and from held-out formulas."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gflownet_crystal.models.energies.energy import EnergyModel
from gflownet_crystal.models.energies.uncertainty import FEWEST_ERRORS, LatentDistance, coverage
from gflownet_crystal.structures.batching import batches_of_atoms
from gflownet_crystal.training.energies.labelled import LabelledStructures

_MOST_STRUCTURES = 8000


@dataclass(frozen=True)
class Judged:
    """Predictions of a model for n labelled structures.

    Attributes:
        features: (n, d) float32, pooled, on the CPU.
        error: (n,) float64, of the energies, eV/atom, on the CPU.
    """

    features: Tensor
    error: Tensor

    def __len__(self) -> int:
        return len(self.error)


@torch.no_grad()
def judge(model: EnergyModel, data: LabelledStructures, atoms: int = 1024) -> Judged:
    """Run a model on labelled structures.

    Args:
        model: model on its device, in evaluation mode.
        data: n structures.
        atoms: maximum number of atoms of a batch.
    """
    if not len(data):
        return Judged(torch.zeros(0, 0), torch.zeros(0, dtype=torch.float64))
    features, errors = [], []
    batches = batches_of_atoms(data.structures.n_atoms, atoms)
    for rows in batches:
        graph = model.graph(data.structures[rows].to(model.scale.device))
        energy, found = model.energies_and_features(graph)
        features.append(found.float().cpu())
        errors.append(energy.double().cpu() - data.energy[rows])
    order = torch.cat(batches).argsort()
    return Judged(torch.cat(features)[order], torch.cat(errors)[order])


def calibrate(
    model: EnergyModel,
    train: LabelledStructures,
    validation: Judged,
    holdout: Judged,
    seed: int = 0,
    most: int = _MOST_STRUCTURES,
) -> tuple[LatentDistance | None, dict[str, object] | None]:
    """The uncertainty of a trained model.

    Args:
        model: model on its device, in evaluation mode.
        train: training data of the model.
        validation: predictions for structures that judge the uncertainty.
        holdout: predictions for structures that calibrate it.
        seed: random seed of the choice of structures, where there are more than ``most``.
        most: structures of each part that are looked at.

    Returns:
        The uncertainty and its figures for the card; None where too few structures were held out.
    """
    if len(holdout) < FEWEST_ERRORS or len(train) < FEWEST_ERRORS:
        return None, None
    known = judge(model, train.take(_some(len(train), most, seed).numpy()))
    held, unseen = (_some(len(part), most, seed) for part in (holdout, validation))
    features, error = holdout.features[held], holdout.error[held]
    uncertainty = LatentDistance.fit(known.features, features, error)
    figures: dict[str, object] = {
        "calibrated_on": len(held),
        "holdout": coverage(uncertainty(features), error),
    }
    deviation = uncertainty(validation.features[unseen])
    figures["validation"] = coverage(deviation, validation.error[unseen])
    return uncertainty.to(model.scale.device), figures


def _some(n: int, most: int, seed: int) -> Tensor:
    """At most ``most`` of n rows, chosen at random, int64, rising."""
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    return order[:most].sort().values
