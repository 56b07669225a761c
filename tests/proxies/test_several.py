"""Several proxies as one: the main one, what is joined, and names."""

from __future__ import annotations

import math

import pytest
import torch

from gflownet_crystal.common.errors import ConfigError, ProxyError
from gflownet_crystal.proxies import Boltzmann, Proxy, Reward
from gflownet_crystal.proxies.product import Product
from gflownet_crystal.proxies.several import SeveralProxies, main_proxy
from gflownet_crystal.proxies.toy import GridCorners
from tests.proxies.objectives import AboveHull, Given, specs

GAPS = [0.0, 1.4, 1.5, 3.0]


def test_the_main_proxy_is_the_energy_wherever_it_stands() -> None:
    energy = AboveHull([0.1, 0.2, 0.3, 0.4], std=0.05)
    several = SeveralProxies(gap=Given(GAPS), energy_model=energy)
    assert main_proxy(several) is energy
    assert (several.property_name, several.unit) == ("e_above_hull", "eV/atom")
    made = several(specs())
    assert made.value.tolist() == [0.1, 0.2, 0.3, 0.4] and made.std.tolist() == pytest.approx([0.05] * 4)
    assert made.parts["gap"].value.tolist() == GAPS
    alone = SeveralProxies(gap=Given(GAPS), hardness=Given(GAPS))
    assert alone.main == "gap" and main_proxy(energy) is energy


def test_one_invalid_value_makes_the_object_invalid_and_names_its_proxy() -> None:
    gaps = [0.0, 1.0, math.nan, math.nan]
    several = SeveralProxies(hull=AboveHull([0.0] * 4), gap=Given(gaps))
    assert several(specs()).valid.tolist() == [True, True, False, False]
    terms = {"gap": {"window": [1.2, 1.6]}}
    with pytest.raises(ProxyError, match=r"proxy gap gave nan.*2 of 4 objects, first at row 2: .*Li"):
        Reward(several, Product(**terms))(specs())
    scored = Reward(several, Product(**terms), invalid="penalise", penalty=-70.0)(specs())
    assert scored.n_invalid == 2 and scored.log_reward.tolist()[2:] == [-70.0, -70.0]


def test_penalties_are_counted_of_any_proxy() -> None:
    class Penalised(Given):
        def __call__(self, batch: object) -> object:
            made = super().__call__(batch)
            return type(made)(made.value, made.std, made.valid, torch.tensor([True, False, False, False]))

    reward = Reward(
        SeveralProxies(hull=AboveHull([0.0] * 4), gap=Penalised(GAPS)), Product(gap={"maximise": 1.0})
    )
    assert reward(specs()).n_invalid == 1


def test_a_reward_of_one_property_refuses_several() -> None:
    with pytest.raises(ConfigError, match=r"takes one property.*proxy=\[hull,gap\].*reward=product"):
        Reward(SeveralProxies(hull=AboveHull([0.0]), gap=Given([1.0])), Boltzmann(1.0))


def test_proxies_of_different_objects_names_of_columns_and_no_proxies_are_refused() -> None:
    for proxies, words in (
        ({"gap": Given(GAPS), "grid": GridCorners(8)}, "expects"),
        ({"energy": Given(GAPS)}, "called energy"),
        ({"stability": Given(GAPS)}, "called stability"),
        ({"gap": "band_gap"}, "must be a proxy"),
        ({}, "as a list"),
    ):
        with pytest.raises(ConfigError, match=words):
            SeveralProxies(**proxies)


def test_all_proxies_move_to_a_device() -> None:
    moved: list[str] = []

    class Moving(Given):
        def to(self, device: torch.device | str) -> Proxy:
            moved.append(str(device))
            return self

    SeveralProxies(one=Moving(GAPS), two=Moving(GAPS)).to("cpu")
    assert moved == ["cpu", "cpu"]
