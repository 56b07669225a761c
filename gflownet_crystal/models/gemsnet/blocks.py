"""Blocks of GemsNet: messages between edges through angles, from edges to atoms, and from atoms to edges."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gflownet_crystal.models.gemsnet.layers import Dense, EdgeEmbedding, residual_stack, skip
from gflownet_crystal.models.gemsnet.neighbourhoods import Neighbourhoods
from gflownet_crystal.models.gemsnet.settings import Widths
from gflownet_crystal.models.layers.scatter import segment_sum


class TripletInteraction(nn.Module):
    """Messages to each edge from the other edges of its source atom, through angles.

    GemNet's efficient bilinear layer: features times circular basis are summed over the pairs of an edge before
    the large matrix product.
    """

    def __init__(self, widths: Widths, generator: torch.Generator) -> None:
        super().__init__()
        w = widths
        self.dense = Dense(w.edge, w.edge, generator, activated=True)
        self.radial = Dense(w.radial, w.edge, generator)
        self.down = Dense(w.edge, w.triplet, generator, activated=True)
        self.bilinear = Dense(w.circular * w.triplet, w.bilinear, generator)
        self.up = Dense(w.bilinear, w.edge, generator, activated=True)
        self.up_reverse = Dense(w.bilinear, w.edge, generator, activated=True)

    def forward(
        self, edges: Tensor, radial: Tensor, circular: Tensor, neighbourhoods: Neighbourhoods, reverse: Tensor
    ) -> Tensor:
        """Change of the edges' features.

        Args:
            edges: (E, edge).
            radial: (E, radial) projected functions of length.
            circular: (E, circular, L) projected radial part of the circular basis.
            neighbourhoods: edges by source atom.
            reverse: (E,) int64.
        """
        reduced = self.down(self.dense(edges) * self.radial(radial))
        sums = neighbourhoods.pair_sums(reduced)
        mixed = torch.bmm(circular.to(sums.dtype), sums)
        mixed = self.bilinear(mixed.flatten(1))
        return skip(self.up(mixed), self.up_reverse(mixed).index_select(0, reverse))


class AtomSum(nn.Module):
    """Perceptron on the sum over the edges that lead to an atom of their features times functions of length."""

    def __init__(self, widths: Widths, generator: torch.Generator) -> None:
        super().__init__()
        self.radial = Dense(widths.radial, widths.edge, generator)
        self.dense = Dense(widths.edge, widths.atom, generator, activated=True)
        self.residuals = residual_stack(widths.atom_residuals, widths.atom, generator)
        self.scale = widths.atom_scale

    def forward(self, edges: Tensor, radial: Tensor, target: Tensor, n_atoms: int) -> Tensor:
        """(E, edge), (E, radial), (E,) int64 -> (N, atom), in full precision also under autocast."""
        sums = segment_sum(edges * self.radial(radial), target, n_atoms) * self.scale
        # atoms are few beside edges, so half precision would gain nothing
        with torch.autocast(sums.device.type, enabled=False):
            return self.residuals(self.dense(sums))


class InteractionBlock(nn.Module):
    """One round of messages: between edges, from edges to atoms, from atoms to edges."""

    def __init__(self, widths: Widths, generator: torch.Generator) -> None:
        super().__init__()
        w = widths
        self.dense = Dense(w.edge, w.edge, generator, activated=True)
        self.triplets = TripletInteraction(w, generator)
        self.before_skip = residual_stack(w.before_skip, w.edge, generator)
        self.after_skip = residual_stack(w.after_skip, w.edge, generator)
        self.atom_sum = AtomSum(w, generator)
        self.concat = EdgeEmbedding(w.atom, w.edge, w.edge, generator)
        self.concat_residuals = residual_stack(w.concat, w.edge, generator)

    def forward(
        self,
        atoms: Tensor,
        edges: Tensor,
        projected: tuple[Tensor, Tensor, Tensor],
        neighbourhoods: Neighbourhoods,
        ends: tuple[Tensor, Tensor, Tensor],
    ) -> tuple[Tensor, Tensor]:
        """New features of atoms and edges, (N, atom) and (E, edge).

        Args:
            atoms: (N, atom).
            edges: (E, edge).
            projected: functions of length for the pairs of edges and for the atoms, (E, radial) each, and the radial
                part of the circular basis, (E, circular, L).
            neighbourhoods: edges by source atom.
            ends: source, target and reverse of each edge, (E,) int64 each.
        """
        radial_triplets, radial_atoms, circular = projected
        source, target, reverse = ends
        messages = self.triplets(edges, radial_triplets, circular, neighbourhoods, reverse)
        edges = skip(edges, self.before_skip(skip(self.dense(edges), messages)))
        edges = self.after_skip(edges)
        atoms = skip(atoms, self.atom_sum(edges, radial_atoms, target, len(atoms)))
        change = self.concat_residuals(self.concat(atoms, edges, source, target))
        return atoms, skip(edges, change)
