"""Gauss-Legendre quadrature over the unit box, in logarithms."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from gflownet_crystal.common.errors import ConfigError


def unit_box_nodes(dimensions: int, nodes: int, panels: int = 1) -> tuple[Tensor, Tensor]:
    """Composite Gauss-Legendre rule on [0, 1]^d.

    Args:
        dimensions: d, at least 1.
        nodes: number of nodes of each panel, exact for polynomials of degree ``2 nodes - 1``.
        panels: equal intervals that each axis is cut into.

    Returns:
        ((nodes * panels)^d, d) float64 points and float64 logs of their weights, which sum to 1.

    Raises:
        ConfigError: a number below 1.
    """
    if dimensions < 1 or nodes < 1 or panels < 1:
        raise ConfigError(f"quadrature needs positive sizes, not {dimensions}, {nodes} and {panels}")
    points, weights = np.polynomial.legendre.leggauss(nodes)
    starts = torch.arange(panels, dtype=torch.float64)[:, None]
    axis = ((starts + 0.5 + 0.5 * torch.from_numpy(points)) / panels).flatten()
    log_weight = (0.5 * torch.from_numpy(weights) / panels).log().repeat(panels)
    grid = torch.cartesian_prod(*[axis] * dimensions).reshape(-1, dimensions)
    log_weights = torch.cartesian_prod(*[log_weight] * dimensions).reshape(-1, dimensions).sum(dim=1)
    return grid, log_weights
