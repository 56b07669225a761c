"""Conditions of a sampler: settings of the reward, such as an inverse temperature, that it is trained for a range of.

Policies and log Z see the conditions, and the reward takes their values row by row, so that one model samples
``R(x; c) / Z(c)`` for every c in the range (Zhang et al. 2023, "Robust scheduling with GFlowNets"; Jain et al. 2023,
"Multi-objective GFlowNets").
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from gflownet_crystal.common.errors import ConfigError, unknown
from gflownet_crystal.policies.mlp import scaled_normal

KEY = "condition"
_BEYOND = 0.03
"""Share of the range by which draws go beyond each end, where they count as the end itself."""


@dataclass(frozen=True)
class Conditions:
    """Names and ranges of conditions, and the values that some of them are held at.

    Attributes:
        ranges: lowest and highest value by name.
        given: values of conditions that are held; the others are drawn.

    Raises:
        ConfigError: there is none, a range is not two finite numbers in ascending order, or a value lies outside.
    """

    ranges: Mapping[str, tuple[float, float]]
    given: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.ranges:
            raise ConfigError(f"{KEY} names nothing; give a range, as {KEY}.beta=[4,32]")
        object.__setattr__(
            self, "ranges", {name: checked_range(name, both) for name, both in self.ranges.items()}
        )
        for name, value in self.given.items():
            if name not in self.ranges:
                raise unknown(KEY, name, self.ranges)
            low, high = self.ranges[name]
            if not _is_number(value) or not low <= value <= high:
                raise ConfigError(
                    f"{KEY}.{name} must be a number from {low:g} to {high:g}, the range of the training, not {value!r}"
                )

    def __len__(self) -> int:
        return len(self.ranges)

    def at(self, given: Mapping[str, float]) -> Conditions:
        """These conditions, held at further values.

        Raises:
            ConfigError: an unknown name, or a value outside the range of the training.
        """
        return replace(self, given={**self.given, **given})

    @property
    def free(self) -> list[str]:
        """Names of the conditions that are drawn."""
        return [name for name in self.ranges if name not in self.given]

    def fixed(self, n: int, device: torch.device) -> Tensor:
        """Conditions of n rows, (n, c) float64 from 0 to 1, where all have fixed values.

        Raises:
            ConfigError: a condition has no fixed value.
        """
        if self.free:
            raise ConfigError(
                f"this sampler was trained for a range of conditions: give {', '.join(map(self.example, self.free))}"
            )
        return self._held(device).expand(n, -1)

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Conditions of n rows, (n, c) float64 from 0 to 1, uniform where they are not held.

        A share of the draws lies at each end, which would else be learned from one side only.
        """
        device = generator.device
        if not self.free:
            return self.fixed(n, device)
        uniform = torch.rand(n, len(self), generator=generator, dtype=torch.float64, device=device)
        drawn = ((1.0 + 2.0 * _BEYOND) * uniform - _BEYOND).clamp(0.0, 1.0)
        held = torch.tensor([name in self.given for name in self.ranges], device=device)
        return torch.where(held, self._held(device), drawn)

    def values(self, condition: Tensor) -> dict[str, Tensor]:
        """Values by name, (n,) float64 each, of conditions (n, c) from 0 to 1."""
        pairs = zip(self.ranges.items(), condition.unbind(1), strict=True)
        return {name: low + (high - low) * column for (name, (low, high)), column in pairs}

    def example(self, name: str) -> str:
        """A condition as a setting."""
        low, high = self.ranges[name]
        return f"{KEY}.{name}=VALUE from {low:g} to {high:g}"

    def _held(self, device: torch.device) -> Tensor:
        """(c,) float64 from 0 to 1; those that are drawn are 0."""
        places = [
            (self.given.get(name, low) - low) / (high - low) for name, (low, high) in self.ranges.items()
        ]
        return torch.tensor(places, dtype=torch.float64, device=device)


def checked_range(name: str, both: object) -> tuple[float, float]:
    """Lowest and highest value of a condition.

    Raises:
        ConfigError: they are not two finite numbers in ascending order.
    """
    ends = tuple(both) if isinstance(both, Iterable) and not isinstance(both, str) else ()
    if len(ends) != 2 or not all(map(_is_number, ends)) or not ends[0] < ends[1]:
        raise ConfigError(
            f"{KEY}.{name} must be a range, the lowest value and a higher one, as {KEY}.{name}=[1,2], not {both!r}"
        )
    return float(ends[0]), float(ends[1])


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


class LogPartition(nn.Module):
    """``log Z(c)`` less its mean value, a small network of the conditions.

    Args:
        n_conditions: c, columns of the input.
        n_outputs: its value is the sum of so many outputs, which speeds its Adam steps.
        n_hidden: units of each of the two hidden layers.
        seed: random seed of the initial weights.
    """

    def __init__(self, n_conditions: int, n_outputs: int = 16, n_hidden: int = 64, seed: int = 0) -> None:
        super().__init__()
        sizes = (n_conditions, n_hidden, n_hidden, n_outputs)
        layers = [nn.utils.skip_init(nn.Linear, *pair) for pair in itertools.pairwise(sizes)]
        scaled_normal(layers, torch.Generator().manual_seed(seed), last_gain=0.0)
        self.layers = nn.ModuleList(layers)

    def forward(self, condition: Tensor) -> Tensor:
        """(n, c) conditions from 0 to 1 to (n,) float64."""
        inner = condition.float() * 2.0 - 1.0
        for layer in self.layers[:-1]:
            inner = nn.functional.silu(layer(inner))
        total: Tensor = self.layers[-1](inner).double().sum(dim=1)
        return total

    def fit(self, condition: Tensor, values: Tensor, steps: int = 300, learning_rate: float = 3e-3) -> None:
        """Least squares of values at conditions, by full-batch Adam.

        Args:
            condition: (n, c) conditions from 0 to 1.
            values: (n,) values, of mean 0.
            steps: number of steps.
            learning_rate: Adam learning rate.
        """
        adam = torch.optim.Adam(self.parameters(), learning_rate)
        with torch.enable_grad():
            for _ in range(steps):
                adam.zero_grad()
                (self(condition) - values).square().mean().backward()
                adam.step()
        self.zero_grad()
