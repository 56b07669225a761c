"""Keys that verbs have in common: one check for each name, and a base of the settings of verbs."""

from __future__ import annotations

import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import ClassVar

from gflownet_crystal.common.bounds import Count, NonNegative, ShareBelowOne, Whole
from gflownet_crystal.common.values import (
    at_least,
    check_fields,
    flag,
    one_of,
    optional,
    path_setting,
    paths_setting,
    seed_number,
    share_below,
    thread_count,
)
from gflownet_crystal.structures.cif_reading import FORMULA_CHECKS

Checks = Mapping[str, Callable[[object, str], object]]
"""Checks by key, which take the value and the key."""

COMMON: Checks = {
    **dict.fromkeys(("batch_size", "tries", "k"), at_least(1)),
    "formula_check": one_of(FORMULA_CHECKS),
    "processes": thread_count,
    "seed": seed_number,
    "threads": optional(thread_count),
}
"""Check of each key that several verbs have, by its name."""

BY_TYPE: Mapping[object, Callable[[object, str], object]] = {
    bool: flag,
    Path: path_setting,
    Path | None: optional(path_setting),
    tuple[Path, ...]: paths_setting,
    tuple[Path, ...] | None: optional(paths_setting),
    Whole: at_least(0),
    Count: at_least(1),
    Count | None: optional(at_least(1)),
    ShareBelowOne: share_below(1.0),
    NonNegative: share_below(float("inf")),
}
"""Check of each other key by its annotation."""


@dataclass(frozen=True, kw_only=True)
class VerbSettings:
    """Settings of a verb, checked when they are made: by ``checks``, by common names, or by type.

    A subclass whose keys depend on each other checks that in its own ``__post_init__``.
    """

    place: ClassVar[str] = ""
    """Section that the keys stand in, for messages; none if empty."""
    checks: ClassVar[Checks] = {}
    """Checks of keys by name, of the class itself and in the place of common ones."""

    def __post_init__(self) -> None:
        hints = typing.get_type_hints(type(self), include_extras=True)
        typed = {one.name: BY_TYPE[hints[one.name]] for one in fields(self) if hints[one.name] in BY_TYPE}
        common = {one.name: COMMON[one.name] for one in fields(self) if one.name in COMMON}
        check_fields(self, self.place, **{**typed, **common, **self.checks})


@dataclass(frozen=True, kw_only=True)
class DeviceSettings(VerbSettings):
    """Settings of a verb that computes with networks.

    Attributes:
        device: name of the device, or ``auto``.
        threads: number of CPU threads; None for PyTorch's choice.
        quiet: whether to show no progress.
    """

    device: str = "auto"
    threads: int | None = None
    quiet: bool = False
