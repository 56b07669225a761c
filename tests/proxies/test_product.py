"""The reward of several properties: its closed form, constraints, and what it refuses."""

from __future__ import annotations

import math

import pytest
import torch

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.proxies import Boltzmann, Reward, Target
from gflownet_crystal.proxies.discovery import Discovery
from gflownet_crystal.proxies.limits import Limits
from gflownet_crystal.proxies.novelty import Novelty
from gflownet_crystal.proxies.product import Product, discovery_of
from gflownet_crystal.proxies.several import SeveralProxies
from gflownet_crystal.proxies.spec_property import PropertyProxy
from gflownet_crystal.proxies.term import Term
from tests.proxies.objectives import AboveHull, Given, specs

GAPS, ABOVE = [0.0, 1.4, 1.5, 3.0], [0.1, 0.0, 0.3, 0.02]
SEVERAL = SeveralProxies(hull=AboveHull(ABOVE, std=0.05), gap=Given(GAPS, std=0.1))


def test_the_log_reward_is_the_sum_of_the_weighted_terms() -> None:
    value, std = torch.tensor(GAPS).double(), torch.full((4,), 0.1).double()
    for term, alone in (
        ({"window": [1.2, 1.6]}, Limits(1.2, 1.6, width=0.1)),
        ({"above": 2.0, "caution": 0.5}, Limits(2.0, None, width=0.2, caution=0.5)),
        ({"below": 2.0, "width": 0.3}, Limits(None, 2.0, width=0.3)),
        ({"maximise": 3.0}, Boltzmann(-3.0, caution=1.0)),
        ({"minimise": 3.0, "caution": 0.0}, Boltzmann(3.0)),
        ({"target": 1.5}, Target(1.5, 0.15, reach=2.0)),
        ({"target": 1.5, "caution": 1.0}, Target(1.5, 0.15, caution=1.0, reach=2.0)),
    ):
        for weight in (1.0, 2.5):
            found = Reward(SEVERAL, Product(gap=term | {"weight": weight}))(specs()).log_reward
            assert found.tolist() == pytest.approx((weight * alone(value, std)).tolist())


def test_stability_is_the_reward_for_discovery_of_the_main_proxy() -> None:
    stability = Discovery(beta=7.0, novelty=Novelty(formula_cost=2.0))
    term = Term(window=(1.2, 1.6))
    both = Reward(SEVERAL, Product(stability=stability, gap=term))
    alone = Reward(SEVERAL.proxies["hull"], Discovery(beta=7.0, novelty=Novelty(formula_cost=2.0)))
    only_gap = Reward(SEVERAL, Product(gap=term))
    expected = alone(specs()).log_reward + only_gap(specs()).log_reward
    assert both(specs()).log_reward.tolist() == pytest.approx(expected.tolist())
    # the history of the stability is that of the product
    assert both.history is stability.history and both.history is not None
    both.history.remember(specs()[:1])
    cost = both(specs()).log_reward - both.in_training(specs()).log_reward
    assert float(cost[0]) > 0.0 and cost[1:].tolist() == [0.0, 0.0, 0.0]
    assert discovery_of(both.function) is stability and discovery_of(only_gap.function) is None


def test_a_hard_limit_takes_the_penalty_outside_and_nothing_inside() -> None:
    terms = {"gap": {"window": [1.2, 1.6], "hard": True}, "hull": {"minimise": 1.0, "caution": 0.0}}
    scored = Reward(SEVERAL, Product(**terms), penalty=-50.0)(specs())
    assert scored.log_reward.tolist() == pytest.approx([-50.0, -0.0, -0.3, -50.0])
    # an excluded object is no invalid one, and no better than the others say
    assert scored.n_invalid == 0
    worse = Reward(SEVERAL, Product(gap=terms["gap"], hull={"minimise": 1000.0}), penalty=-50.0)
    assert worse(specs()).log_reward.tolist()[0] == pytest.approx(-1000.0 * 0.15)


