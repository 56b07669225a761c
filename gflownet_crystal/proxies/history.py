"""Penalties on objects that a training has often found: formulas, and prototypes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Self

import torch
from torch import Tensor

from gflownet_crystal.common.errors import CheckpointError, ConfigError
from gflownet_crystal.proxies.known_compounds import find
from gflownet_crystal.structures.composition_keys import formula_keys, prototype_keys
from gflownet_crystal.structures.spec import CrystalSpec

_CAPACITY = 2**20


class FoundOften:
    """Kinds of specs that a training has found so far, how often, and the cost of finding them again.

    A kind found m times costs ``c log(1 + m / s)``. As m is in proportion to the probability p of the kind, this
    flattens the distribution over kinds: where m is well above s, p becomes p^(1 / (1 + c)).

    It holds the million most frequent kinds at most; of equally frequent ones those with the lower keys stay.

    Args:
        keys_of: (n,) int64 keys of the kinds of n specs.
        factor: c.
        scale: s, number of times that a kind is found until it costs c log 2.

    Raises:
        ConfigError: ``scale`` is not positive and finite.
    """

    def __init__(self, keys_of: Callable[[CrystalSpec], Tensor], factor: float, scale: float) -> None:
        if not 0.0 < scale < math.inf:
            raise ConfigError(
                f"reward.novelty: history_scale and prototype_scale must be positive and finite, not {scale}"
            )
        self._keys_of, self.factor, self.scale = keys_of, factor, scale
        self.keys = torch.zeros(0, dtype=torch.int64)
        self.counts = torch.zeros(0, dtype=torch.int64)

    @classmethod
    def formulas(cls, factor: float, scale: float) -> Self:
        """A history that counts reduced formulas."""
        return cls(lambda specs: formula_keys(specs.composition), factor, scale)

    @classmethod
    def prototypes(cls, factor: float, scale: float) -> Self:
        """A history that counts prototypes: space groups with the counts of the reduced formula, for all elements."""
        return cls(lambda specs: prototype_keys(specs.composition, specs.space_group), factor, scale)

    def cost(self, specs: CrystalSpec) -> Tensor:
        """Cost (n,) float64 of each spec, on its device."""
        sought = self._keys_of(specs)
        place, found = find(self.keys, sought)
        times = torch.zeros(len(sought), dtype=torch.float64)
        times[found] = self.counts[place[found]].double()
        return (self.factor * torch.log1p(times / self.scale)).to(sought.device)

    def remember(self, specs: CrystalSpec) -> None:
        """Count the kinds of n specs."""
        new = self._keys_of(specs).cpu()
        keys, place = torch.cat([self.keys, new]).unique(return_inverse=True)
        times = torch.cat([self.counts, torch.ones_like(new)])
        counts = torch.zeros_like(keys).scatter_add_(0, place, times)
        if len(keys) > _CAPACITY:
            kept = counts.argsort(descending=True, stable=True)[:_CAPACITY].sort().values
            keys, counts = keys[kept], counts[kept]
        self.keys, self.counts = keys, counts


class History:
    """All that a training has found so far; a state to be kept in checkpoints.

    Args:
        parts: counts of each sort of kinds, by its name.
    """

    def __init__(self, parts: Mapping[str, FoundOften]) -> None:
        self.parts = dict(parts)

    def cost(self, specs: CrystalSpec) -> Tensor:
        """Sum (n,) float64 of the costs of each spec, on its device."""
        return torch.stack([part.cost(specs) for part in self.parts.values()]).sum(0)

    def remember(self, specs: CrystalSpec) -> None:
        """Count n specs."""
        for part in self.parts.values():
            part.remember(specs)

    def state_dict(self) -> dict[str, Tensor]:
        """Keys and counts of each part, (m,) int64 each."""
        state: dict[str, Tensor] = {}
        for name, part in self.parts.items():
            state |= {f"{name}.keys": part.keys, f"{name}.counts": part.counts}
        return state

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a state.

        Raises:
            CheckpointError: it is none.
        """
        if set(state) == {"keys", "counts"}:
            # earlier versions counted formulas only
            state = {f"formulas.{name}": values for name, values in state.items()}
        if set(state) != set(self.state_dict()):
            raise CheckpointError(
                "the checkpoint holds another history of discoveries; resume with the settings of the run"
            )
        for name, part in self.parts.items():
            keys, counts = state[f"{name}.keys"], state[f"{name}.counts"]
            if keys.shape != counts.shape:
                raise CheckpointError(
                    f"the checkpoint's history of {name} is damaged; use an earlier checkpoint"
                )
            part.keys, part.counts = keys, counts
