"""The section ``restrict`` of ``sample`` and ``pipeline``: the part of a sampler's space to sample, and how."""

from __future__ import annotations

from collections.abc import Mapping

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.common.values import whole_number
from gflownet_crystal.workflows.sampling.conditioning import METHODS, Conditioning

_SETTINGS = ("exact", "attempts", "trajectories", "resample")
_OF_ANY_KIND = ("formula", "sites", "anion")
"""Restrictions that need not be lists; the environment checks them."""


def conditioning_of(section: Mapping[str, object]) -> Conditioning | None:
    """Conditioning of samples on a restriction; None where they are drawn by the sampler under tighter masks.

    Raises:
        ConfigError: a value that makes no sense.
    """
    exact = section["exact"]
    attempts = whole_number(section["attempts"], "restrict.attempts", 1)
    trajectories = whole_number(section["trajectories"], "restrict.trajectories", 1, 10_000)
    factor = section["resample"]
    if factor is not None:
        factor = whole_number(factor, "restrict.resample", 1, 10_000)
    if exact is False:
        return None
    if not isinstance(exact, bool | str) or exact not in METHODS:
        raise ConfigError(f"restrict.exact must be true, false, rejection or weights, not {exact!r}")
    return Conditioning(METHODS[exact], attempts, trajectories, factor)


def restrictions(section: Mapping[str, object]) -> dict[str, object]:
    """The restrictions that the section ``restrict`` gives.

    Raises:
        ConfigError: one of them is not a list where it has to be one.
    """
    given: dict[str, object] = {}
    for name, value in section.items():
        if value is None or name in _SETTINGS:
            continue
        if name not in _OF_ANY_KIND and not isinstance(value, list):
            raise ConfigError(f"restrict.{name} must be a list, as restrict.{name}=[...], not {value!r}")
        given[name] = value
    return given
