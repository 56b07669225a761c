"""Score models that know the density they are asked of: what a perfect network would say."""

from __future__ import annotations

import torch
from torch import Tensor

from gflownet_crystal.models.langevin.lattice_lengths import to_reals
from gflownet_crystal.models.langevin.model import Noise, ScoreModel, Sites


class KnownCrystals(ScoreModel):
    """The exact scores of a mixture of wrapped Gaussians about known crystals, and of Gaussian lattices.

    Every structure has one moving site that wanders in its free directions.

    Args:
        modes: (M, 3) fractional positions of the moving site, equally likely.
        shares: (M,) how likely each is.
        moving: which sites of the batch move, those with this atomic number.
        lattice: (3,) mean of L3; positions then have no density of their own.
        spread: deviation of L3 in the data.
    """

    def __init__(
        self, modes: Tensor, shares: Tensor, moving: int, lattice: Tensor | None = None, spread: float = 0.0
    ) -> None:
        super().__init__()
        self.modes, self.shares, self.moving = modes, shares, moving
        self.mean, self.spread = lattice, spread

    def forward(self, sites: Sites, fractional: Tensor, cell: Tensor, level: Tensor) -> Noise:
        owner = sites.structure_index
        deviation = self.levels.positions()[level][owner]
        lattice = torch.zeros(len(cell), 3, dtype=torch.float64)
        if self.mean is None:
            positions = self._positions(sites, fractional, cell, deviation)
        else:
            positions = torch.zeros_like(fractional)
            deviation = self.levels.lattice()[level][:, None]
            reals = to_reals(cell.norm(dim=2))
            lattice = (reals - self.mean) / (self.spread**2 + deviation**2) * deviation
        return Noise(positions, lattice)

    def _positions(self, sites: Sites, fractional: Tensor, cell: Tensor, deviation: Tensor) -> Tensor:
        owner = sites.structure_index
        steps = torch.cartesian_prod(*(torch.arange(-3.0, 4.0, dtype=torch.float64),) * 3)
        difference = fractional[:, None] - self.modes
        difference = difference - difference.round()
        images = (difference[:, :, None] + steps) @ cell[owner][:, None]
        squared = images.square().sum(3) / (2 * deviation**2)[:, None, None]
        weights = (self.shares.log()[None, :, None] - squared).flatten(1).softmax(1)
        # the score of a mixture: minus the expected displacement over the variance
        mean = (weights[:, :, None] * images.flatten(1, 2)).sum(1)
        noise = mean / deviation[:, None] * (sites.atomic_numbers == self.moving)[:, None]
        return noise if sites.projector is None else (noise[:, None] @ sites.projector)[:, 0]
