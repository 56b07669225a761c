"""Programs of ``python -m`` that are no verbs: words ``key=value``, ``--help``, errors of one line."""

from __future__ import annotations

import inspect
import os
import re
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from gflownet_crystal.common.errors import ConfigError, GFlowNetCrystalError, unknown

FAILED, INTERRUPTED, READER_GONE = 2, 130, 141
"""Exit statuses: an error that the user can correct, an interrupt, nobody reads standard output any more."""

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
        A value for every key.

    Raises:
        SystemExit: with status 0, after ``--help``.
        ConfigError: a word is no ``key=value``, a key is unknown, given twice or missing, or a value is no number.
    """
    if {"--help", "-h"} & set(arguments):
        sys.stdout.write((document or "").strip() + "\n")
        sys.stdout.flush()
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
    return {**defaults, **given}


def _check_form(key: str, value: str, default: str) -> None:
    form = next((name for name, pattern in FORMS.items() if re.fullmatch(pattern, default)), None)
    if form is not None and not re.fullmatch(FORMS[form], value, re.ASCII):
        raise ConfigError(f"{key} must be {form}, not {value!r}, as in {key}={default}")


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
        sys.stderr.write(f"{Path(inspect.getfile(main)).stem}: {one_line(error)}\n")
        raise SystemExit(FAILED) from None
    except BrokenPipeError:
        raise SystemExit(end_quietly()) from None


def one_line(error: BaseException) -> str:
    """An error's text without line breaks."""
    return " ".join(str(error).split())


def end_quietly() -> int:
    """The status of a program of which nobody reads standard output any more, as of ``| head``."""
    leave_output()
    return READER_GONE


def leave_output() -> None:
    """Write no more to standard output, also at the interpreter's end, which flushes once more and must not fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
