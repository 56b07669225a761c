"""Output of networks on a crystal, and the vector fields along which they deform its lattice.

A deformation g moves every vector v to v @ (1 + g). The fields of a pair of edges of one atom are the gradients of the
lengths of both edges and of the angle between them with respect to g at g = 0 (GemsNet, equation 17). All three are
symmetric matrices, so no action along them is a mere rotation, and all are built from the edges alone, so they do
not depend on the cell that was chosen for the lattice.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from gflownet_crystal.models.layers.scatter import segment_sum

COLLINEAR_SINE = 1e-3
"""Pairs of edges whose angle has a sine below this are dropped: which way their angle opens is not defined."""

_SHORTEST = 1e-6


class AtomOutput(NamedTuple):
    """Output of a network on atoms for n structures with N atoms; None for outputs it was not built with.

    Attributes:
        energy: (n,), per atom.
        displacement: (N, 3) in fractional coordinates; the new ones are ``fractional + displacement``.
        lattice_action: (n, 3, 3); the new lattice vectors are the rows of ``cell @ lattice_action``.
    """

    energy: Tensor | None = None
    displacement: Tensor | None = None
    lattice_action: Tensor | None = None


class Triplets(NamedTuple):
    """Geometry of the pairs of edges that share their source atom.

    Attributes:
        first: (T,) int64, first edge.
        second: (T,) int64, second edge.
        cosine: (T,) of the angle between them.
        sine: (T,); 1 where the pair is dropped.
        counts: (T,), weight of each pair: 0 if it is dropped because it is collinear.
    """

    first: Tensor
    second: Tensor
    cosine: Tensor
    sine: Tensor
    counts: Tensor

    @classmethod
    def of(cls, directions: Tensor, first: Tensor, second: Tensor, weights: Tensor | None = None) -> Triplets:
        """From (E, 3) unit vectors, the edges of each pair, and the weight of each edge, (E,), 1 if None."""
        u, v = directions.index_select(0, first), directions.index_select(0, second)
        cosine = (u * v).sum(1)
        # precise at small angles, where 1 - cosine^2 is not
        sine_square = torch.linalg.cross(u, v).square().sum(1)
        kept = sine_square > COLLINEAR_SINE**2
        counts = kept.to(cosine.dtype)
        if weights is not None:
            counts = counts * weights.index_select(0, first) * weights.index_select(0, second)
        return cls(first, second, cosine, torch.where(kept, sine_square, 1.0).sqrt(), counts)


N_AXIS_FEATURES = 6
"""Number of features of :func:`axis_features`."""


def axis_features(fractional: Tensor) -> Tensor:
    """Products of the components of directions in fractional coordinates, xx, yy, zz, yz, zx, xy: (E, 3) -> (E, 6).

    They tell the axes of the cell and their senses apart, are the same for a vector and its opposite, and have a mean
    square of 1 over all directions.
    """
    _, directions = unit_vectors(fractional)
    following = directions.roll(-1, dims=1)
    # means of x^4 and of x^2 y^2 over the sphere are 1 / 5 and 1 / 15
    squares, products = directions.square(), following * following.roll(-1, dims=1)
    return torch.cat([math.sqrt(5.0) * squares, math.sqrt(15.0) * products], dim=1)


def length_fields(vectors: Tensor) -> Tensor:
    """Gradient of the length of each edge, v v^T / r, (E, 3) Å -> (E, 3, 3) Å."""
    # a network may move atoms onto each other
    lengths = vectors.norm(dim=1).clamp(min=_SHORTEST)
    return vectors[:, :, None] * vectors[:, None, :] / lengths[:, None, None]


def unit_vectors(vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Lengths (E,) in Å, and directions (E, 3), of vectors (E, 3) in Å; finite also where one vanishes."""
    lengths = vectors.norm(dim=1)
    return lengths, vectors / lengths.clamp(min=_SHORTEST)[:, None]


def mean_edge_action(
    weights: Tensor, vectors: Tensor, counts: Tensor, edge_structure: Tensor, n_structures: int
) -> Tensor:
    """Mean over the edges of each structure of weight times length field.

    Args:
        weights: (E,).
        vectors: (E, 3) Å.
        counts: (E,), weight of each edge.
        edge_structure: (E,) int64.
        n_structures: n.

    Returns:
        (n, 3, 3) symmetric; 0 for a structure without edges.
    """
    fields = length_fields(vectors) * (weights * counts)[:, None, None]
    return segment_sum(fields, edge_structure, n_structures) / _totals(counts, edge_structure, n_structures)


def mean_triplet_action(
    weights: Tensor,
    lengths: Tensor,
    directions: Tensor,
    triplets: Triplets,
    edge_structure: Tensor,
    n_structures: int,
) -> Tensor:
    """Mean over the pairs of edges of each structure of the sum of weights times fields (GemsNet, equation 16).

    No (T, 3, 3) tensor is made: the common factors of the pairs of an edge are summed first.

    Args:
        weights: (T, 3), for the lengths of the first and second edge and for the angle.
        lengths: (E,) Å.
        directions: (E, 3) unit vectors.
        triplets: pairs of edges, with their weights.
        edge_structure: (E,) int64.
        n_structures: n.

    Returns:
        (n, 3, 3) symmetric; 0 for a structure without pairs.
    """
    n_edges = len(lengths)
    counts = triplets.counts
    first_length, second_length, angle = (weights.to(lengths.dtype) * counts[:, None]).unbind(dim=1)
    across = angle / triplets.sine
    along = across * triplets.cosine
    others = across[:, None] * directions.index_select(0, triplets.second)
    # of the first edges: weights of the length, counts, weights along and across
    columns = torch.cat([torch.stack([first_length, counts, along], dim=1), others], dim=1)
    sums = segment_sum(columns, triplets.first, n_edges)
    seconds = segment_sum(torch.stack([second_length, along], dim=1), triplets.second, n_edges)
    squares = (sums[:, 0] + seconds[:, 0]) * lengths + sums[:, 2] + seconds[:, 1]
    # u (squares u / 2 - others)^T and its transpose
    partner = squares[:, None] / 2 * directions - sums[:, 3:]
    halves = segment_sum(directions[:, :, None] * partner[:, None, :], edge_structure, n_structures)
    return (halves + halves.mT) / _totals(sums[:, 1], edge_structure, n_structures)


def fractional_vectors(vectors: Tensor, cell: Tensor, structure: Tensor) -> Tensor:
    """Cartesian vectors (M, 3) in fractional coordinates of the cell (n, 3, 3) of their structure (M,)."""
    inverse = torch.linalg.inv_ex(cell.double()).inverse.to(vectors.dtype)
    # a sum of products, as matrix products may run in half precision under autocast
    return (vectors[:, :, None] * inverse.index_select(0, structure)).sum(1)


def cartesian_vectors(fractional: Tensor, cell: Tensor, structure: Tensor) -> Tensor:
    """Inverse of :func:`fractional_vectors`."""
    return (fractional[:, :, None] * cell.index_select(0, structure)).sum(1)


def _totals(counts: Tensor, edge_structure: Tensor, n_structures: int) -> Tensor:
    return segment_sum(counts, edge_structure, n_structures).clamp(min=1.0)[:, None, None]
