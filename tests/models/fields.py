"""Gradients of angles in closed form, which networks must agree with."""

from __future__ import annotations

from torch import Tensor

from gflownet_crystal.models.layers.vector_fields import Triplets


def angle_fields(directions: Tensor, triplets: Triplets) -> Tensor:
    """Gradient of the angle of each pair of edges, (E, 3) unit vectors -> (T, 3, 3); 0 for dropped pairs.

    (cos (u u^T + v v^T) - u v^T - v u^T) / sin, with u and v the directions of the two edges.
    """
    u, v = directions[triplets.first], directions[triplets.second]
    own = u[:, :, None] * u[:, None, :] + v[:, :, None] * v[:, None, :]
    mixed = u[:, :, None] * v[:, None, :]
    fields = triplets.cosine[:, None, None] * own - mixed - mixed.mT
    return fields * ((triplets.counts > 0.0) / triplets.sine)[:, None, None]
