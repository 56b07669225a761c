"""A list of proxies on the command line: sections, terms, names, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.config.compose import compose_config, resolved
from gflownet_crystal.proxies.product import Product
from gflownet_crystal.proxies.several import SeveralProxies
from gflownet_crystal.proxies.term import Term


def test_each_proxy_has_a_section_and_a_term_in_the_order_of_the_list() -> None:
    config = compose_config("train_gfn", ["proxy=[mlp,band_gap,own.Density,my-k.safetensors]"])
    several = f"{SeveralProxies.__module__}.SeveralProxies"
    assert list(config.proxy) == ["_target_", "mlp", "band_gap", "Density", "my_k"]
    assert config.proxy._target_ == several and config.proxy.Density == {"_target_": "own.Density"}
    assert config.proxy.my_k.weights == "my-k.safetensors" and config.proxy.band_gap.weights == "band_gap"
    assert config.record.choices.proxy == "mlp_band_gap_Density_my_k"
    # without a reward of one's own it is the product, with the defaults of each term
    assert config.reward._target_ == f"{Product.__module__}.Product"
    for name in ("mlp", "band_gap", "Density", "my_k"):
        assert Term(**OmegaConf.to_container(config.reward[name])) == Term()


def test_keys_reach_the_sections_and_a_choice_within_one_too() -> None:
    words = ["proxy=e_above_hull,band_gap", "reward.band_gap.window=[1.2,1.6]", "proxy.e_above_hull.energy=mlp_paper",
             "reward.stability.novelty.formula_cost=1.0"]  # fmt: skip
    config = resolved(compose_config("train_gfn", words))
    assert config.reward.band_gap.window == [1.2, 1.6] and config.reward.stability.novelty.formula_cost == 1.0
    assert config.proxy.e_above_hull.energy._target_.endswith("PaperMLPProxy")
    own = compose_config("train_gfn", ["proxy=[mlp,own.Density]", "proxy.Density.scale=2"])
    assert own.proxy.Density.scale == 2


def test_stability_is_the_default_of_discovery_without_the_keys_of_the_whole() -> None:
    product = resolved(compose_config("train_gfn", ["proxy=[mlp,band_gap]"])).reward.stability
    alone = resolved(compose_config("train_gfn", [])).reward
    assert product == {key: value for key, value in alone.items() if key not in ("invalid", "penalty")}
    assert (
        compose_config("train_gfn", ["proxy=[mlp,band_gap]", "reward.stability=null"]).reward.stability
        is None
    )
    other = compose_config(
        "train_gfn", ["proxy=[mlp,band_gap]", "reward.stability=boltzmann"]
    ).reward.stability
    assert other._target_.endswith("Boltzmann") and "invalid" not in other


@pytest.mark.parametrize(
    ("words", "placing"),
    [
        (["proxy=[mlp,band_gap]"], "placing"),
        (["proxy=[band_gap,mlp]", "proxy.mlp.batch_size=64"], "placing"),
        (["proxy=[mlp,band_gap]", "reward.stability=boltzmann"], None),
        (["proxy=[mlp,band_gap]", "proxy.mlp.placing=null"], None),
        (["proxy=[mlp,band_gap]", "proxy.mlp.weights=mine.safetensors"], None),
        (["proxy=[mlp,band_gap]", "prior=null", "reward=product"], "placing"),
    ],
)
def test_the_proxy_that_discovery_judges_is_corrected_for_placed_atoms(
    words: list[str], placing: str | None
) -> None:
    assert compose_config("train_gfn", words).proxy.mlp.placing == placing


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["proxy=[mlp,band]"], r"unknown proxy 'band' \(did you mean band_gap\?\); choose one of alignn, .*my_module"),
        (["proxy=[mlp,3]"], "unknown proxy '3'"),
        (["proxy=[mlp,[band_gap]]"], "unknown proxy"),
        (["proxy=[mlp,several]"], "unknown proxy 'several'"),
        (["proxy=[mlp,mlp]"], "names mlp twice"),
        (["proxy=[]"], "empty list"),
        (["proxy=[mlp,a.b.3]"], "gives no name for a key"),
        (["proxy=[mlp,band_gap]", "reward.gap.above=1"], r"unknown key 'reward.gap'.*reward.band_gap"),
        (["proxy=[mlp,band_gap]", "reward.band_gap=1"], "reward.band_gap is a section"),
        (["proxy=[mlp,band_gap]", "reward.band_gap.windw=1"], "did you mean reward.band_gap.window"),
        (["proxy=mlp", "reward.bulk_modulus.above=250"], "unknown key 'reward.bulk_modulus'"),
    ],
)  # fmt: skip
def test_a_wrong_list_or_term_is_told_in_a_line_with_the_choices(words: list[str], expected: str) -> None:
    with pytest.raises(ConfigError, match=expected) as caught:
        compose_config("train_gfn", words)
    assert "\n" not in str(caught.value)


def test_configs_of_the_users_own_are_entries_too(tmp_path: Path) -> None:
    (tmp_path / "proxy").mkdir()
    own = tmp_path / "proxy" / "mine.yaml"
    own.write_text("_target_: my_module.Mine\nheight: 2\n")
    config = compose_config("train_gfn", ["proxy=[mlp,mine]", "reward.mine.above=3"], [tmp_path])
    assert config.proxy.mine == {"_target_": "my_module.Mine", "height": 2} and config.reward.mine.above == 3
    own.write_text("_target_: [unclosed\n")
    with pytest.raises(ConfigError, match=r"mine\.yaml"):
        compose_config("train_gfn", ["proxy=[mlp,mine]"], [tmp_path])


def test_a_verb_of_one_proxy_refuses_a_list() -> None:
    with pytest.raises(ConfigError, match=r"proxy=\[mlp,band_gap\] lists proxies, but this verb takes one"):
        compose_config("evaluate_proxy", ["proxy=[mlp,band_gap]"])
