"""GemsDiff's network: an encoder that reads the noisy crystal, and a decoder that makes lattice and moves.

Klipfel et al., "Vector field oriented diffusion model for crystal material generation", AAAI 2024, section 4.1.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from gflownet_crystal.models.gemsdiff.graph import AtomTable
from gflownet_crystal.models.gemsdiff.settings import GemsDiffSettings
from gflownet_crystal.models.gemsdiff.time_embedding import time_embedding
from gflownet_crystal.models.gemsnet.layers import Dense
from gflownet_crystal.models.gemsnet.network import GemsNet
from gflownet_crystal.models.layers.inputs import CrystalGraph
from gflownet_crystal.models.layers.scatter import segment_mean

_TINY = 1e-6


class NoisyCrystals(NamedTuple):
    """n noisy crystals with N atoms.

    Attributes:
        table: atoms of the crystals.
        cell: (n, 3, 3) float64 rows, Å.
        fractional: (N, 3) float64.
        position_step: (n,) int64, step of the noise on positions.
        lattice_step: (n,) int64, step of the noise on lattices.
        side: (n,) float64, edge of the initial cubes of the decoder, Å.
    """

    table: AtomTable
    cell: Tensor
    fractional: Tensor
    position_step: Tensor
    lattice_step: Tensor
    side: Tensor


class Answer(NamedTuple):
    """Output of the network for n crystals with N atoms.

    Attributes:
        displacement: (N, 3), in fractional coordinates of a cube of 1 Å.
        action: (n, 3, 3) symmetric, map that the decoder applies to its initial cell; the identity changes nothing.
    """

    displacement: Tensor
    action: Tensor


class GemsDiffNetwork(nn.Module):
    """Encoder and decoder.

    The encoder's states of atoms and of the structure as a whole are invariant. The decoder's axes are those of the
    fractional coordinates, in which a cube stands (equation 11) or a symmetric noisy cell.

    Args:
        settings: sizes and parts.
        seed: random seed of the initial weights.
    """

    def __init__(self, settings: GemsDiffSettings, seed: int = 0) -> None:
        super().__init__()
        self.settings = settings
        self.encoder = GemsNet(settings.encoder_network, seed)
        self.decoder = GemsNet(settings.decoder_network, seed + 1)
        generator = torch.Generator().manual_seed(seed + 2)
        width = settings.encoder.widths.atom
        self.summary = Dense(width, settings.global_features, generator)

    def forward(self, crystals: NoisyCrystals) -> Answer:
        """Read n noisy crystals."""
        width, index = self.settings.time_features, crystals.table.structure_index
        dtype = self.summary.weight.dtype
        steps = crystals.position_step, crystals.lattice_step
        time = torch.cat([time_embedding(step, width) for step in steps], dim=1).to(dtype)
        noisy = self.settings.decoder_cell == "noisy"
        graph = crystals.table.graph(crystals.cell, crystals.fractional, dtype, triplets=noisy)
        seen, states = self.encoder.outputs_and_states(graph, time)
        # crowded noisy cells have states of any size
        states = states * (states.square().mean(1, keepdim=True) + _TINY).rsqrt()
        whole = segment_mean(silu(self.summary(states)).float(), index, len(time)).to(dtype)
        given = torch.cat([states.to(dtype), torch.cat([whole, time], dim=1).index_select(0, index)], dim=1)
        length = torch.linalg.det(crystals.cell).abs().pow(1.0 / 3.0)
        side = length if noisy else crystals.side
        made = self.decoder(graph if noisy else self._cubes(crystals, dtype), given)
        displacement = made.displacement * side.to(dtype).index_select(0, index)[:, None]
        if seen.displacement is not None:
            displacement = displacement + seen.displacement * length.to(dtype).index_select(0, index)[:, None]
        return Answer(displacement, made.lattice_action)

    def _cubes(self, crystals: NoisyCrystals, dtype: torch.dtype) -> CrystalGraph:
        axes = torch.eye(3, dtype=crystals.cell.dtype, device=crystals.cell.device)
        cubes = crystals.side[:, None, None] * axes
        return crystals.table.graph(cubes, crystals.fractional, dtype, triplets=True, is_cube=True)
