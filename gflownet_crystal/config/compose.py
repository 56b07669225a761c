"""From a command line to one configuration: Hydra's groups, with errors of one line and choices listed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import yaml
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from gflownet_crystal.common.errors import ConfigError, DataError, unknown
from gflownet_crystal.common.yaml_files import check_yaml
from gflownet_crystal.config.config_errors import first_line
from gflownet_crystal.config.groups import PACKAGE_CONFIG, config_folders, find_config, group_choices
from gflownet_crystal.config.implied import (
    CONDITION,
    ENERGY_MODELS,
    PRIOR,
    fill_targets,
    implied_words,
    key_of,
)
from gflownet_crystal.config.overrides import Setting
from gflownet_crystal.config.overrides import parse_setting as parse_setting
from gflownet_crystal.config.several import PROXY, STABILITY, ProxyList, without_keys_of_the_whole

TARGET = "_target_"
EXPERIMENT = "experiment"

_KEPT = 128
"""Configurations kept, as Hydra takes 0.2 s for one, and a program or a sweep asks for few different ones."""


def compose_config(verb: str, arguments: Sequence[str], own: Sequence[Path] = ()) -> DictConfig:
    """The configuration of a verb.

    Args:
        verb: name of the top config.
        arguments: ``key=value`` texts: a choice of a group (``env=hypergrid``) or of a section that a choice fills from
            a group (``proxy.energy=mlp``), several proxies (``proxy=[mlp,band_gap]``), a value (``env.length=6``), or a
            class (``proxy._target_=my_module.MyProxy``), which drops the keys of the class it replaces.
        own: folders of the user's own configs.

    Returns:
        The configuration, interpolations unresolved; ``record`` is filled in where the verb has it.

    Raises:
        ConfigError: an unknown key or choice, or a text that is not ``key=value``.
    """
    config, choices = compose_with_choices(verb, arguments, own)
    if "record" in config:
        config.record = {"command": list(arguments), "choices": choices}
    return config


def compose_with_choices(
    verb: str, arguments: Sequence[str], own: Sequence[Path] = ()
) -> tuple[DictConfig, dict[str, object]]:
    """The configuration, and the chosen config of each group or ``group@section``; see :func:`compose_config`."""
    folders = config_folders(own)
    read = map(parse_setting, arguments)
    settings = [replace(one, key=key_of(one.key, one.value, folders)) for one in read]
    listed = ProxyList.of(settings, verb_groups(verb), folders)
    settings = list(listed.settings)
    config, choices, chosen = _chosen_config(verb, settings, folders, listed)
    values = [setting for setting in settings if setting not in chosen]
    # a class goes first: it replaces its whole section, and other settings then fill the new one
    for setting in [s for s in values if _is_target(s)]:
        _replace_class(config, setting)
        section = setting.key.removesuffix(f".{TARGET}")
        group = section_groups(choices).get(section)
        place = section.split(".")[0] if group is None else f"{group}@{section}"
        choices[place] = str(setting.value).rpartition(".")[2]
    named = [CONDITION] if CONDITION in config else []
    replaced = {setting.key.removesuffix(f".{TARGET}") for setting in values if _is_target(setting)}
    for setting in [s for s in values if not _is_target(s)]:
        inside = any(setting.key.startswith(f"{section}.") for section in (*replaced, *named))
        _set(config, setting, must_exist=not (setting.added or inside))
    if listed.names:
        choices[PROXY] = "_".join(listed.names)
    fill_targets(config)
    return config, choices


def verb_groups(verb: str) -> list[str]:
    """Groups in the defaults of a verb's top config, in order.

    Raises:
        ConfigError: the verb has no config.
    """
    path = PACKAGE_CONFIG / f"{verb}.yaml"
    if not path.is_file():
        raise ConfigError(f"the verb {verb} has no configuration {path}; the installation is incomplete")
    defaults = (yaml.safe_load(path.read_text(encoding="utf-8")) or {}).get("defaults", [])
    entries = [entry for entry in defaults if isinstance(entry, dict)]
    # those with an @ fill a section of another name, see section_groups
    return [key.removeprefix("optional ") for entry in entries for key in entry if "@" not in key]


def section_groups(choices: Mapping[str, object]) -> dict[str, str]:
    """Groups by section, of the sections within others that ``choices`` fill: ``{"proxy.energy": "proxy"}``."""
    pairs = [key.split("@", 1) for key in choices if "@" in key]
    return {section: group for group, section in pairs}


def require_complete(config: DictConfig) -> None:
    """Check that every mandatory key has a value.

    Raises:
        ConfigError: naming the keys that have none.
    """
    missing = sorted(OmegaConf.missing_keys(config))
    if missing:
        raise ConfigError(
            f"{', '.join(missing)} must be given: add {' '.join(f'{key}=...' for key in missing)}"
        )


def resolved(config: DictConfig) -> DictConfig:
    """A copy with all references replaced by values.

    Raises:
        ConfigError: a reference leads nowhere.
    """
    copy = config.copy()
    try:
        require_complete(config)
        OmegaConf.resolve(copy)
    except OmegaConfBaseException as error:
        raise ConfigError(f"configuration key {error.full_key}: {first_line(error)}") from error
    return copy


def _chosen_config(
    verb: str, settings: Sequence[Setting], folders: Sequence[Path], listed: ProxyList
) -> tuple[DictConfig, dict[str, object], list[Setting]]:
    """The configuration that the choices among ``settings`` make, its choices, and which settings they were."""
    groups = verb_groups(verb)
    chosen = [setting for setting in settings if setting.key in groups]
    for setting in chosen:
        _check_choice(setting, setting.key, folders, may_be_none=setting.key in (EXPERIMENT, PRIOR))
    for word in listed.words:
        _check_choice(parse_setting(f"{PROXY}={word.rpartition('=')[2]}"), PROXY, folders)
    overrides = [
        _override(setting) for setting in chosen if setting.value is not None or setting.key == PRIOR
    ]
    overrides += listed.words
    config, choices = _compose(verb, overrides, folders)
    if words := listed.term_words(choices):
        overrides += words
        config, choices = _compose(verb, overrides, folders)
    # a file of the user's own may leave no section of that name
    if PRIOR in groups and isinstance(config.get("env"), DictConfig):
        given = {setting.key: setting.value for setting in settings}
        if words := implied_words(config.env, given, choices, folders):
            overrides += words
            config, choices = _compose(verb, overrides, folders)
    while inner := _inner_choices(settings, chosen, section_groups(choices)):
        # the outermost goes first: it decides which sections there are within it
        setting = min(inner, key=lambda one: one.key.count("."))
        group = section_groups(choices)[setting.key]
        _check_choice(setting, group, folders)
        chosen.append(setting)
        overrides.append(f"{group}@{setting.key}={setting.value}")
        config, choices = _compose(verb, overrides, folders)
    without_keys_of_the_whole(config, choices)
    return config, choices, chosen


def _override(setting: Setting) -> str:
    """A choice in Hydra's syntax; null is the default, and for the prior it leaves out the group."""
    return f"~{setting.key}" if setting.value is None else setting.text.removeprefix("+")


