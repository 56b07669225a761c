"""Command lines of the programs here: words ``key=value``, ``--help``, errors of one line."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from gflownet_crystal.cli.main import FAILED, end_quietly, one_line
from gflownet_crystal.common.errors import ConfigError, GFlowNetCrystalError, unknown
from gflownet_crystal.data.public_sets import data_path

DATA_KEYS = ("data", "tests", "structures", "specs", "reference")
"""Keys that name files of crystals, or public data sets that were fetched."""

FORMS = {
    "a whole number": r"\d+",
    "whole numbers with commas between": r"\d+(,\d+)*",
    "a number": r"\d+(\.\d*)?",
}
"""Forms of numbers; a key asks for the first form that its default has."""


def read_options(
    document: str | None,
    defaults: Mapping[str, str],
    arguments: Sequence[str],
    required: Collection[str] = (),
) -> dict[str, str]:
    """Values of a command line, over the defaults.

    Args:
        document: the program's docstring, printed by ``--help`` and ``-h``.
        defaults: value of each key that may be left out; where it is a number, numbers of its form are asked for.
        arguments: words of the command line.
        required: keys without a default.

    Returns:
        A value for every key; those of ``DATA_KEYS`` with the paths of public data sets in place of their names.

    Raises:
        SystemExit: with status 0, after ``--help``.
        ConfigError: a word is no ``key=value``, a key is unknown, given twice or missing, or a value is no number.
        DataError: a public data set was not fetched.
    """
    if {"--help", "-h"} & set(arguments):
        print((document or "").strip(), flush=True)
        raise SystemExit(0)
    keys = (*required, *defaults)
    given: dict[str, str] = {}
    for word in arguments:
        key, equals, value = word.partition("=")
        if not equals:
            raise ConfigError(f"cannot read {word!r}; write key=value, with keys {', '.join(sorted(keys))}")
        if key not in keys:
            raise unknown("key", key, keys)
        if key in given:
            raise ConfigError(f"{key} is given twice; give it once, several values with commas between")
        given[key] = value
    missing = [key for key in required if not given.get(key)]
    if missing:
        raise ConfigError(f"{' '.join(f'{key}=...' for key in missing)} must be given; --help lists all keys")
    for key in defaults.keys() & given.keys():
        _check_form(key, given[key], defaults[key])
    for key in given.keys() & set(DATA_KEYS):
        given[key] = ",".join(str(data_path(name)) if name else "" for name in given[key].split(","))
    return {**defaults, **given}


def _check_form(key: str, value: str, default: str) -> None:
    form = next((name for name, pattern in FORMS.items() if re.fullmatch(pattern, default)), None)
    if form is not None and not re.fullmatch(FORMS[form], value, re.ASCII):
        raise ConfigError(f"{key} must be {form}, not {value!r}, as in {key}={default}")


def names(options: Mapping[str, str], key: str, allowed: Collection[str] = ()) -> list[str]:
    """The values with commas between that a key has.

    Args:
        options: of :func:`read_options`.
        key: one of them.
        allowed: values that each may have; anything if empty.

    Raises:
        ConfigError: one is not allowed.
    """
    found = [name for name in options[key].split(",") if name]
    for name in found:
        if allowed and name not in allowed:
            raise unknown(key, name, allowed)
    return found


def run(main: Callable[[list[str]], None]) -> None:
    """Run a program on the words of the command line.

    Args:
        main: of the program; errors begin with the name of its file.

    Raises:
        SystemExit: with status 2, after an error that the user can correct: one line on standard error; with 141 if
            nobody reads standard output any more.
    """
    try:
        main(sys.argv[1:])
        sys.stdout.flush()
    except (GFlowNetCrystalError, FileNotFoundError) as error:
        print(f"{Path(inspect.getfile(main)).stem}: {one_line(error)}", file=sys.stderr)
        raise SystemExit(FAILED) from None
    except BrokenPipeError:
        raise SystemExit(end_quietly()) from None
