"""Layers of GemsNet: dense layers without biases, orthogonal at the start, and residual layers."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from gflownet_crystal.models.layers.fast_linear import fast_linear

SILU_SCALE = 1.0 / 0.6
"""SiLU times this keeps the variance of a normal input, as in GemNet."""

OUTPUT_GAIN = 0.2
"""Gain of the last weights of a head: the output of a new network is small against its targets."""

INVERSE_SQRT_2 = 1.0 / math.sqrt(2.0)


def orthogonal_weight(
    outputs: int, inputs: int, generator: torch.Generator, gain: float = 1.0
) -> nn.Parameter:
    """Weights (outputs, inputs) with orthogonal rows or columns, of root mean square gain / sqrt(inputs)."""
    weight = torch.empty(outputs, inputs)
    nn.init.orthogonal_(weight, generator=generator)
    return nn.Parameter(weight * (weight.square().mean().rsqrt() * gain / math.sqrt(inputs)))


def scaled_silu(sums: Tensor) -> Tensor:
    """SiLU(x) / 0.6."""
    # SiLU keeps its input for the gradient, not its output, so that may be scaled in place
    return silu(sums).mul_(SILU_SCALE)


class Dense(nn.Module):
    """Linear layer without bias, followed by :func:`scaled_silu` if ``activated``."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        generator: torch.Generator,
        activated: bool = False,
        gain: float = 1.0,
    ) -> None:
        super().__init__()
        self.weight = orthogonal_weight(outputs, inputs, generator, gain)
        self.activated = activated

    def forward(self, x: Tensor) -> Tensor:
        """(..., inputs) -> (..., outputs)."""
        sums = fast_linear(x, self.weight)
        return scaled_silu(sums) if self.activated else sums


class Residual(nn.Module):
    """(x + f(x)) / sqrt(2), with f two activated dense layers."""

    def __init__(self, width: int, generator: torch.Generator) -> None:
        super().__init__()
        self.first = orthogonal_weight(width, width, generator)
        self.second = orthogonal_weight(width, width, generator)

    def forward(self, x: Tensor) -> Tensor:
        """(..., width) -> (..., width)."""
        # the scale of the first activation is put in the weights that follow: fewer passes over x
        inner = silu(fast_linear(x, self.first))
        inner = silu(fast_linear(inner, self.second * SILU_SCALE))
        return torch.add(x, inner, alpha=SILU_SCALE).mul_(INVERSE_SQRT_2)


def residual_stack(depth: int, width: int, generator: torch.Generator) -> nn.Sequential:
    """``depth`` residual layers, one after the other."""
    return nn.Sequential(*(Residual(width, generator) for _ in range(depth)))


def skip(x: Tensor, change: Tensor) -> Tensor:
    """(x + change) / sqrt(2)."""
    return (x + change).mul_(INVERSE_SQRT_2)


class EdgeEmbedding(nn.Module):
    """Dense layer, activated, on [atom of the source, atom of the target, edge].

    Its weights split: the products with the atoms' part are done on the atoms.

    Args:
        atom_width: width of the atoms' features.
        edge_width: width of the edges' features.
        outputs: width of the result.
        generator: random generator of the initial weights.
    """

    def __init__(self, atom_width: int, edge_width: int, outputs: int, generator: torch.Generator) -> None:
        super().__init__()
        self.weight = orthogonal_weight(outputs, 2 * atom_width + edge_width, generator)
        self.widths = [atom_width, atom_width, edge_width]

    def forward(self, atoms: Tensor, edges: Tensor, source: Tensor, target: Tensor) -> Tensor:
        """(N, atom_width), (E, edge_width), (E,) and (E,) atoms of the edges -> (E, outputs)."""
        of_source, of_target, of_edge = self.weight.split(self.widths, dim=1)
        sums = fast_linear(edges, of_edge)
        sums = sums + fast_linear(atoms, of_source).index_select(0, source)
        return scaled_silu(sums.add_(fast_linear(atoms, of_target).index_select(0, target)))
