"""Values of configurations checked against annotations."""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from numbers import Integral, Real
from typing import Any, ClassVar

from gflownet_crystal.common.bounds import Bounds
from gflownet_crystal.common.errors import ConfigError

LARGEST_WHOLE = 2**63 - 1
"""The largest whole number that a setting can be: tensors and random generators hold no larger one."""

_LONGEST_SHOWN = 2**53
"""Larger whole numbers are abridged in errors."""

_UNFIT = object()


def fitting(value: Any, hint: Any, key: str) -> Any:
    """A value of a configuration as the annotation has it: a whole float such as 1e3 is a whole number.

    Args:
        value: a number, a text, true or false, null, a list or a mapping; anything else passes.
        hint: the annotation that it has to fit; None passes everything.
        key: place in the configuration, for the message.

    Returns:
        The value, or the equal whole number where one is asked for.

    Raises:
        ConfigError: it does not fit; no number that is not finite fits, nor a whole one beyond 64 bits.
    """
    if hint is None:
        return value
    fitted = _fitted(value, hint)
    if fitted is not _UNFIT:
        return fitted
    words = _words(hint)
    # a number of the right kind is refused for its size alone
    if _holds_infinite(value):
        words += ", and finite"
    elif _is_whole(value) and abs(int(value)) > LARGEST_WHOLE:
        words += f", and at most {LARGEST_WHOLE}"
    raise ConfigError(f"{key} must be {words}, not {shown(value)}")


def fit_fields(settings: Any, place: str = "") -> None:
    """Check the fields of a dataclass, which may be frozen, against their annotations; for its ``__post_init__``.

    Args:
        settings: the object.
        place: section that its fields are keys of, for the message; none if empty.

    Raises:
        ConfigError: a field does not fit, see :func:`fitting`, or a number is not in the range of its annotation.
    """
    hints = typing.get_type_hints(type(settings))
    ranges = typing.get_type_hints(type(settings), include_extras=True)
    for name in (field.name for field in fields(settings)):
        key = f"{place}.{name}" if place else name
        value = fitting(getattr(settings, name), hints[name], key)
        for bounds in _bounds(ranges[name]):
            for number in value if isinstance(value, list | tuple) else [value]:
                if number is not None and not bounds.holds(number):
                    raise ConfigError(f"{key} must be {bounds}, not {number!r}")
        object.__setattr__(settings, name, value)


class CheckedFields:
    """Base of dataclasses whose fields are checked against their annotations when they are made."""

    place: ClassVar[str] = ""
    """Section that the fields are keys of, for messages; none if empty."""

    def __post_init__(self) -> None:
        """Check the fields; see :func:`fit_fields`."""
        fit_fields(self, self.place)


def _bounds(hint: Any) -> list[Bounds]:
    """Ranges of an annotation, of the members of a union, or of the items of a list."""
    inner = [hint, *typing.get_args(hint)]
    return [extra for one in inner for extra in getattr(one, "__metadata__", ()) if isinstance(extra, Bounds)]


def shown(value: Any) -> str:
    """A value in an error: whole numbers of many digits are abridged."""
    if isinstance(value, int) and abs(value) > _LONGEST_SHOWN:
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


def _fitted(value: Any, hint: Any) -> Any:
    """The value as an annotation has it, as far as numbers, texts, lists and mappings go; else ``_UNFIT``."""
    options = _options(hint)
    if len(options) > 1:
        found = [fitted for fitted in (_fitted(value, option) for option in options) if fitted is not _UNFIT]
        unchanged = [fitted for fitted in found if type(fitted) is type(value)]
        return (unchanged or found or [_UNFIT])[0]
    origin = typing.get_origin(hint) or hint
    if origin is typing.Literal:
        return value if value in typing.get_args(hint) else _UNFIT
    if origin is float:
        if not _is_real(value) or not _is_finite(value):
            return _UNFIT
        # tensors take no whole number beyond 64 bits
        return float(value) if abs(value) > LARGEST_WHOLE else value
    if origin is int:
        return int(value) if _is_whole(value) and abs(int(value)) <= LARGEST_WHOLE else _UNFIT
    if origin in (bool, str, types.NoneType):
        return value if isinstance(value, origin) else _UNFIT
    if origin in (list, tuple, Sequence):
        return _fitted_items(value, hint)
    if origin in (dict, Mapping):
        return _fitted_mapping(value, hint)
    # a section that has become no object of its class
    if is_dataclass(origin) and isinstance(value, bool | int | float | str | list | None):
        return _UNFIT
    return value


def _fitted_items(value: Any, hint: Any) -> Any:
    if not isinstance(value, list | tuple):
        return _UNFIT
    kinds = [kind for kind in typing.get_args(hint) if kind is not Ellipsis]
    each = kinds * len(value) if len(kinds) == 1 else kinds
    if len(each) != len(value):
        # how many there must be is for the one who reads them to say
        return value
    items = [_fitted(item, kind) for item, kind in zip(value, each, strict=True)]
    return _UNFIT if any(item is _UNFIT for item in items) else type(value)(items)


def _fitted_mapping(value: Any, hint: Any) -> Any:
    if not isinstance(value, Mapping):
        return _UNFIT
    _, kind = typing.get_args(hint) or (Any, Any)
    items = {name: _fitted(item, kind) for name, item in value.items()}
    # which entry does not fit is for the one who reads them to say
    return {name: value[name] if item is _UNFIT else item for name, item in items.items()}


def _holds_infinite(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return any(map(_holds_infinite, value))
    return _is_real(value) and not _is_finite(value)


def _is_finite(value: Any) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:
        # a whole number too large for a float
        return False


def _is_real(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _is_whole(value: Any) -> bool:
    return _is_real(value) and (isinstance(value, Integral) or float(value).is_integer())


def _words(hint: Any) -> str:
    """An annotation as a user would say it."""
    options = _options(hint)
    if len(options) > 1:
        return " or ".join(_words(option) for option in options)
    origin = typing.get_origin(hint) or hint
    if origin is typing.Literal:
        return " or ".join(map(str, typing.get_args(hint)))
    if origin in (list, tuple, Sequence):
        inner = ", ".join(_words(kind) for kind in typing.get_args(hint)[:1])
        return f"a list of {inner}" if inner else "a list"
    if origin in (dict, Mapping):
        return "a mapping"
    return "null" if origin is types.NoneType else getattr(origin, "__name__", str(origin))
