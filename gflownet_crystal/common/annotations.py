"""Values of configurations against the annotations of what they are meant for."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any

from gflownet_crystal.common.errors import ConfigError

_LARGEST = 2**53
"""Larger whole numbers are no exact floats, and overflow where tensors are made of them."""


def check_type(value: Any, hint: Any, key: str) -> None:
    """Check a value of a configuration.

    Args:
        value: a number, a text, true or false, null, a list or a mapping; anything else passes.
        hint: the annotation that it has to fit; None passes everything.
        key: where it stands, for the message.

    Raises:
        ConfigError: it does not fit.
    """
    if hint is not None and not _fits(value, hint):
        raise ConfigError(f"{key} must be {_words(hint)}, not {shown(value)}")


def shown(value: Any) -> str:
    """A value in an error: whole numbers of many digits are abridged."""
    if isinstance(value, int) and abs(value) > _LARGEST:
        return (
            f"{str(value)[:25]}... (too large)"
            if abs(value) < 10**4000
            else "a number of thousands of digits"
        )
    return repr(value)


def _options(hint: Any) -> tuple[Any, ...]:
    """The members of a union; one hint is a union of itself."""
    is_union = isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union
    return typing.get_args(hint) if is_union else (hint,)


def _fits(value: Any, hint: Any) -> bool:
    """Whether an annotation admits a value, as far as numbers, texts, lists and mappings go."""
    options = _options(hint)
    if len(options) > 1:
        return any(_fits(value, option) for option in options)
    origin = typing.get_origin(hint) or hint
    if origin is typing.Literal:
        return value in typing.get_args(hint)
    if origin is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if origin is int:
        return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _LARGEST
    if origin in (bool, str, types.NoneType):
        return isinstance(value, origin)
    if origin in (list, Sequence):
        inner = typing.get_args(hint)[:1]
        return isinstance(value, list) and all(_fits(item, kind) for kind in inner for item in value)
    if origin in (dict, Mapping):
        return isinstance(value, dict)
    return True


def _words(hint: Any) -> str:
    """An annotation as a user would say it."""
    options = _options(hint)
    if len(options) > 1:
        return " or ".join(_words(option) for option in options)
    origin = typing.get_origin(hint) or hint
    if origin is typing.Literal:
        return " or ".join(map(str, typing.get_args(hint)))
    if origin in (list, Sequence):
        inner = ", ".join(_words(kind) for kind in typing.get_args(hint)[:1])
        return f"a list of {inner}" if inner else "a list"
    if origin in (dict, Mapping):
        return "a mapping"
    return "null" if origin is types.NoneType else getattr(origin, "__name__", str(origin))
