"""Classes from configurations: contracts, trust, and arguments checked before any call."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from omegaconf import OmegaConf

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.common.values import whole_number
from gflownet_crystal.config.build import Trust, build, factory, load_class, to_settings, trust_word
from gflownet_crystal.envs.base import Env
from gflownet_crystal.envs.hypergrid import Hypergrid
from gflownet_crystal.evaluation.matching import Tolerances
from gflownet_crystal.models.langevin.model import NoiseLevels
from gflownet_crystal.models.sites.settings import SiteSettings
from gflownet_crystal.policies.base import MixtureSettings, Policy
from gflownet_crystal.proxies.base import Proxy
from gflownet_crystal.proxies.toy import GridCorners
from gflownet_crystal.relaxation.settings import RelaxationSettings
from gflownet_crystal.training.energies.denoising_task import DenoisingSettings
from gflownet_crystal.training.generators.assignment_task import AssignmentSettings, RankerSettings
from gflownet_crystal.training.generators.gemsdiff_task import DiffusionSettings
from gflownet_crystal.training.generators.langevin_task import LangevinTaskSettings
from gflownet_crystal.training.generators.site_task import SiteTaskSettings
from gflownet_crystal.training.proxies.mlp_training import TrainingSettings
from gflownet_crystal.training.samplers.settings import LocalSearchSettings, ReplaySettings, TrainerSettings
from gflownet_crystal.training.schedule import ScheduleSettings
from gflownet_crystal.training.settings import LoopSettings
from gflownet_crystal.workflows.settings.screening import Screening

GRID = "gflownet_crystal.envs.hypergrid.Hypergrid"


def test_a_section_becomes_its_object() -> None:
    env = build(OmegaConf.create({"_target_": GRID, "n_dimensions": 3, "length": 4}), Env, "env")
    assert isinstance(env, Hypergrid)
    assert len(env.cells()) == 4**3


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("gflownet_crystal.proxies.toy.GridCorners", "not a subclass"),
        ("gflownet_crystal.envs.hypergrid.Hypergird", "does not exist"),
        ("no_such_module.Env", "no_such_module"),
        ("Hypergrid", "dotted path"),
        ("os.system", "not a subclass"),
        ("gflownet_crystal.common.files.os.system", "gflownet_crystal.common.files"),
        (None, "dotted path"),
    ],
)
def test_only_subclasses_of_the_contract_are_built(target: object, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        load_class(target, Env, "env")


def test_a_foreign_module_is_not_even_imported_without_trust(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = tmp_path / "imported"
    (tmp_path / "foreign_module.py").write_text(f"open({str(mark)!r}, 'w').close()\nclass A: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    for trust in (Trust(), Trust(targets=frozenset({"foreign_module.B"}))):
        with pytest.raises(ConfigError, match="trust=true"):
            load_class("foreign_module.A", object, "proxy", trust)
    assert not mark.exists()
    assert load_class("foreign_module.A", object, "proxy", Trust(targets=frozenset({"foreign_module.A"})))
    assert mark.exists()


def test_nested_sections_are_held_to_the_same_trust() -> None:
    config = OmegaConf.create({"_target_": f"{__name__}.Nested", "inner": {"_target_": "os.path"}})
    with pytest.raises(ConfigError, match=r"proxy\.inner"):
        build(config, Proxy, "proxy", Trust(targets=frozenset({f"{__name__}.Nested"})))


class Nested(GridCorners):
    """A proxy of several kinds of argument."""

    def __init__(
        self,
        inner: object = None,
        counts: Sequence[int] = (),
        names: Mapping[str, int] | None = None,
        depth: int = 1,
        scale: float | None = None,
        label: str | Sequence[str] = "",
    ) -> None:
        super().__init__(4)
        self.inner, self.scale = inner, scale
        self.depth, self.counts, self.names = depth, counts, names


def section(**settings: object) -> object:
    return OmegaConf.create({"_target_": f"{__name__}.Nested", **settings})


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"lenght": 3}, "Nested takes no lenght; it takes inner, counts, names, depth, scale, label"),
        ({"depth": "three"}, "proxy.depth must be int, not 'three'"),
        ({"depth": True}, "proxy.depth must be int, not True"),
        ({"depth": 1.5}, "proxy.depth must be int, not 1.5"),
        ({"scale": "wide"}, "proxy.scale must be float or null"),
        ({"counts": 3}, "proxy.counts must be a list of int, not 3"),
        ({"counts": [1, "x"]}, "proxy.counts must be a list of int"),
        ({"names": [1]}, "proxy.names must be a mapping or null"),
        ({"scale": math.nan}, "proxy.scale must be float or null, and finite, not nan"),
        ({"scale": math.inf}, "proxy.scale must be float or null, and finite, not inf"),
        ({"depth": 10**20}, "proxy.depth must be int, and at most 9223372036854775807"),
        ({"depth": 1e300}, "proxy.depth must be int, and at most"),
    ],
)
def test_wrong_arguments_are_told_before_the_call(settings: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        build(section(**settings), Proxy, "proxy")


@pytest.mark.parametrize(
    "settings",
    [
        {"depth": 2},
        {"scale": 1},
        {"scale": None},
        {"counts": [1, 2]},
        {"names": {"a": 1}},
        {"label": "x"},
        {"label": ["x"]},
        {"depth": 1e3},
        {"counts": [1.0, 2]},
        {"names": {"a": 1.0}},
    ],
)
def test_right_arguments_pass(settings: dict[str, object]) -> None:
    assert isinstance(build(section(**settings), Proxy, "proxy"), Nested)


def test_whole_floats_become_whole_numbers_wherever_those_are_asked_for() -> None:
    made = build(section(depth=1e3, counts=[1e1, 2], names={"a": 2.0}, scale=3), Proxy, "proxy")
    assert isinstance(made, Nested)
    for value, expected in ((made.depth, 1000), (made.counts, [10, 2]), (made.names, {"a": 2})):
        assert value == expected and "." not in str(value)
    settings = to_settings(TrainerSettings, OmegaConf.create({"iterations": 1e3}), "trainer")
    assert type(settings.iterations) is int and settings.iterations == 1000
    assert whole_number(1e3, "n", 1) == 1000 and type(whole_number(1e3, "n", 1)) is int


@pytest.mark.parametrize("value", [1.5, math.nan, math.inf, True, "3", None, 10**20, 0])
def test_other_numbers_are_not_whole(value: object) -> None:
    with pytest.raises(ConfigError, match="n must be a whole number"):
        whole_number(value, "n", 1)


NUMBERS = [
    (settings, field.name)
    for settings in (
        AssignmentSettings, DenoisingSettings, DiffusionSettings, LangevinTaskSettings,
        LocalSearchSettings, LoopSettings, MixtureSettings, NoiseLevels, RankerSettings, RelaxationSettings,
        ReplaySettings, ScheduleSettings, Screening, SiteSettings, SiteTaskSettings, Tolerances, TrainerSettings,
        TrainingSettings,
    )
    for field in fields(settings)
    if any(kind in str(get_type_hints(settings)[field.name]) for kind in ("int", "float"))
]  # fmt: skip


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(("settings", "name"), NUMBERS)
def test_no_number_of_any_settings_is_infinite_or_nan(settings: type, name: str, value: float) -> None:
    """In Python, where no configuration is checked before."""
    with pytest.raises(ConfigError):
        settings(**{name: value})


def test_lists_of_a_configuration_reach_settings_as_lists() -> None:
    @dataclass(frozen=True)
    class Settings:
        ends: list[float]
        table: Any = None

    made = to_settings(Settings, OmegaConf.create({"ends": [1, 2], "table": {"Na": [1]}}), "some")
    assert type(made.ends) is list and type(made.table) is dict and type(made.table["Na"]) is list


def test_sections_inside_become_objects() -> None:
    made = build(section(inner={"_target_": GRID, "length": 3}), Proxy, "proxy")
    assert isinstance(made, Nested) and isinstance(made.inner, Hypergrid)


def test_missing_arguments_are_named_unless_the_caller_gives_them() -> None:
    config = OmegaConf.create({"_target_": "gflownet_crystal.proxies.toy.GridCorners"})
    with pytest.raises(ConfigError, match=r"needs proxy\.length="):
        build(config, Proxy, "proxy")
    policy = OmegaConf.create({"_target_": "gflownet_crystal.policies.MLPPolicy", "n_hidden": 4})
    assert isinstance(factory(policy, Policy, "policy.forward", given=("shapes",))([]), Policy)


def test_settings_are_checked_at_every_depth() -> None:
    settings = to_settings(
        TrainerSettings, OmegaConf.create({"iterations": 3, "replay": {"capacity": 5}}), "trainer"
    )
    assert (settings.iterations, settings.replay.capacity) == (3, 5)
    for wrong, says in (
        ({"replay": {"size": 5}}, r"trainer\.replay: .* size"),
        ({"iterations": "x"}, r"trainer\.iterations"),
    ):
        with pytest.raises(ConfigError, match=says):
            to_settings(TrainerSettings, OmegaConf.create(wrong), "trainer")


def test_a_configuration_with_a_class_of_the_users_own_asks_for_trust() -> None:
    shipped = OmegaConf.create({"env": {"_target_": GRID}, "seed": 0, "list": [1]})
    own = OmegaConf.create({"seed": 0, "policy": {"forward": {"_target_": "residual.Residual"}}})
    assert trust_word(shipped) == ""
    assert trust_word(own) == " trust=true"
