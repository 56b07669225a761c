"""Networks on atoms by name: which class, which settings, and how to make one from what a card or a config says."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from dataclasses import dataclass, is_dataclass
from typing import Any

from torch import nn

from gflownet_crystal.common.annotations import fitting
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
    """The network of that name.

    Raises:
        ConfigError: there is none.
    """
    if name not in NETWORKS:
        raise ConfigError(f"unknown model {name!r}; choose one of {', '.join(NETWORKS)}")
    return NETWORKS[name]


def settings_from(found: type, values: Mapping[str, object], place: str = "model.settings") -> Any:
    """A settings dataclass, nested ones included, from plain values.

    Args:
        found: the dataclass.
        values: values by field; missing ones keep their defaults.
        place: place of the settings, for error messages.

    Raises:
        ConfigError: an unknown field, or a value of another type.
    """
    hints = typing.get_type_hints(found)
    unknown = [name for name in values if name not in hints]
    if unknown:
        raise ConfigError(f"unknown key {place}.{unknown[0]}; choose one of {', '.join(hints)}")
    nested = {
        name: settings_from(hints[name], value, f"{place}.{name}")
        for name, value in values.items()
        if is_dataclass(hints[name]) and isinstance(value, Mapping)
    }
    plain = {
        key: fitting(value, hints[key], f"{place}.{key}")
        for key, value in values.items()
        if key not in nested
    }
    return found(**plain, **nested)


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
    chosen = settings_from(entry.settings, settings)
    try:
        return entry.network(chosen, seed)
    except (ArithmeticError, IndexError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(
            f"model.settings make no {name}: {reason}; are its widths and numbers positive?"
        ) from error
