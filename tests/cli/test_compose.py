"""Command lines to configurations: choices, values, classes, and one line for each mistake."""

from __future__ import annotations

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.config.compose import compose_config, parse_setting, require_complete, resolved


def test_an_environment_brings_its_proxy_reward_and_trainer() -> None:
    config = compose_config("train_gfn", ["env=hypergrid", "env.length=5"])
    assert config.proxy._target_.endswith("GridCorners")
    assert config.reward._target_.endswith("LogValue")
    assert resolved(config).proxy.length == 5
    assert (
        config.trainer.batch_size
        == compose_config("train_gfn", ["env=box", "trainer=quick"]).trainer.batch_size
    )
    assert OmegaConf.to_container(config.record) == {
        "command": ["env=hypergrid", "env.length=5"],
        "choices": dict(config.record.choices),
    }
    assert (config.record.choices.env, config.record.choices.proxy) == ("hypergrid", "grid_corners")


def test_the_command_line_has_the_last_word() -> None:
    config = compose_config(
        "train_gfn",
        ["experiment=hypergrid", "reward=boltzmann", "trainer=default", "reward.beta=3.0", "seed=7"],
    )
    assert config.env._target_.endswith("Hypergrid")
    assert config.reward._target_.endswith("Boltzmann")
    assert (config.reward.beta, config.seed) == (3.0, 7)


def test_values_keep_their_types() -> None:
    config = compose_config(
        "train_gfn",
        [
            "env=hypergrid",
            "trainer.learning_rate=1e-3",
            "trainer.ema=null",
            "quiet=true",
            "run.dir=a/b",
            "device='7'",
        ],
    )
    assert config.trainer.learning_rate == pytest.approx(1e-3) and isinstance(
        config.trainer.learning_rate, float
    )
    assert config.trainer.ema is None and config.quiet is True
    assert (config.run.dir, config.device) == ("a/b", "7")


@pytest.mark.parametrize(
    ("bare", "bracketed"),
    [
        ("Li,O", "[Li,O]"),
        ("1,2.5,true", "[1,2.5,true]"),
        ("'a,b',c", "['a,b',c]"),
        ("[1,2],[3,4]", "[[1,2],[3,4]]"),
    ],
)
def test_lists_need_no_brackets(bare: str, bracketed: str) -> None:
    one, other = (parse_setting(f"env.elements={text}") for text in (bare, bracketed))
    assert (one.key, one.value, one.added) == (other.key, other.value, other.added)
    assert isinstance(one.value, list) and len(one.value) > 1


def test_a_class_replaces_its_whole_section() -> None:
    given = [
        "env=hypergrid",
        "policy=mlp",
        "proxy.height=3",
        "proxy._target_=my_module.MyProxy",
        "policy.forward._target_=m.P",
    ]
    config = compose_config("train_gfn", given)
    assert OmegaConf.to_container(config.proxy) == {"_target_": "my_module.MyProxy", "height": 3}
    assert OmegaConf.to_container(config.policy.forward) == {"_target_": "m.P"}
    assert config.policy.backward._target_.endswith("MLPPolicy")
    assert config.record.choices.proxy == "MyProxy"


def test_a_folder_of_ones_own_adds_choices(tmp_path: Path) -> None:
    (tmp_path / "proxy").mkdir()
    (tmp_path / "proxy" / "mine.yaml").write_text("_target_: my_module.MyProxy\nheight: 2  # m\n")
    config = compose_config("train_gfn", ["env=hypergrid", "proxy=mine", "proxy.height=4"], [tmp_path])
    assert OmegaConf.to_container(config.proxy) == {"_target_": "my_module.MyProxy", "height": 4}
    with pytest.raises(ConfigError, match="mine"):
        compose_config("train_gfn", ["proxy=yours"], [tmp_path])
    with pytest.raises(ConfigError, match="not a folder"):
        compose_config("train_gfn", [], [tmp_path / "none"])


