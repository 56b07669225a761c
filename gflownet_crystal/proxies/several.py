"""Several proxies as one, for rewards of several properties."""

from __future__ import annotations

from typing import Any, Self

import torch
from torch import Tensor

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.common.run_schema import (
    ENERGY,
    ENERGY_COLUMN,
    ENERGY_STD,
    FORMULA,
    HULL_COLUMN,
    LOG_REWARD,
    PARETO_RANK,
    SPACE_GROUP,
    VOLUME,
    WITHIN_LIMITS,
)
from gflownet_crystal.proxies.base import Prediction, Proxy

_ENERGIES = {("specs", name, "eV/atom") for name in (ENERGY_COLUMN, HULL_COLUMN)}
_TAKEN = {
    ENERGY, ENERGY_STD, FORMULA, LOG_REWARD, PARETO_RANK, SPACE_GROUP, VOLUME, WITHIN_LIMITS,
    "a", "b", "c", "alpha", "beta", "gamma", "invalid", "penalty", "stability",
}  # fmt: skip


def is_energy(proxy: Proxy) -> bool:
    """Whether a proxy predicts energies of specs that can be measured from a hull, or are."""
    return (proxy.input_kind, proxy.property_name, proxy.unit) in _ENERGIES


class SeveralProxies(Proxy):
    """Proxies that each score the same objects; see :attr:`~gflownet_crystal.proxies.base.Prediction.parts`.

    Name, unit, values and standard deviations are those of the main one: the first that predicts an energy, else
    the first.

    Args:
        proxies: proxies by name; columns of samples and terms of the reward have these names.

    Raises:
        ConfigError: there is none, they take different kinds of objects, or a name is that of another column.
    """

    def __init__(self, **proxies: Proxy) -> None:
        if not proxies:
            raise ConfigError("several proxies are given as a list, as proxy=[mlp,band_gap]")
        for name, proxy in proxies.items():
            if not isinstance(proxy, Proxy):
                raise ConfigError(f"proxy.{name} must be a proxy, not {type(proxy).__name__}")
            if name in _TAKEN:
                raise ConfigError(
                    f"no proxy among several can be called {name}, as a column or key is; give it another name"
                )
        first = next(iter(proxies))
        self.main = next((name for name in proxies if is_energy(proxies[name])), first)
        for name, proxy in proxies.items():
            if proxy.input_kind != proxies[first].input_kind:
                raise ConfigError(
                    f"proxy {name} expects {proxy.input_kind}, but proxy {first} {proxies[first].input_kind}; "
                    "all proxies of a list must take the same objects"
                )
        self.proxies = dict(proxies)
        main = proxies[self.main]
        self.input_kind, self.property_name, self.unit = main.input_kind, main.property_name, main.unit  # type: ignore[misc]

    def to(self, device: torch.device | str) -> Self:
        """Move all proxies."""
        self.proxies = {name: proxy.to(device) for name, proxy in self.proxies.items()}
        return self

    def __call__(self, batch: Any) -> Prediction:
        """Predict and check; see :class:`gflownet_crystal.proxies.base.Proxy`.

        Returns:
            Values of the main proxy; valid where all are valid, penalised or unplaced where any is.

        Raises:
            ProxyError: a proxy breaks its contract.
        """
        parts = {name: proxy(batch) for name, proxy in self.proxies.items()}
        main = parts[self.main]
        valid = torch.stack([part.valid for part in parts.values()]).all(0)
        penalised = torch.stack([part.penalised for part in parts.values()]).any(0)
        unplaced = [part.unplaced for part in parts.values() if part.unplaced is not None]
        joined = torch.stack(unplaced).any(0) if unplaced else None
        return Prediction(main.value, main.std, valid, penalised, joined, parts)

    def predict(self, batch: Any) -> tuple[Tensor, Tensor]:
        """Values and standard deviations (n,) float64 of the main proxy."""
        prediction = self(batch)
        return prediction.value, prediction.std


def main_proxy(proxy: Proxy) -> Proxy:
    """The main one of several proxies; any other proxy as it is."""
    return proxy.proxies[proxy.main] if isinstance(proxy, SeveralProxies) else proxy
