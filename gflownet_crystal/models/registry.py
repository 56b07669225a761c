"""Networks on atoms by name: their classes and settings, and networks made from a card or a config."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from gflownet_crystal.common.arguments import settings_from
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.models.alignn.network import ALIGNN, ALIGNNSettings
from gflownet_crystal.models.egnn.layers import EGNNSettings
from gflownet_crystal.models.egnn.network import EGNN
from gflownet_crystal.models.gemsnet.network import GemsNet
from gflownet_crystal.models.gemsnet.settings import GemsNetSettings


@dataclass(frozen=True)
class Entry:
    """A network of the package.

    Attributes:
        network: its class, called with settings and seed.
        settings: the dataclass of its settings.
    """

    network: type[nn.Module]
    settings: type


NETWORKS = {
    "alignn": Entry(ALIGNN, ALIGNNSettings),
    "gemsnet": Entry(GemsNet, GemsNetSettings),
    "egnn": Entry(EGNN, EGNNSettings),
}


def network_entry(name: str) -> Entry:
    """The network of that name."""
    if name not in NETWORKS:
        raise ConfigError(f"unknown model {name!r}; choose one of {', '.join(NETWORKS)}")
    return NETWORKS[name]


def build_network(name: str, settings: Mapping[str, object], seed: int = 0) -> nn.Module:
    """A network with new weights.

    Args:
        name: one of ``NETWORKS``.
        settings: fields of its settings.
        seed: random seed of the initial weights.

    Raises:
        ConfigError: an unknown name or field, or values that make no network, such as a width of 0.
    """
    entry = network_entry(name)
    chosen: object = settings_from(entry.settings, settings)
    try:
        return entry.network(chosen, seed)
    except (ArithmeticError, IndexError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(
            f"model.settings make no {name}: {reason}; are its widths and numbers positive?"
        ) from error