def test_the_columns_say_what_each_term_gives_and_whether_limits_hold() -> None:
    stability = Discovery(beta=7.0, novelty=Novelty(formula_cost=0.0))
    product = Product(stability=stability, gap=Term(window=(1.2, 1.6)))
    reward = Reward(SEVERAL, product)
    scored = reward(specs())
    columns = product.scored_columns(specs(), scored.prediction)
    parts = columns["log_reward_stability"] + columns["log_reward_gap"]
    assert parts.tolist() == pytest.approx(scored.log_reward.tolist())
    assert columns["within_limits"].tolist() == [False, True, True, False]
    assert columns["e_above_hull"].tolist() == ABOVE
    assert columns["known_formula"].tolist() == [True, False, False, False]
    words = product.describe()
    assert "gap: from 1.2 to 1.6 eV, width 0.1 eV" in words and "stability: reward discovery" in words


def test_defaults_are_left_out_as_a_section_without_goals() -> None:
    product = Product(gap={"window": [1.0, 2.0]}, hull=dict.fromkeys(("above", "window", "width")))
    assert list(product.terms) == ["gap"]
    earlier = dict.fromkeys(("above", "window", "width")) | {"caution": 1.0}
    assert list(Product(gap={"window": [1.0, 2.0]}, hull=earlier).terms) == ["gap"]


@pytest.mark.parametrize(
    ("terms", "words"),
    [
        ({"gap": {"window": [1.6, 1.2]}}, r"reward\.gap\.window must be two numbers"),
        ({"gap": {"window": [1.6, 1.6]}}, r"reward\.gap\.window must be two numbers"),
        ({"gap": {"window": [1.2]}}, r"reward\.gap\.window must be two numbers"),
        ({"gap": {"window": [1.2, math.nan]}}, r"reward\.gap\.window"),
        ({"gap": {"window": "wide"}}, r"reward\.gap\.window"),
        ({"gap": {"above": 1.0, "below": 2.0}}, r"gap\.above and reward\.gap\.below are both goals"),
        ({"gap": {"width": 1.0}}, "has no goal; give one of maximise"),
        ({"gap": {"windw": [1, 2]}}, r"no key 'windw' \(did you mean window\?\)"),
        ({"gap": {"maximise": -1.0}}, "maximise must be above 0"),
        ({"gap": {"maximise": 0.0}}, "maximise must be above 0"),
        ({"gap": {"maximise": 1.0, "hard": True}}, "hard applies to limits only"),
        ({"gap": {"maximise": 1.0, "width": 1.0}}, "width has no effect with maximise"),
        ({"gap": {"above": 1.0, "width": 1.0, "hard": True}}, "width has no effect on a hard limit"),
        ({"gap": {"above": 0.0}}, "width must be given"),
        ({"gap": {"target": 0.0}}, "width must be given"),
        ({"gap": {"above": 1.0, "weight": 0.0}}, "weight must be above 0"),
        ({"gap": {"above": 1.0, "caution": -1.0}}, "caution must be at least 0"),
        ({"gap": 1.5}, r"reward\.gap must be a section"),
        ({"hardness": {"above": 250}}, "no proxy predicts hardness; choose one of hull, gap"),
        ({}, "has no term"),
        ({"stability": "discovery", "gap": {"above": 1.0}}, "stability must be a reward"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_a_line(terms: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        Reward(SEVERAL, Product(**terms))
    assert "\n" not in str(caught.value)


def test_stability_needs_an_energy_and_a_product_several_proxies() -> None:
    term = Term(window=(1.2, 1.6))
    with pytest.raises(ConfigError, match=r"reward.stability needs a proxy of energies.*stability=null"):
        Reward(SeveralProxies(gap=Given(GAPS)), Product(stability=Discovery(), gap=term))
    with pytest.raises(ConfigError, match=r"takes several proxies, as proxy=\[mlp,band_gap\]"):
        Reward(Given(GAPS), Product(gap=term))


def test_a_limit_below_all_values_of_a_property_is_refused() -> None:
    several = SeveralProxies(band_gap=PropertyProxy("band_gap"))
    with pytest.raises(ConfigError, match="the least band_gap is 0 eV"):
        Reward(several, Product(band_gap=Term(window=(-2.0, -1.0))))
    Reward(several, Product(band_gap=Term(window=(-0.1, 0.1))))
