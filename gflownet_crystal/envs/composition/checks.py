"""Checks of lists of elements and of ranges, as settings of a composition give them."""

from __future__ import annotations

from collections.abc import Sequence

from gflownet_crystal.common.annotations import fitting
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.structures.elements import ATOMIC_NUMBERS

Range = tuple[int, int]


def anion_symbols(anion: str | Sequence[str]) -> tuple[str, ...]:
    """Symbols of one anion, or of several."""
    return checked_symbols("anion", [anion] if isinstance(anion, str) else anion)


def common_symbols(name: str, present: Sequence[str], asked: Sequence[str]) -> tuple[str, ...]:
    """Symbols asked for that are present, where any are.

    Raises:
        ConfigError: none of them is.
    """
    common = tuple(symbol for symbol in asked if not present or symbol in present)
    if not common:
        raise ConfigError(f"{name} names {', '.join(asked)}, none of {', '.join(present)} of the space")
    return common


def merged_symbols(*lists: Sequence[str]) -> tuple[str, ...]:
    """Symbols of all lists, each once, in order."""
    return tuple(dict.fromkeys(symbol for symbols in lists for symbol in symbols))


def checked_symbols(name: str, symbols: Sequence[str]) -> tuple[str, ...]:
    """A list of different elements.

    Raises:
        ConfigError: it is no list, or one of them is no element or named twice.
    """
    if isinstance(symbols, str) or not isinstance(symbols, Sequence):
        raise ConfigError(f"{name} is {symbols!r}; give a list of symbols, as [Na, Cl]")
    # YAML 1.1 reads a bare NO, No, Y or N as a truth value
    found = tuple(symbols)
    unknown = [str(symbol) for symbol in found if str(symbol) not in ATOMIC_NUMBERS]
    if unknown:
        raise ConfigError(
            f"{name}: no element {', '.join(unknown)}; give symbols such as Na (quoted where YAML needs it)"
        )
    if len(set(found)) < len(found):
        raise ConfigError(f"{name} names an element twice: {', '.join(found)}")
    return found


def checked_range(name: str, pair: Sequence[int]) -> Range:
    """A pair of whole numbers, the least and the most.

    Raises:
        ConfigError: it is no such pair.
    """
    try:
        least, most = (fitting(value, int, name) for value in pair)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{name} is {pair!r}; give the least and the most, as [1, 5]") from error
    if not 1 <= least <= most:
        raise ConfigError(f"{name} is [{least}, {most}]; the least must be at least 1 and not above the most")
    return least, most


def overlap(name: str, present: Sequence[int], asked: Sequence[int] | None) -> Range:
    """The part of a range that is asked for too."""
    least, most = present
    if asked is None:
        return least, most
    low, high = checked_range(name, asked)
    if max(low, least) > min(high, most):
        raise ConfigError(f"{name} [{low}, {high}] does not overlap with [{least}, {most}] of the space")
    return max(low, least), min(high, most)
