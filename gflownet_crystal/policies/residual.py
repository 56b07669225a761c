"""Residual perceptrons, one a stage, that may share weights between similar columns, as those of similar elements.

With descriptors, the weights of a column are free ones plus a learned linear map of the column's fixed descriptors:
``W = F + D M``. Rare elements then learn from the elements that resemble them. :meth:`ResidualPolicy.folded` adds the
two up, so that a trained policy needs no descriptors.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm, linear, silu

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.policies.base import Columns, Policy, StageShape
from gflownet_crystal.policies.film import Film, modulated

_FREE = 0.3
"""Scale of the free weights beside those of the descriptors, before training."""


class ResidualPolicy(Policy):
    """A perceptron with ``n_layers`` residual layers for each stage, modulated by conditions where there are some.

    Args:
        shapes: sizes of the stages.
        n_layers: residual layers after the first one.
        n_hidden: units of each.
        dropout: share of hidden units set to zero in training.
        descriptors: whether weights of columns are shared through descriptors, where the environment has some.
        seed: random seed of the initial weights.

    Raises:
        ConfigError: sizes below 1, or a dropout outside [0, 1).
    """

    def __init__(
        self,
        shapes: Sequence[StageShape],
        n_layers: int = 3,
        n_hidden: int = 384,
        dropout: float = 0.0,
        descriptors: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__(shapes)
        if n_layers < 1 or n_hidden < 1:
            raise ConfigError(f"n_layers and n_hidden must be at least 1, not {n_layers} and {n_hidden}")
        if not 0.0 <= dropout < 1.0:
            raise ConfigError(f"dropout is a share in [0, 1), not {dropout}")
        self.n_layers, self.n_hidden = n_layers, n_hidden
        generator = torch.Generator().manual_seed(seed)
        made = [_Network(shape, n_layers, n_hidden, dropout, descriptors, generator) for shape in shapes]
        self.networks = nn.ModuleList(made)

    def forward(self, stage: int, features: Tensor) -> Tensor:
        return self.some(stage, features, Columns())

    def some(self, stage: int, features: Tensor, columns: Columns) -> Tensor:
        parameters: Tensor = self._network(stage)(features, columns)
        # in training the products may be in bfloat16
        return parameters.float()

    def parameters_of(self, stage: int) -> Iterable[nn.Parameter]:
        return self._network(stage).parameters()

    def reseed(self, seed: int) -> None:
        device = next(self.parameters()).device
        for stage in range(len(self.shapes)):
            self._network(stage).noise = torch.Generator(device).manual_seed(seed + stage)

    def _network(self, stage: int) -> _Network:
        return cast(_Network, self.networks[stage])

    @torch.no_grad()
    def folded(self) -> ResidualPolicy:
        """The same policy without descriptors and dropout."""
        plain = ResidualPolicy(self.shapes, self.n_layers, self.n_hidden)
        for stage in range(len(self.shapes)):
            mine, theirs = self._network(stage), plain._network(stage)
            weights = {
                name: value for name, value in mine.state_dict().items() if name in theirs.state_dict()
            }
            weights["first"], weights["last"] = mine.first_weights(None), mine.last_weights(None)
            theirs.load_state_dict(weights)
        return plain.to(next(self.parameters()).device)


class _Network(nn.Module):
    """The perceptron of one stage."""

    input_descriptors: Tensor | None
    output_descriptors: Tensor | None

    def __init__(
        self,
        shape: StageShape,
        n_layers: int,
        n_hidden: int,
        dropout: float,
        descriptors: bool,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.dropout = dropout
        self.noise = torch.Generator().manual_seed(0)
        inputs, outputs = (
            shape.describe() if descriptors and shape.describe is not None else (torch.zeros(0, 0),) * 2
        )
        self.register_buffer("input_descriptors", inputs if inputs.shape[1] else None, persistent=False)
        self.register_buffer("output_descriptors", outputs if outputs.shape[1] else None, persistent=False)

        def random(rows: int, columns: int, scale: float) -> nn.Parameter:
            return nn.Parameter(scale * torch.randn(rows, columns, generator=generator))

        used = shape.n_features if shape.n_used is None else shape.n_used
        scale = (2.0 / min(used, _TYPICAL)) ** 0.5
        self.first = random(n_hidden, shape.n_features, scale * (_FREE if inputs.shape[1] else 1.0))
        self.first_bias = nn.Parameter(torch.zeros(n_hidden))
        width = 0.5 * (2.0 / n_hidden) ** 0.5
        self.layers = nn.ParameterList([random(n_hidden, n_hidden, width) for _ in range(n_layers)])
        self.biases = nn.ParameterList([nn.Parameter(torch.zeros(n_hidden)) for _ in range(n_layers)])
        self.gains = nn.ParameterList([nn.Parameter(torch.ones(n_hidden)) for _ in range(n_layers + 1)])
        self.last = random(shape.n_parameters, n_hidden, 0.01 / n_hidden**0.5)
        self.last_bias = nn.Parameter(shape.initial_bias.clone())
        if inputs.shape[1]:
            self.first_map = random(n_hidden, inputs.shape[1], 2.0 * scale)
        if outputs.shape[1]:
            self.last_map = random(outputs.shape[1], n_hidden, 0.01)
        n = shape.n_conditions
        self.film = Film(n, n_layers + 1, n_hidden, generator.initial_seed()) if n else None

    def first_weights(self, columns: Tensor | None) -> Tensor:
        """(n_hidden, i) weights of some inputs; of all if None."""
        weights: Tensor = self.first if columns is None else self.first.index_select(1, columns)
        if self.input_descriptors is None:
            return weights
        described = self.input_descriptors if columns is None else self.input_descriptors[columns]
        return weights + self.first_map @ described.T

    def last_weights(self, columns: Tensor | None) -> Tensor:
        """(o, n_hidden) weights of some outputs; of all if None."""
        weights: Tensor = self.last if columns is None else self.last.index_select(0, columns)
        if self.output_descriptors is None:
            return weights
        described = self.output_descriptors if columns is None else self.output_descriptors[columns]
        return weights + described @ self.last_map

    def forward(self, features: Tensor, columns: Columns) -> Tensor:
        film = [] if self.film is None else self.film(features)
        first = linear(features, self.first_weights(columns.inputs), self.first_bias)
        inner = self._drop(silu(modulated(first, film, 0)))
        for layer, (weight, bias, gain) in enumerate(
            zip(self.layers, self.biases, self.gains, strict=False), start=1
        ):
            added = linear(layer_norm(inner, gain.shape, gain), weight, bias)
            inner = inner + self._drop(silu(modulated(added, film, layer)))
        inner = layer_norm(inner, self.gains[-1].shape, self.gains[-1])
        bias = self.last_bias if columns.outputs is None else self.last_bias[columns.outputs]
        return linear(inner, self.last_weights(columns.outputs), bias)

    def _drop(self, inner: Tensor) -> Tensor:
        if not (self.training and self.dropout):
            return inner
        drawn = torch.rand(inner.shape, generator=self.noise, device=inner.device)
        return inner * (drawn >= self.dropout) / (1.0 - self.dropout)


_TYPICAL = 40
"""Inputs that are not zero in a typical state of a crystal."""
