"""Energies to expect of atoms placed in a cell: a correction of the energy ensemble.

The ensemble knows known crystals, and a sampler finds the specs for which it is too low: cells that no atoms fit in,
compounds that nobody made. Heads on the frozen ensemble's last layers learn from specs of samplers and the energies of
the best atoms found for them how much is to be added, and how uncertain the sum is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from gflownet_crystal.common.errors import WeightsError
from gflownet_crystal.models.spec_energy.network import CellEnergy, Encoding, StackedLinear
from gflownet_crystal.structures.spec import CrystalSpec
from gflownet_crystal.weights import fitting_card, load_weights

KIND = "placing"


def placing_features(specs: CrystalSpec, encoding: Encoding, cells: CellEnergy, std: Tensor) -> Tensor:
    """Inputs of the heads: hidden layers of the ensemble, what it says of error and volume, and sizes.

    Args:
        specs: n specs.
        encoding: encoding of them.
        cells: cells of them.
        std: (n,) standard deviation of the ensemble's energy, eV/atom.

    Returns:
        (members, n, f) float32.
    """
    atoms = specs.composition.sum(1)
    strain = cells.log_volume - torch.log(specs.volume_per_atom).to(cells.log_volume.dtype)
    own = torch.stack([cells.log_scale, strain], dim=2)
    shared = torch.stack([std, torch.log(atoms.double()), (specs.composition > 0).sum(1).double()], dim=1)
    shared = shared.float().expand(len(own), -1, -1)
    parts = (cells.hidden, encoding.hidden, encoding.pooled, own, shared)
    return torch.cat([part.float() for part in parts], dim=2)


class PlacingHeads(nn.Module):
    """One small network a member.

    Args:
        members: number of networks.
        inputs: features.
        width: width of the hidden layers.
        seed: random seed of the initial weights.
    """

    scale: Tensor

    def __init__(self, members: int, inputs: int, width: int = 128, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.arguments = {"members": members, "inputs": inputs, "width": width, "seed": seed}
        self.register_buffer("scale", torch.tensor([[0.0], [1.0]]).repeat(1, inputs))
        self.enter = StackedLinear(members, inputs, width, generator)
        self.hidden = StackedLinear(members, width, width, generator)
        self.leave = StackedLinear(members, width, 2, generator, 0.1)

    def forward(
        self, features: Tensor, drop: float = 0.0, generator: torch.Generator | None = None
    ) -> Tensor:
        """Costs and scales.

        Args:
            features: (members, n, inputs).
            drop: share of hidden units that are left out, in training; a third of it of the inputs.
            generator: random generator of the choice of these.

        Returns:
            (members, n, 2) eV/atom to add to the energy, and log of the Laplace scale of the sum's error.
        """
        standard = _left_out((features - self.scale[0]) / self.scale[1], drop / 3, generator)
        hidden = _left_out(silu(self.enter(standard)), drop, generator)
        hidden = hidden + silu(self.hidden(hidden))
        result: Tensor = self.leave(hidden)
        return result + torch.tensor([0.0, -2.0], device=result.device)


class Placing:
    """Trained heads with the calibration of their deviations.

    Args:
        heads: trained.
        calibration: (2,) float64 factors of the members' spread and of their own error estimates.
        card: card of the weights.
    """

    def __init__(self, heads: PlacingHeads, calibration: Tensor, card: dict[str, Any]) -> None:
        self.heads, self.calibration, self.card = heads.eval(), calibration, card

    @classmethod
    def from_weights(cls, weights: str | Path, ensemble: str) -> Self:
        """Shipped ones by name, or from a ``.safetensors`` file.

        Args:
            weights: name or path.
            ensemble: sha256 of the weights of the ensemble that they are to correct.

        Raises:
            WeightsError: missing, corrupt, of another kind, or trained for another ensemble.
        """
        tensors, card = load_weights(weights, KIND)
        if card.get("ensemble") != ensemble:
            raise WeightsError(
                f"placing={weights} was trained for another ensemble; train it again with training.ensemble=FILE"
            )
        with fitting_card(weights):
            return cls.of(tensors, card)

    @classmethod
    def of(cls, tensors: dict[str, Tensor], card: dict[str, Any]) -> Self:
        """From tensors in memory.

        Raises:
            KeyError, RuntimeError, TypeError: they do not fit the card.
        """
        heads = PlacingHeads(**card["heads"])
        prefix = "heads."
        heads.load_state_dict({k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})
        return cls(heads, tensors["calibration"].double(), card)

    def to(self, device: torch.device | str) -> Self:
        """Move the heads to ``device``."""
        self.heads.to(device)
        self.calibration = self.calibration.to(device)
        return self


def _left_out(values: Tensor, share: float, generator: torch.Generator | None) -> Tensor:
    """Values of which a share is zero and the others are raised to keep the mean."""
    if share == 0.0:
        return values
    kept = torch.rand(values.shape, generator=generator) >= share
    return values * kept / (1 - share)
