"""Settings of a command line: one ``key=value`` each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override
from hydra.errors import HydraException
from omegaconf import DictConfig, ListConfig, OmegaConf

from gflownet_crystal.common.errors import ConfigError

_WIDEST = 120


@dataclass(frozen=True)
class Setting:
    """One ``key=value`` of a command line.

    Attributes:
        key: dotted key.
        value: value as a Python object.
        text: text as given.
        added: whether it was written ``+key=value``, so that the key need not exist.
    """

    key: str
    value: object
    text: str
    added: bool


def parse_setting(text: str) -> Setting:
    """Read one ``key=value``.

    Raises:
        ConfigError: the word is no setting.
    """
    try:
        parser = OverridesParser.create()
        parsed: Override = parser.parse_override(text)
        if isinstance(sweep := parsed.value(), ChoiceSweep) and sweep.simple_form:
            # a list without brackets, which shells such as zsh want quoted
            parsed = parser.parse_override(f"{text.replace('=', '=[', 1)}]")
        if parsed.is_delete() or parsed.is_sweep_override():
            raise ConfigError(f"cannot read {text!r}: give one key=value, lists as key=a,b or key=[a,b]")
        if parsed.package is not None:
            raise ConfigError(
                f"cannot read {text!r}: a section is chosen by its own name, as proxy=mlp or proxy.energy=mlp"
            )
        return Setting(parsed.key_or_group.replace("/", "."), parsed.value(), text, parsed.is_add())
    except (HydraException, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        shown = text if len(text) <= _WIDEST else f"{text[:_WIDEST]}..."
        raise ConfigError(
            f"cannot read {shown!r}: write key=value, lists as key=a,b or key=[a,b], --help lists the keys"
        ) from error


def leaves(config: DictConfig, above: str = "") -> Iterator[tuple[str, str]]:
    """Dotted keys and their values as text, references unresolved."""
    for name in map(str, config):
        key = f"{above}{name}"
        node = config._get_node(name)
        if isinstance(node, DictConfig) and len(node):
            yield from leaves(node, f"{key}.")
        elif isinstance(node, DictConfig | ListConfig):
            yield key, _plain(OmegaConf.to_container(node))
        else:
            yield key, _text(node._value() if node is not None else None)


def _plain(value: object) -> str:
    """A value as a command line takes it, strings without quotes."""
    if isinstance(value, list):
        return f"[{', '.join(map(_plain, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {_plain(entry)}' for key, entry in value.items())}}}"
    return _text(value)


def _text(value: object) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)
