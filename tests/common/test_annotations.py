"""Values of configurations as their annotations have them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

import pytest
import torch

from gflownet_crystal.common.annotations import CheckedFields, fitting
from gflownet_crystal.common.arguments import prepared
from gflownet_crystal.common.bounds import Bounds, Count, InnerShare, Several
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.training.samplers.settings import TrainerSettings


@pytest.mark.parametrize("value", [10**20, -(10**20), 2**63])
def test_whole_numbers_beyond_64_bits_are_floats_where_floats_are_asked_for(value: int) -> None:
    found = fitting(value, float, "key")
    assert isinstance(found, float) and found == float(value)
    # a tensor takes the float, where it does not take each of these whole numbers
    assert float((torch.zeros(1, dtype=torch.float64) + found)[0]) == float(value)


@pytest.mark.parametrize("value", [10**400, float("nan"), float("inf"), [1.0, float("nan")]])
def test_numbers_that_no_float_holds_are_refused(value: Any) -> None:
    with pytest.raises(ConfigError, match="finite"):
        fitting(value, list[float] if isinstance(value, list) else float, "key")


@pytest.mark.parametrize("value", [None, 3, "cosine", [1], True])
def test_a_section_that_holds_no_keys_is_refused_by_name(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"trainer\.schedule must be ScheduleSettings"):
        TrainerSettings(schedule=value)


@dataclass(frozen=True)
class Ranges(CheckedFields):
    place = "ranges"

    count: Count = 1
    share: InnerShare | None = None
    rounds: list[Several] = field(default_factory=lambda: [2])
    high: Annotated[float, Bounds(above=0, most=1)] = 1.0


@pytest.mark.parametrize(
    "given", [{"count": 3.0}, {"share": 0.5}, {"rounds": []}, {"rounds": [2, 7]}, {"high": 1e-9}]
)
def test_numbers_within_their_ranges_pass(given: dict[str, Any]) -> None:
    made = Ranges(**given)
    assert all(getattr(made, name) == value for name, value in given.items()) and type(made.count) is int


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"count": 0}, "ranges.count must be at least 1, not 0"),
        ({"share": 1.0}, "ranges.share must be above 0 and below 1, not 1.0"),
        ({"share": 0}, "ranges.share must be above 0 and below 1, not 0"),
        ({"rounds": [3, 1]}, "ranges.rounds must be at least 2, not 1"),
        ({"high": 0.0}, "ranges.high must be above 0 and at most 1, not 0.0"),
        ({"high": 1.5}, "ranges.high must be above 0 and at most 1, not 1.5"),
        ({"high": float("nan")}, "ranges.high must be float, and finite, not nan"),
    ],
)
def test_numbers_outside_their_ranges_are_refused_by_name(given: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError) as error:
        Ranges(**given)
    assert str(error.value) == told


class Parent:
    def __init__(self, share: float = 0.5) -> None:
        self.share = share


class Child(Parent):
    def __init__(self, members: int = 2, **settings: Any) -> None:
        super().__init__(**settings)
        self.members = members


def test_arguments_that_a_class_hands_to_its_base_are_checked_as_those_of_the_base() -> None:
    assert prepared(Child, {"members": 3.0, "share": 1}, "part")().share == 1
    with pytest.raises(ConfigError, match=r"part\.share must be float"):
        prepared(Child, {"share": "much"}, "part")
