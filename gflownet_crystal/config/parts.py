"""The parts of a training, made from its configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
import yaml
from omegaconf import DictConfig, OmegaConf

from gflownet_crystal.common.arguments import prepared
from gflownet_crystal.common.devices import find_device, set_threads
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.common.progress import announced
from gflownet_crystal.common.values import whole_number
from gflownet_crystal.config.build import COMMAND_LINE, Trust, build, factory, load_class, plain, to_settings
from gflownet_crystal.config.compose import TARGET, require_section, resolved
from gflownet_crystal.config.conditions import conditions_of
from gflownet_crystal.config.groups import PACKAGE_CONFIG, group_choices
from gflownet_crystal.config.several import SEVERAL
from gflownet_crystal.envs.base import Env
from gflownet_crystal.gflownet.model import GFlowNet
from gflownet_crystal.gflownet.objectives import Objective
from gflownet_crystal.policies.base import MixtureSettings, Policy
from gflownet_crystal.proxies.base import Proxy
from gflownet_crystal.proxies.reward import Reward, RewardFunction
from gflownet_crystal.proxies.several import SeveralProxies
from gflownet_crystal.training.samplers.settings import TrainerSettings
from gflownet_crystal.workflows.sampling.sampling import BUILDING
from gflownet_crystal.workflows.sampling.sampling import Parts as Parts

_REWARD_KEYS = ("invalid", "penalty")


@dataclass(frozen=True)
class Given:
    """Objects that a user has made; they take the place of built ones.

    Attributes:
        env: the space; None to build it.
        proxy: the proxy; None to build it.
        function: the reward function; None to build it.
        parts: proxies among several by name; the others are built.
    """

    env: Env | None = None
    proxy: Proxy | None = None
    function: RewardFunction | None = None
    parts: Mapping[str, Proxy] = field(default_factory=dict)


NOTHING = Given()


def build_parts(config: DictConfig, trust: Trust = COMMAND_LINE, given: Given = NOTHING) -> Parts:
    """All parts of a training.

    Args:
        config: configuration of ``train_gfn``.
        trust: classes from outside the package that may be imported.
        given: objects that are there already.

    Raises:
        ConfigError: parts that do not fit each other, or anything wrong with one of them.
    """
    check_fit(config, trust, given)
    config = resolved(config)
    set_threads(config.threads)
    device = find_device(config.device)
    settings = to_settings(TrainerSettings, config.trainer, "trainer")
    objective = build(config.objective, Objective, "objective", trust)
    with announced(BUILDING, quiet=bool(config.get("quiet", False))):
        env = build(config.env, Env, "env", trust) if given.env is None else given.env
    env = env.to(device)
    reward = build_reward(config, device, trust, given)
    if (conditions := conditions_of(config)) is not None:
        reward.function.check_conditions(conditions.ranges)
    model = build_model(config, env, device, trust, flows=objective.needs_flows)
    return Parts(env, reward, model, objective, settings, device)


def check_fit(config: DictConfig, trust: Trust = COMMAND_LINE, given: Given = NOTHING) -> None:
    """Check that the proxy takes the objects that the environment produces.

    Raises:
        ConfigError: it does not; the proxies that would are listed.
    """
    env = load_class(config.env.get(TARGET), Env, "env", trust) if given.env is None else type(given.env)
    for name, expected in _input_kinds(config.proxy, trust, given).items():
        if expected == env.produces:
            continue
        fitting = [
            choice
            for choice in group_choices("proxy", [PACKAGE_CONFIG])
            if choice != SEVERAL and _input_kind(choice) == env.produces
        ]
        raise ConfigError(
            f"proxy {name} expects {expected}, but env {env.__name__} produces {env.produces}; "
            f"give a proxy of your own or one of proxy={', '.join(fitting) or 'none'}"
        )


def _input_kinds(section: DictConfig, trust: Trust, given: Given) -> dict[str, str]:
    """Kind of object that each proxy of a configuration expects, by the name of the proxy or its class."""
    if given.proxy is not None:
        return {type(given.proxy).__name__: given.proxy.input_kind}
    found = load_class(section.get(TARGET), Proxy, "proxy", trust)
    if not issubclass(found, SeveralProxies):
        return {found.__name__: found.input_kind}
    kinds = {name: one.input_kind for name, one in given.parts.items()}
    for name in (str(key) for key in section if key != TARGET and key not in kinds):
        require_section(section[name], f"proxy.{name}")
        kinds[name] = load_class(section[name].get(TARGET), Proxy, f"proxy.{name}", trust).input_kind
    return kinds


def build_proxy(section: DictConfig, trust: Trust = COMMAND_LINE, given: Given = NOTHING) -> Proxy:
    """The proxy of a resolved section, or several as one.

    Raises:
        ConfigError: a class or a setting is wrong.
    """
    if given.proxy is not None:
        return given.proxy
    is_several = load_class(section.get(TARGET), Proxy, "proxy", trust) is SeveralProxies
    names = [str(key) for key in section if key != TARGET] if is_several else []
    if strange := [name for name in given.parts if name not in names]:
        raise ConfigError(
            f"{strange[0]} is none of the run's several proxies; they are {', '.join(names) or 'one only'}"
        )
    if not is_several:
        return build(section, Proxy, "proxy", trust)
    return SeveralProxies(
        **{
            name: given.parts.get(name) or build(section[name], Proxy, f"proxy.{name}", trust)
            for name in names
        }
    )


def _input_kind(choice: str) -> str | None:
    text = (PACKAGE_CONFIG / "proxy" / f"{choice}.yaml").read_text(encoding="utf-8")
    target = yaml.safe_load(text).get(TARGET)
    return load_class(target, Proxy, f"proxy/{choice}").input_kind if target else None


def build_reward(
    config: DictConfig, device: torch.device, trust: Trust = COMMAND_LINE, given: Given = NOTHING
) -> Reward:
    """The proxy and the reward function; their sections must be resolved."""
    settings = {str(key): plain(value) for key, value in config.reward.items() if key in _REWARD_KEYS}
    function_config = OmegaConf.create(
        {k: value for k, value in config.reward.items() if k not in _REWARD_KEYS}
    )
    function = (
        build(function_config, RewardFunction, "reward", trust) if given.function is None else given.function
    )
    reward = prepared(Reward, settings, "reward", given=("proxy", "function"))
    return reward(build_proxy(config.proxy, trust, given).to(device), function)


def build_model(
    config: DictConfig, env: Env, device: torch.device, trust: Trust = COMMAND_LINE, flows: bool = False
) -> GFlowNet:
    """The untrained model; the section ``policy`` must be resolved.

    Args:
        config: configuration with that section, and the conditions of the training.
        env: the space.
        device: device of the networks.
        trust: classes from outside the package that may be imported.
        flows: make a network of the flows through states too, of the settings of the forward policy.
    """
    known = {"forward", "backward", "mixture", "n_log_z"}
    if strange := set(config.policy) - known:
        raise ConfigError(
            f"policy has no {', '.join(sorted(map(str, strange)))}; it has {', '.join(sorted(known))}"
        )
    forward, backward = (
        factory(config.policy[name], Policy, f"policy.{name}", trust, given=("shapes",))
        for name in ("forward", "backward")
    )
    mixture = to_settings(MixtureSettings, config.policy.mixture, "policy.mixture")
    return GFlowNet(
        env,
        forward,
        backward,
        mixture=mixture,
        n_log_z=whole_number(config.policy.n_log_z, "policy.n_log_z", 1),
        flow=forward if flows else None,
        conditions=conditions_of(config),
    ).to(device)
