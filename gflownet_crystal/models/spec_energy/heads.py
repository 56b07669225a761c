"""Small networks on the last layers of the energy ensemble, for quantities with fewer labels than energies."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from gflownet_crystal.common.devices import on_device
from gflownet_crystal.models.spec_energy.network import CellEnergy, Encoding, StackedLinear
from gflownet_crystal.structures.spec import CrystalSpec

_START = torch.tensor([0.0, -2.0])
"""Added to the two outputs of a head."""


def head_inputs(specs: CrystalSpec, encoding: Encoding, cells: CellEnergy, std: Tensor) -> Tensor:
    """Inputs of the heads: hidden layers of the ensemble, its errors and volumes, and sizes.

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


class EnsembleHeads(nn.Module):
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
        """Values and scales of their errors.

        Args:
            features: (members, n, inputs).
            drop: share of hidden units that are left out, in training; a third of it of the inputs.
            generator: random generator of the choice of these.

        Returns:
            (members, n, 2) value, and log of the Laplace scale of its error, in the units of the training.
        """
        standard = _left_out((features - self.scale[0]) / self.scale[1], drop / 3, generator)
        hidden = _left_out(silu(self.enter(standard)), drop, generator)
        hidden = hidden + silu(self.hidden(hidden))
        result: Tensor = self.leave(hidden)
        return result + on_device(_START, result.device)


def _left_out(values: Tensor, share: float, generator: torch.Generator | None) -> Tensor:
    """Values of which a share is zero and the others are raised to keep the mean."""
    if share == 0.0:
        return values
    kept = torch.rand(values.shape, generator=generator) >= share
    return values * kept / (1 - share)
