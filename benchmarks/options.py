"""Command lines of the programs here: as those of the package, and names of public data sets in place of files."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from gflownet_crystal.common import programs
from gflownet_crystal.common.errors import unknown
from gflownet_crystal.data.public_sets import data_path

DATA_KEYS = ("data", "tests", "structures", "specs", "reference")
"""Keys that name files of crystals, or public data sets that were fetched."""

run = programs.run


def read_options(
    document: str | None,
    defaults: Mapping[str, str],
    arguments: Sequence[str],
    required: Collection[str] = (),
) -> dict[str, str]:
    """Values of a command line; see :func:`gflownet_crystal.common.programs.read_options`.

    Returns:
        A value for every key; those of ``DATA_KEYS`` with the paths of public data sets in place of their names.

    Raises:
        SystemExit, ConfigError: as there.
        DataError: a public data set was not fetched.
    """
    options = programs.read_options(document, defaults, arguments, required)
    for key in options.keys() & set(DATA_KEYS):
        options[key] = ",".join(str(data_path(name)) if name else "" for name in options[key].split(","))
    return options


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
