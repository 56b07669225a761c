"""How uncertain a trained network's energies are: learned from its training data and from formulas kept apart."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gflownet_crystal.models.energy import EnergyModel
from gflownet_crystal.models.uncertainty import FEWEST_ERRORS, LatentDistance, coverage
from gflownet_crystal.structures.batching import batches_of_atoms
from gflownet_crystal.training.labelled import LabelledStructures, Splits

_MOST_STRUCTURES = 8000


@torch.no_grad()
def features_and_errors(
    model: EnergyModel, data: LabelledStructures, atoms: int = 1024
) -> tuple[Tensor, Tensor]:
    """Pooled features (n, d) float32 and errors of the energies (n,) float64, eV/atom, on the CPU.

    Args:
        model: on its device.
        data: n structures.
        atoms: of a batch at most.
    """
    features, errors = [], []
    batches = batches_of_atoms(data.structures.n_atoms, atoms)
    for rows in batches:
        graph = model.graph(data.structures[rows].to(model.scale.device))
        energy, found = model.energies_and_features(graph)
        features.append(found.float().cpu())
        errors.append(energy.double().cpu() - data.energy[rows])
    order = torch.cat(batches).argsort()
    return torch.cat(features)[order], torch.cat(errors)[order]


def calibrate(
    model: EnergyModel, splits: Splits, seed: int = 0, most: int = _MOST_STRUCTURES
) -> tuple[LatentDistance | None, dict[str, Any] | None]:
    """The uncertainty of a trained model.

    Args:
        model: on its device, in evaluation mode.
        splits: what it was trained on, and the held-out formulas that calibrate it.
        seed: of the choice of structures, where there are more than ``most``.
        most: structures of each split that are looked at.

    Returns:
        The uncertainty and what a card says of it; None where too few structures were held out.
    """
    if len(splits.holdout) < FEWEST_ERRORS or len(splits.train) < FEWEST_ERRORS:
        return None, None
    train, _ = features_and_errors(model, _some(splits.train, most, seed))
    held = _some(splits.holdout, most, seed)
    features, error = features_and_errors(model, held)
    uncertainty = LatentDistance.fit(train, features, error)
    figures: dict[str, Any] = {"calibrated_on": len(held), "holdout": coverage(uncertainty(features), error)}
    features, error = features_and_errors(model, _some(splits.validation, most, seed))
    figures["validation"] = coverage(uncertainty(features), error)
    return uncertainty.to(model.scale.device), figures


def _some(data: LabelledStructures, most: int, seed: int) -> LabelledStructures:
    """At most ``most`` structures, chosen at random."""
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(seed))
    return data.take(order[:most].sort().values.numpy())
