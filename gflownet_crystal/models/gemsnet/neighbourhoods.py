"""Sums over pairs of edges of one atom, without the pairs."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from gflownet_crystal.models.layers.bases import direction_harmonics
from gflownet_crystal.models.layers.scatter import segment_sum

_BLOCK = 16


class Neighbourhoods(NamedTuple):
    """The edges of each atom, laid out so that sums over pairs of them are matrix products.

    The edges of an atom fill blocks of 16 slots; the remaining slots of a block are empty. How many blocks are reserved
    follows from the numbers of atoms and edges alone.

    Attributes:
        slot: (E,) int64, place of each edge.
        atom: (B,) int64, the atom of each block; 0 where a block is empty.
        harmonics: (B, 16, L^2), see :func:`direction_harmonics`; 0 in empty slots.
        n_atoms: N.
        n_orders: L.
    """

    slot: Tensor
    atom: Tensor
    harmonics: Tensor
    n_atoms: int
    n_orders: int

    @classmethod
    def of(cls, source: Tensor, directions: Tensor, n_atoms: int, n_orders: int) -> Neighbourhoods:
        """From the source atoms of the edges, (E,) int64 not decreasing, and their (E, 3) unit vectors."""
        n_edges = len(source)
        # unlike bincount, without asking the device for the largest index
        degree = source.new_zeros(n_atoms).index_add_(0, source, torch.ones_like(source))
        rank = torch.arange(n_edges, device=source.device) - (degree.cumsum(0) - degree)[source]
        blocks = (degree + _BLOCK - 1) // _BLOCK
        slot = (blocks.cumsum(0) - blocks)[source] * _BLOCK + rank
        atom = source.new_zeros(n_edges // _BLOCK + n_atoms).index_copy_(0, slot // _BLOCK, source)
        harmonics = direction_harmonics(directions, n_orders)
        layout = cls(slot, atom, harmonics, n_atoms, n_orders)
        return layout._replace(harmonics=layout.place(harmonics))

    def place(self, edges: Tensor) -> Tensor:
        """Values of edges in the slots of their blocks, (E, F) -> (B, 16, F); 0 in empty slots."""
        placed = edges.new_zeros((len(self.atom) * _BLOCK, edges.shape[1])).index_copy(0, self.slot, edges)
        return placed.view(len(self.atom), _BLOCK, -1)

    def pair_sums(self, edges: Tensor) -> Tensor:
        """Sum over the other edges of the same source atom of Y_l0(angle between the two) times their features.

        By the addition theorem of spherical harmonics this needs no pairs: each atom sums features times
        harmonics, and each edge reads that sum with its own harmonics and takes its own term off.

        Args:
            edges: (E, F).

        Returns:
            (E, L, F).
        """
        placed = self.place(edges)
        harmonics = self.harmonics.to(placed.dtype)
        moments = segment_sum(harmonics.mT @ placed, self.atom, self.n_atoms)
        of_block = moments.to(placed.dtype).index_select(0, self.atom)
        orders = range(self.n_orders)
        spans = [slice(order**2, (order + 1) ** 2) for order in orders]
        sums = torch.stack([harmonics[:, :, span] @ of_block[:, span] for span in spans], dim=2)
        sums = sums.flatten(0, 1).index_select(0, self.slot)
        # Y_l0 of angle 0, as in the own term
        degree = torch.arange(self.n_orders, dtype=self.harmonics.dtype, device=sums.device)
        own = ((2 * degree + 1) / (4 * math.pi)).sqrt().to(sums.dtype)
        return sums - own[:, None] * edges[:, None, :].to(sums.dtype)
