"""Output heads of GemsNet: energies of atoms, displacements along edges, weights of the lattice's vector fields."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gflownet_crystal.models.gemsnet.blocks import AtomSum
from gflownet_crystal.models.gemsnet.layers import OUTPUT_GAIN, Dense, orthogonal_weight, residual_stack
from gflownet_crystal.models.gemsnet.settings import Widths
from gflownet_crystal.models.gemsnet.triplet_weights import triplet_perceptron
from gflownet_crystal.models.layers.fast_linear import fast_linear


class EnergyHead(nn.Module):
    """Energy of each atom, from the edges that lead to it."""

    def __init__(self, widths: Widths, generator: torch.Generator) -> None:
        super().__init__()
        self.atom_sum = AtomSum(widths, generator)
        self.out = Dense(widths.atom, 1, generator, gain=OUTPUT_GAIN)

    def forward(self, edges: Tensor, radial: Tensor, target: Tensor, n_atoms: int) -> tuple[Tensor, Tensor]:
        """(E, edge), (E, radial), (E,) int64 -> energies (N,) and their source (N, atom), in full precision."""
        features: Tensor = self.atom_sum(edges, radial, target, n_atoms)
        with torch.autocast(features.device.type, enabled=False):
            # a sum, as a product with one column would be rounded differently in batches of other sizes
            return (features * self.out.weight).sum(1), features


class DisplacementHead(nn.Module):
    """Displacement along each edge of the atom that it leads to."""

    def __init__(self, widths: Widths, generator: torch.Generator) -> None:
        super().__init__()
        self.dense = Dense(widths.edge, widths.edge, generator, activated=True)
        self.residuals = residual_stack(widths.edge_head, widths.edge, generator)
        self.radial = Dense(widths.radial, widths.edge, generator)
        self.out = Dense(widths.edge, 1, generator, gain=OUTPUT_GAIN)

    def forward(self, edges: Tensor, radial: Tensor) -> Tensor:
        """(E, edge), (E, radial) -> (E,)."""
        features = self.residuals(self.dense(edges))
        # the last product of each row is put in the projection: a pass over the edges less
        return (features * fast_linear(radial, self.radial.weight * self.out.weight.mT)).sum(1)


class LatticeHead(nn.Module):
    """Weights of the vector fields of each pair of edges (GemsNet, equation 10)."""

    def __init__(self, widths: Widths, generator: torch.Generator) -> None:
        super().__init__()
        w = widths
        self.widths = [w.edge, w.radial, w.edge, w.radial, w.circular]
        self.first = orthogonal_weight(w.lattice_head, sum(self.widths), generator)
        self.hidden = orthogonal_weight(w.lattice_head, w.lattice_head, generator)
        self.out = orthogonal_weight(3, w.lattice_head, generator, OUTPUT_GAIN)

    def forward(
        self,
        edges: Tensor,
        radial: Tensor,
        zonal: Tensor,
        circular_weight: Tensor,
        pairs: tuple[Tensor, Tensor],
    ) -> Tensor:
        """Weights for the lengths of the first and the second edge and for the angle, (T, 3).

        Args:
            edges: (E, edge).
            radial: (E, radial).
            zonal: (T, L) functions of the angle.
            circular_weight: (circular, L), their projection.
            pairs: first and second edge, (T,) int64 each.
        """
        edge_1, radial_1, edge_2, radial_2, circular = self.first.split(self.widths, dim=1)
        first = fast_linear(edges, edge_1) + fast_linear(radial, radial_1)
        second = fast_linear(edges, edge_2) + fast_linear(radial, radial_2)
        # both are linear, so the projection and the first layer are one product
        angular = circular @ circular_weight
        return triplet_perceptron(first, second, zonal, angular, self.hidden, self.out, *pairs)
