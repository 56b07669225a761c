"""The section ``condition``: names of the user's own, goals that follow, weights that start a conditional run."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.config.compose import compose_config, resolved
from gflownet_crystal.config.conditions import condition_values, conditions_of
from gflownet_crystal.config.parts import build_parts
from gflownet_crystal.config.priors import stored_policy
from gflownet_crystal.config.request import Request
from gflownet_crystal.config.starting import starting_policy, with_policy
from gflownet_crystal.gflownet.rollout import sample_forward


def test_names_are_the_users_own_in_this_section_alone() -> None:
    config = compose_config("train_gfn", ["condition.beta=[4,32]", "condition.band_gap=[0,4]"])
    found = conditions_of(config)
    assert found is not None and found.ranges == {"beta": (4.0, 32.0), "band_gap": (0.0, 4.0)}
    assert conditions_of(compose_config("train_gfn", [])) is None
    assert condition_values(
        Request(compose_config("sample", ["run=r", "condition.beta=5", "out=o.csv"]))
    ) == {"beta": 5}
    with pytest.raises(ConfigError, match="unknown key"):
        compose_config("train_gfn", ["conditions.beta=[4,32]"])
    with pytest.raises(ConfigError, match="unknown key"):
        compose_config("relax", ["structures=s", "condition.beta=5"])
    with pytest.raises(ConfigError, match="section"):
        condition_values(Request(compose_config("sample", ["run=r", "condition=5", "out=o.csv"])))


@pytest.mark.parametrize(
    ("words", "target", "width"),
    [
        (["condition.band_gap=[0,4]"], 2.0, 0.12),
        (["condition.band_gap=[1,4]", "reward.band_gap.width=0.5"], 2.5, 0.5),
        (["condition.band_gap=[0,4]", "reward.band_gap.target=1"], 1, None),
        (["condition.band_gap=[0,4]", "reward.band_gap.window=[1,2]"], None, None),
        (["condition.band_gap=4"], None, None),
        (["condition.beta=[4,32]"], None, None),
    ],
)
def test_a_property_that_is_a_condition_gets_a_goal(
    words: list[str], target: float | None, width: float | None
) -> None:
    term = compose_config("train_gfn", ["proxy=[mlp,band_gap]", *words]).reward.band_gap
    assert term.target == target and term.width == width


def test_so_does_the_reward_of_a_target() -> None:
    words = ["proxy=band_gap", "reward=target"]
    reward = resolved(compose_config("train_gfn", [*words, "condition.target=[0,4]"])).reward
    assert reward.target == 2.0 and reward.width == 0.12 and reward.reach == 2.0
    with pytest.raises(ConfigError, match=r"reward\.target"):
        resolved(compose_config("train_gfn", words))


def test_a_training_with_conditions_starts_as_the_prior_whatever_the_condition(tmp_path: Path) -> None:
    config = resolved(compose_config("train_gfn", ["proxy=mlp", "condition.beta=[4,32]", "quiet=true"]))
    stored = starting_policy(config)
    assert stored is not None
    parts = build_parts(with_policy(config, stored))
    stored.start(parts.model)
    prior = stored_policy("prior").model(parts.env, parts.device)
    paths = sample_forward(parts.model, 4, torch.Generator().manual_seed(0))
    for index, part in enumerate(paths.stages):
        context = paths.terminal.before(index)[part.row]
        with torch.no_grad():
            own = parts.model.forward_parameters(index, part.parent, context)
            assert torch.allclose(
                own, prior.forward_parameters(index, part.parent, context), rtol=1e-4, atol=1e-5
            )