def _inner_choices(
    settings: Sequence[Setting], chosen: Sequence[Setting], sections: Mapping[str, str]
) -> list[Setting]:
    return [s for s in settings if s not in chosen and s.key in sections and isinstance(s.value, str)]


def _check_choice(setting: Setting, group: str, folders: Sequence[Path], may_be_none: bool = False) -> None:
    if setting.value is None and may_be_none:
        return
    names = group_choices(group, folders)
    if not isinstance(setting.value, str) or setting.value not in names:
        raise unknown(setting.key, setting.text.partition("=")[2], names)
    if (path := find_config(group, setting.value, folders[:-1])) is not None:
        if find_config(group, setting.value, folders[-1:]) is not None:
            raise ConfigError(
                f"{path} has the name of a {group} of this package, which {setting.text} chooses; rename the file"
            )
        try:
            check_yaml(path)
        except DataError as error:
            raise ConfigError(f"cannot compose {setting.text}: {error}") from error


def _compose(
    verb: str, overrides: Sequence[str], folders: Sequence[Path]
) -> tuple[DictConfig, dict[str, object]]:
    """The configuration of a verb with choices in Hydra's syntax, and the chosen config of each group."""
    *own, package = folders
    # files of the user's own may change while this process runs; those of the package do not
    make = _composed.__wrapped__ if own else _composed
    config, choices = make(verb, tuple(overrides), tuple(own), package)
    return config.copy(), dict(choices)


