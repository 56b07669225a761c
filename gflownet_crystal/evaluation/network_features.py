"""Energies of structures, and the features they are read from, by one of this package's energy networks."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gflownet_crystal.evaluation.features import Features
from gflownet_crystal.evaluation.parallel import Crystal, from_crystals
from gflownet_crystal.models.energies.trained import KIND, TrainedEnergies
from gflownet_crystal.structures.batching import batches_of_atoms
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.weights import load_weights


@dataclass(frozen=True)
class NetworkMaker:
    """Features ``energy`` (n,), eV/atom, and ``states`` (n, d), means over the atoms of the network's last states.

    Args:
        weights: shipped weights by name, or a ``.safetensors`` file with its card beside it.
        device: device of the computation.
    """

    weights: str
    device: str = "cpu"

    @property
    def name(self) -> str:
        """Version of the features: weights and the first digits of their digest in the card, as ``gemsnet-1a2b3c4d``.

        Raises:
            WeightsError: the weights are missing, corrupt or of another kind.
        """
        return _version(self.weights)

    @property
    def key(self) -> str:
        """The version of the features."""
        return f"network {self.name}"

    def __call__(self, crystals: Sequence[Crystal]) -> Features:
        """Features of at least one structure."""
        energies = _load(self.weights, self.device)
        structures = from_crystals(crystals).to(self.device)
        energy = energies.predict(structures)[0]
        judged = energy.isfinite()
        states = _states(energies, structures, judged)
        reasons = ["" if good else "the network cannot judge it" for good in judged.tolist()]
        return Features({"energy": energy.cpu(), "states": states.cpu()}, reasons)


@torch.no_grad()
def _states(energies: TrainedEnergies, structures: StructureBatch, judged: Tensor) -> Tensor:
    """Pooled states (n, d) float64; NaN where a structure was not judged."""
    rows = judged.nonzero()[:, 0]
    parts: list[tuple[Tensor, Tensor]] = []
    for chosen in batches_of_atoms(structures.n_atoms[rows], energies.batch_atoms):
        graph = energies.model.graph(structures[rows[chosen]])
        parts.append((rows[chosen], energies.model.energies_and_features(graph)[1].double()))
    width = parts[0][1].shape[1] if parts else _width(energies)
    result = structures.cell.new_full((len(structures), width), torch.nan)
    for place, features in parts:
        result[place] = features
    return result


def _width(energies: TrainedEnergies) -> int:
    """Length of the network's states, from a crystal that every network can judge."""
    salt = 2.8 * (1.0 - np.eye(3)), np.array([11, 17]), np.array([[0.0] * 3, [0.5] * 3])
    graph = energies.model.graph(from_crystals([salt]).to(energies.model.scale.device))
    with torch.no_grad():
        return int(energies.model.energies_and_features(graph)[1].shape[1])


@functools.lru_cache(maxsize=2)
def _load(weights: str, device: str) -> TrainedEnergies:
    return TrainedEnergies(weights).to(device)


@functools.lru_cache(maxsize=8)
def _version(weights: str) -> str:
    card = load_weights(weights, KIND)[1]
    return f"{Path(weights).stem}-{card['sha256'][:8]}"
