"""Multilayer perceptrons, one a stage (Crystal-GFN, appendix C: 3 layers of 256 units)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.policies.base import Columns, Policy, StageShape
from gflownet_crystal.policies.film import Film, modulated

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "leaky_relu": nn.LeakyReLU,
    "relu": nn.ReLU,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
}


class MLPPolicy(Policy):
    """A perceptron of ``n_layers`` hidden layers for each stage, modulated by conditions where there are some.

    Args:
        shapes: sizes of the stages.
        n_layers: hidden layers.
        n_hidden: units of each.
        activation: one of ``ACTIVATIONS``.
        seed: random seed of the initial weights.

    Raises:
        ConfigError: unknown activation, or sizes below 1.
    """

    def __init__(
        self,
        shapes: Sequence[StageShape],
        n_layers: int = 3,
        n_hidden: int = 256,
        activation: str = "leaky_relu",
        seed: int = 0,
    ) -> None:
        super().__init__(shapes)
        if activation not in ACTIVATIONS:
            raise ConfigError(f"unknown activation {activation!r}; choose one of {', '.join(ACTIVATIONS)}")
        if n_layers < 1 or n_hidden < 1:
            raise ConfigError(f"n_layers and n_hidden must be at least 1, not {n_layers} and {n_hidden}")
        made = [_perceptron(shape, n_layers, n_hidden, ACTIVATIONS[activation]) for shape in shapes]
        self.networks = nn.ModuleList(made)
        # none without conditions
        films = [Film(shape.n_conditions, n_layers, n_hidden, seed) for shape in shapes if shape.n_conditions]
        self.films = nn.ModuleList(films)
        generator = torch.Generator().manual_seed(seed)
        for network, shape in zip(self.networks, self.shapes, strict=True):
            layers = [module for module in network.modules() if isinstance(module, nn.Linear)]
            scaled_normal(layers, generator, 0.01, shape.n_used)
            # the last layer starts near the initial bias
            layers[-1].bias.data.copy_(shape.initial_bias)

    def forward(self, stage: int, features: Tensor) -> Tensor:
        return self.some(stage, features, Columns())

    def some(self, stage: int, features: Tensor, columns: Columns) -> Tensor:
        layers = list(cast(nn.Sequential, self.networks[stage]))
        first, last = cast(nn.Linear, layers[0]), cast(nn.Linear, layers[-1])
        weight = first.weight if columns.inputs is None else first.weight.index_select(1, columns.inputs)
        film = self.films[stage](features) if len(self.films) else []
        inner = modulated(linear(features, weight, first.bias), film, 0)
        # activations and layers in turn
        for place, layer in enumerate(layers[1:-1], start=1):
            inner = layer(inner)
            if place % 2 == 0:
                inner = modulated(inner, film, place // 2)
        if columns.outputs is None:
            return cast(Tensor, last(inner))
        return linear(inner, last.weight.index_select(0, columns.outputs), last.bias[columns.outputs])


@torch.no_grad()
def scaled_normal(
    layers: Sequence[nn.Linear], generator: torch.Generator, last_gain: float, n_used: int | None = None
) -> None:
    """Set the weights of a perceptron to normal numbers scaled by the number of inputs, and its biases to 0.

    Args:
        layers: the layers.
        generator: source of randomness.
        last_gain: scale of the last layer; the others have the square root of 2.
        n_used: number of inputs of the first layer that are not zero at once; None for all.
    """
    for layer in layers:
        gain = last_gain if layer is layers[-1] else 2.0**0.5
        used = n_used if layer is layers[0] and n_used is not None else layer.in_features
        layer.weight.copy_(torch.randn(layer.weight.shape, generator=generator) * (gain / used**0.5))
        layer.bias.zero_()


def _perceptron(
    shape: StageShape, n_layers: int, n_hidden: int, activation: type[nn.Module]
) -> nn.Sequential:
    sizes = [shape.n_features] + [n_hidden] * n_layers
    hidden: list[nn.Module] = []
    for n_in, n_out in itertools.pairwise(sizes):
        # skip_init leaves the global random state alone
        hidden += [nn.utils.skip_init(nn.Linear, n_in, n_out), activation()]
    return nn.Sequential(*hidden, nn.utils.skip_init(nn.Linear, n_hidden, shape.n_parameters))
