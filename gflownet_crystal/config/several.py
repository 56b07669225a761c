"""Several proxies in one configuration, ``proxy=[mlp,band_gap]``: a section of ``proxy`` and a term of the reward each.

The list becomes Hydra's own choices: ``proxy=several`` and a choice of the group ``proxy`` for each section, so that
``proxy.mlp.placing=placing`` and ``reward.band_gap.window=[1.2,1.6]`` are keys as any others.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from omegaconf import DictConfig, open_dict

from gflownet_crystal.common.errors import ConfigError, unknown
from gflownet_crystal.config.groups import group_choices
from gflownet_crystal.config.overrides import Setting, parse_setting

SEVERAL, PRODUCT, PROXY, REWARD, TARGET = "several", "product", "proxy", "reward", "_target_"
STABILITY = f"{REWARD}.stability"
_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_OF_REWARD = ("invalid", "penalty")


@dataclass(frozen=True)
class ProxyList:
    """Choices of a command line that lists proxies.

    Attributes:
        settings: settings without the list, those that it stands for in its place.
        words: overrides for Hydra.
        names: name of each proxy.
    """

    settings: Sequence[Setting]
    words: Sequence[str] = ()
    names: Sequence[str] = field(default_factory=list)

    @classmethod
    def of(cls, settings: Sequence[Setting], groups: Sequence[str], folders: Sequence[Path]) -> ProxyList:
        """The choices of a verb's settings; as they are where they hold no list of proxies.

        Args:
            settings: settings of the command line.
            groups: groups of the verb.
            folders: the user's and the package's.

        Raises:
            ConfigError: the verb takes one proxy, or an entry of the list is none.
        """
        lists = [one for one in settings if one.key == PROXY and isinstance(one.value, list)]
        if not lists:
            return cls(settings)
        given = lists[-1]
        if REWARD not in groups:
            raise ConfigError(f"{given.text} lists proxies, but this verb takes one: give one name")
        rest = [one for one in settings if one not in lists]
        added = [Setting(PROXY, SEVERAL, f"{PROXY}={SEVERAL}", False)]
        if not any(one.key in (REWARD, f"{REWARD}.{TARGET}") for one in rest):
            added.append(Setting(REWARD, PRODUCT, f"{REWARD}={PRODUCT}", False))
        words, names = [], []
        for item in given.value if isinstance(given.value, list) else []:
            name, choice, own = _entry(item, given.text, folders)
            if name in names:
                raise ConfigError(f"{given.text} names {name} twice; several proxies have a name each")
            names.append(name)
            words.append(f"+{PROXY}@{PROXY}.{name}={choice}")
            added += [parse_setting(f"{PROXY}.{name}.{key}={value!r}") for key, value in own.items()]
        if not names:
            raise ConfigError(f"{given.text} is an empty list; name proxies, as proxy=[mlp,band_gap]")
        return cls([*added, *rest], words, names)

    def term_words(self, choices: Mapping[str, object]) -> list[str]:
        """Overrides that give each proxy a term of the reward, where that is a product.

        Args:
            choices: chosen config of each group.
        """
        if choices.get(REWARD) != PRODUCT:
            return []
        return [f"+term@{REWARD}.{name}=default" for name in self.names]


def _entry(item: object, text: str, folders: Sequence[Path]) -> tuple[str, str, dict[str, str]]:
    """Name, choice of the group and settings of an entry: a name, a file of weights or a class."""
    names = [name for name in group_choices(PROXY, folders) if name != SEVERAL]
    if isinstance(item, str) and item in names:
        return item, item, {}
    if isinstance(item, str) and item.endswith(".safetensors"):
        name, own = re.sub(r"\W", "_", Path(item).stem), {"weights": item}
    elif isinstance(item, str) and "." in item:
        # the class takes the place of the choice and its keys
        name, own = item.rpartition(".")[2], {TARGET: item}
    else:
        raise ConfigError(
            f"{unknown(PROXY, str(item), names)}, a .safetensors file of train_property, or a class as "
            "my_module.MyProxy"
        )
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{text}: {item} gives no name for a key; rename it to letters, digits and _")
    return name, "property", own


def without_keys_of_the_whole(config: DictConfig, choices: Mapping[str, object]) -> None:
    """Leave out keys of the stability that a reward has once for all of its terms.

    Args:
        config: composed configuration, changed in place.
        choices: chosen config of each group.
    """
    section = config[REWARD].get("stability") if choices.get(REWARD) == PRODUCT else None
    if isinstance(section, DictConfig):
        with open_dict(section):
            for key in _OF_REWARD:
                section.pop(key, None)