@lru_cache(maxsize=_KEPT)
def _composed(
    verb: str, overrides: tuple[str, ...], own: tuple[Path, ...], package: Path
) -> tuple[DictConfig, dict[str, object]]:
    searched = (f"hydra.searchpath=[{','.join(f'file://{folder}' for folder in own)}]",) if own else ()
    try:
        with initialize_config_dir(config_dir=str(package), version_base=None):
            config = compose(verb, overrides=[*overrides, *searched], return_hydra_config=True)
    except MissingConfigException as error:
        group, _, name = str(error.missing_cfg_file).rpartition("/")
        raise unknown(group or "configuration", name, error.options or ()) from error
    # Hydra and OmegaConf check little of a user's file themselves
    except (HydraException, OmegaConfBaseException, yaml.YAMLError, ValueError, TypeError, AttributeError,
            AssertionError, OSError, RecursionError) as error:  # fmt: skip
        raise ConfigError(f"cannot compose the configuration of {verb}: {first_line(error)}") from error
    made = config.hydra.runtime.choices
    choices = {group: made.get(group) for group in verb_groups(verb)}
    choices |= {key: made[key] for key in map(str, made) if "@" in key}
    with open_dict(config):
        del config["hydra"]
        if PRIOR in choices and PRIOR not in config:
            config[PRIOR] = None
    for place in [
        *(group for group in choices if "@" not in group and config.get(group) is not None),
        *section_groups(choices),
    ]:
        require_section(OmegaConf.select(config, place), place)
    return config, choices


def require_section(found: object, place: str) -> None:
    """Check that a place of a configuration holds keys with values."""
    if not isinstance(found, DictConfig):
        raise ConfigError(
            f"{place} must be a section of keys with values, not {found!r}; --help lists its keys"
        )


def _is_target(setting: Setting) -> bool:
    return setting.key.endswith(f".{TARGET}")


def _replace_class(config: DictConfig, setting: Setting) -> None:
    section = setting.key.removesuffix(f".{TARGET}")
    node = _node(config, section, setting)
    if not isinstance(node, DictConfig) and section not in ENERGY_MODELS:
        raise ConfigError(f"{section} is not a section with a class; remove {setting.text}")
    # the keys of the old class mean nothing to the new one
    OmegaConf.update(config, section, {TARGET: setting.value}, merge=False, force_add=True)


def _set(config: DictConfig, setting: Setting, must_exist: bool) -> None:
    if must_exist:
        node = _node(config, setting.key, setting)
        left_out = setting.key == STABILITY and setting.value is None
        if isinstance(node, DictConfig) and not isinstance(setting.value, dict) and not left_out:
            keys = ", ".join(f"{setting.key}.{key}" for key in map(str, node))
            raise ConfigError(f"{setting.key} is a section; set one of its keys: {keys}")
    try:
        OmegaConf.update(config, setting.key, setting.value, merge=True, force_add=True)
    except OmegaConfBaseException as error:
        raise ConfigError(f"cannot set {setting.text}: {first_line(error)}") from error


def _node(config: DictConfig, key: str, setting: Setting) -> object:
    """The raw node at a dotted key."""
    node: object = config
    above = ""
    for part in key.split("."):
        if not isinstance(node, DictConfig) or part not in node.keys():  # noqa: SIM118 - a mandatory key without value is not "in"
            allowed = [f"{above}{name}" for name in map(str, node)] if isinstance(node, DictConfig) else []
            raise unknown("key", setting.key if not above else f"{above}{part}", allowed)
        node = node._get_node(part)
        above += f"{part}."
    return node if isinstance(node, DictConfig | ListConfig) else None
