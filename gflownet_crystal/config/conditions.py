"""The section ``condition``: settings that a training has a range of, and their values where it is sampled."""

from __future__ import annotations

from omegaconf import DictConfig

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.config.build import plain_section
from gflownet_crystal.config.request import Request
from gflownet_crystal.gflownet.conditions import KEY, Conditions, checked_range


def conditions_of(config: DictConfig) -> Conditions | None:
    """The conditions of a training; None where its configuration names none.

    Raises:
        ConfigError: the section holds something else than ranges by name.
    """
    # runs of earlier versions have no such section
    section = plain_section(config[KEY], KEY) if KEY in config else {}
    ranges = {name: checked_range(name, both) for name, both in section.items()}
    return Conditions(ranges) if ranges else None


def condition_values(request: Request) -> dict[str, float]:
    """Values at which a verb that samples holds conditions; the run knows their ranges.

    Raises:
        ConfigError: the section holds something else than numbers by name.
    """
    found: dict[str, float] = {}
    for name, value in request.section(KEY).items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ConfigError(f"{KEY}.{name} must be a number, as {KEY}.{name}=1.5, not {value!r}")
        found[name] = value
    return found