def test_a_section_within_a_choice_is_chosen_by_its_place(tmp_path: Path) -> None:
    (tmp_path / "proxy").mkdir()
    nested = (
        "defaults:\n  - /proxy@inner: grid_corners\n  - _self_\n_target_: my_module.Outer\nshift: 1  # eV\n"
    )
    (tmp_path / "proxy" / "outer.yaml").write_text(nested)
    given = ["env=hypergrid", "proxy=outer", "proxy.shift=2"]
    config = compose_config("train_gfn", given, [tmp_path])
    assert config.proxy.inner._target_.endswith("GridCorners") and config.proxy.shift == 2
    assert config.record.choices["proxy@proxy.inner"] == "grid_corners"
    # the order on the command line does not matter, the inner of an inner is there once the inner is chosen
    deeper = ["proxy.inner.inner.floor=0.5", "proxy.inner.inner=box_corners", "proxy/inner=outer", *given]
    config = compose_config("train_gfn", deeper, [tmp_path])
    assert config.proxy.inner._target_ == "my_module.Outer"
    assert config.proxy.inner.inner._target_.endswith("BoxCorners") and config.proxy.inner.inner.floor == 0.5
    assert config.record.choices["proxy@proxy.inner.inner"] == "box_corners"
    own = compose_config("train_gfn", [*given, "proxy.inner._target_=my_module.Inner"], [tmp_path])
    assert own.proxy.inner == {"_target_": "my_module.Inner"} and own.proxy.shift == 2
    assert (own.record.choices.proxy, own.record.choices["proxy@proxy.inner"]) == ("outer", "Inner")
    with pytest.raises(ConfigError, match=r"unknown proxy\.inner 'outre' \(did you mean outer\?\)"):
        compose_config("train_gfn", [*given, "proxy.inner=outre"], [tmp_path])
    with pytest.raises(ConfigError, match="unknown key"):
        compose_config("train_gfn", [*given, "proxy.inner.inner=outer"], [tmp_path])


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("env=hypergird", r"unknown env 'hypergird' \(did you mean hypergrid\?\); choose one of box, "),
        (
            "sede=3",
            r"unknown key 'sede' \(did you mean seed\?\); choose one of condition, dataset, device, env",
        ),
        ("trainer.batchsize=3", r"did you mean trainer\.batch_size\?"),
        ("trainer.schedule.kind.x=3", "unknown key"),
        ("trainer.replay=3", r"trainer\.replay\.capacity"),
        ("seed=range(1,3)", "one key=value"),
        ("env=box,hypergrid", "unknown env 'box,hypergrid'"),
        ("seed", "write key=value"),
        ("seed=[1", "write key=value"),
        ("~proxy", "one key=value"),
        ("generator=wyckoff", "unknown key 'generator'"),
        ("seed._target_=a.B", "not a section"),
    ],
)
def test_mistakes_are_told_in_one_line(given: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        compose_config("train_gfn", ["env=hypergrid", given] if not given.startswith("env=") else [given])
    assert "\n" not in str(caught.value)


def test_a_broken_file_of_ones_own_is_named_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "proxy").mkdir()
    (tmp_path / "proxy" / "mine.yaml").write_text("_target_: [unclosed\n  - a: b: c\n")
    with pytest.raises(ConfigError, match="cannot compose") as caught:
        compose_config("train_gfn", ["env=hypergrid", "proxy=mine"], [tmp_path])
    assert "\n" not in str(caught.value)


def test_what_must_be_given_is_named() -> None:
    with pytest.raises(ConfigError, match=r"^run must be given: add run=\.\.\.$"):
        require_complete(compose_config("sample", []))
    with pytest.raises(ConfigError, match=r"reward\.target, reward\.width"):
        resolved(compose_config("train_gfn", ["env=hypergrid", "reward=target"]))


def test_a_reference_to_nothing_is_named() -> None:
    with pytest.raises(ConfigError, match=r"proxy\.length"):
        resolved(compose_config("train_gfn", ["env=box", "proxy=grid_corners"]))


def test_keys_may_be_added_to_a_class_of_ones_own() -> None:
    setting = parse_setting("+proxy.depth=3")
    assert (setting.key, setting.value, setting.added) == ("proxy.depth", 3, True)
    assert compose_config("train_gfn", ["env=hypergrid", "+proxy.depth=3"]).proxy.depth == 3


@pytest.mark.parametrize(
    ("words", "placing"),
    [
        (["env=crystal"], "placing"),
        (["env=crystal_89", "proxy.batch_size=64"], "placing"),
        (["env=crystal", "reward=boltzmann"], None),
        (["env=crystal", "prior=null"], None),
        (["env=crystal", "proxy.placing=null"], None),
        # a user's own ensemble has no correction that fits it
        (["env=crystal", "proxy.weights=mine.safetensors"], None),
    ],
)
def test_the_reward_for_discovery_corrects_the_proxy_for_placed_atoms(
    words: list[str], placing: str | None
) -> None:
    assert compose_config("train_gfn", words).proxy.placing == placing


def test_an_experiment_decides_over_the_defaults_of_the_verb_and_words_over_it() -> None:
    found = compose_config("train_gfn", ["experiment=discovery"])
    assert (found.export.k, found.samples.n, found.trainer.iterations) == (1000, 50_000, 1000)
    again = compose_config("train_gfn", ["experiment=discovery", "export.k=7", "trainer.iterations=3"])
    assert (again.export.k, again.samples.n, again.trainer.iterations) == (7, 50_000, 3)


def test_a_config_of_ones_own_does_not_hide_behind_a_shipped_one(tmp_path: Path) -> None:
    (tmp_path / "proxy").mkdir()
    (tmp_path / "proxy" / "density.yaml").write_text("_target_: mine.Density")
    with pytest.raises(ConfigError, match=r"density.yaml has the name of a proxy of this package"):
        compose_config("train_gfn", ["proxy=density"], [tmp_path])


def test_a_config_of_ones_own_that_leaves_no_environment_is_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "env").mkdir()
    (tmp_path / "env" / "mine.yaml").write_text("# @package _global_\nother:\n  _target_: mine.Env\n")
    assert "env" not in compose_config("train_gfn", ["env=mine"], [tmp_path])


def test_a_configuration_belongs_to_its_caller_alone() -> None:
    words = ["env=hypergrid", "proxy=grid_corners"]
    first = compose_config("train_gfn", words)
    first.env.length, first.record.choices.env = 77, "other"
    again = compose_config("train_gfn", words)
    assert again.env.length != 77 and again.record.choices.env == "hypergrid"


def test_a_config_of_ones_own_is_read_each_time(tmp_path: Path) -> None:
    (tmp_path / "proxy").mkdir()
    file = tmp_path / "proxy" / "mine.yaml"
    for scale in (1, 2):
        file.write_text(f"_target_: mine.Own\nscale: {scale}\n")
        assert compose_config("train_gfn", ["env=hypergrid", "proxy=mine"], [tmp_path]).proxy.scale == scale
