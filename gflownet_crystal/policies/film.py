"""Feature-wise linear modulation of hidden units by conditions (Perez et al. 2018, "FiLM")."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

_HIDDEN = 64


class Film(nn.Module):
    """Scales and shifts of the hidden units of a perceptron, from the conditions; without effect before training.

    Args:
        n_conditions: c, conditions from 0 to 1.
        n_layers: hidden layers that are modulated.
        n_hidden: units of each.
        seed: random seed of the initial weights.
    """

    def __init__(self, n_conditions: int, n_layers: int, n_hidden: int, seed: int) -> None:
        super().__init__()
        self.n_conditions, self.n_layers = n_conditions, n_layers
        generator = torch.Generator().manual_seed(seed)
        self.first = nn.Parameter(2.0 * torch.randn(_HIDDEN, n_conditions, generator=generator))
        self.first_bias = nn.Parameter(torch.randn(_HIDDEN, generator=generator))
        self.last = nn.Parameter(torch.zeros(2 * n_layers * n_hidden, _HIDDEN))
        self.last_bias = nn.Parameter(torch.zeros(2 * n_layers * n_hidden))

    def forward(self, features: Tensor) -> list[Tensor]:
        """Scale less 1 and shift of each layer, (n, n_hidden) each, layer by layer.

        Args:
            features: (n, f) input of the perceptron, whose last columns are the conditions.
        """
        condition = 2.0 * features[:, -self.n_conditions :] - 1.0
        inner = silu(nn.functional.linear(condition, self.first, self.first_bias))
        values = nn.functional.linear(inner, self.last, self.last_bias)
        return list(values.chunk(2 * self.n_layers, dim=1))


def modulated(inner: Tensor, film: list[Tensor], layer: int) -> Tensor:
    """Hidden units (n, h) before the activation of a layer, modulated where there are conditions.

    Args:
        inner: the units.
        film: scales and shifts; empty without conditions.
        layer: number of the layer.
    """
    if not film:
        return inner
    return torch.addcmul(inner + film[2 * layer + 1], inner, film[2 * layer])
