"""``--help``: the task of a verb, its groups with their choices, and every key with its comment and default."""

from __future__ import annotations

import ast
import re
import shutil
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from gflownet_crystal.cli.first_keys import FIRST
from gflownet_crystal.config.compose import TARGET, compose_with_choices, section_groups, verb_groups
from gflownet_crystal.config.groups import PACKAGE_CONFIG, config_folders, find_config, group_choices
from gflownet_crystal.config.overrides import leaves

_KEY = re.compile(r"^(?P<indent> *)(?P<key>[A-Za-z_][\w]*):(?P<value>[^#]*)(?:#\s*(?P<comment>.*))?$")
_WIDEST = 60
MISSING: Final = "???"
"""Value of a key that has no default."""


def overview(verbs: Iterable[str]) -> str:
    """All verbs with the first line of their documentation."""
    lines = [
        "gflownet-crystal VERB [key=value ...] [--config-dir DIR] [--help]",
        "gflownet-crystal --version",
        "",
    ]
    for verb in verbs:
        lines += _two_columns(f"  {verb}", _documentation(verb).splitlines()[0], 19)
    lines += ["", "A spec is the composition, space group and lattice of a crystal, without atoms."]
    return "\n".join([*lines, "gflownet-crystal help VERB lists the keys of a verb."])


def verb_help(verb: str, settings: Sequence[str], own: Sequence[Path]) -> str:
    """A verb's documentation, groups and keys, for the choices that ``settings`` make."""
    config, choices = compose_with_choices(verb, settings, own)
    folders = config_folders(own)
    lines = [*_wrapped(_documentation(verb)), ""]
    lines += [f"usage: gflownet-crystal {verb} [key=value ...] [--config-dir DIR]"]
    groups = {group: group for group in verb_groups(verb)} | section_groups(choices)
    if groups:
        lines += ["", "groups (group=choice), the chosen one first, then all:"]
        for key, group in groups.items():
            chosen = choices.get(f"{group}@{key}" if key != group else group)
            shown = f"  {key}" if chosen is None else f"  {key}={chosen}"
            lines += _two_columns(shown, ", ".join(group_choices(group, folders)), 22)
    comments = _comments(verb, folders, choices)
    values = {key: value for key, value in leaves(config) if not key.startswith("record.")}
    first = [key for key in FIRST.get(verb, ()) if key in values]
    rest = [key for key in values if key not in first]
    must = "; ??? must be given" if MISSING in values.values() else ""
    titles = (f"keys that matter most (key=value{must}):", "further keys:")
    if not first:
        titles = ("", f"keys (key=value{must}):")
    for title, keys in zip(titles, (first, rest), strict=True):
        if keys:
            lines += ["", title]
        for key in keys:
            usual = "class to build" if key.endswith(TARGET) else ""
            lines += _line(key, values[key], comments.get(key, usual))
    return "\n".join(lines)


def _documentation(verb: str) -> str:
    path = Path(__file__).with_name(f"{verb}.py")
    if not path.is_file():
        return "(not installed)"
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or verb


def _line(key: str, value: str, comment: str) -> list[str]:
    room = min(_WIDEST, _width() - len(f"  {key}="))
    # a comment has half of a narrow terminal
    return _two_columns(f"  {key}={_shortened(value, room)}", comment, min(46, _width() // 2))


def _shortened(value: str, room: int) -> str:
    """A value in ``room`` characters: a list by its first entries and their number, a dotted path by its end."""
    if len(value) <= room:
        return value
    entries = value.strip("[]").split(", ")
    if value.startswith("[") and len(entries) > 1:
        end = f", ... ({len(entries)} in all)]"
        kept = value[: room - len(end) + 1].rpartition(",")[0]
        return f"{kept}{end}"
    if " " not in value and "." in value:
        parts = value.split(".")
        ends = (".".join(parts[first:]) for first in range(1, len(parts)))
        return next((f"...{end}" for end in ends if len(end) + 3 <= room), f"...{parts[-1]}")
    return f"{value[: room - 3]}..."


def _two_columns(left: str, right: str, indent: int) -> list[str]:
    """A text with its explanation at its right, or below it where the line is too short."""
    if not right:
        return [left]
    explained = textwrap.wrap(
        right, max(20, _width() - indent), break_long_words=False, break_on_hyphens=False
    )
    if len(left) + 2 > indent:
        return [left, *(" " * indent + line for line in explained)]
    return [left.ljust(indent) + explained[0], *(" " * indent + line for line in explained[1:])]


def _wrapped(text: str) -> list[str]:
    """The paragraphs of a text in lines that the terminal has room for."""
    paragraphs = [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]
    filled = [textwrap.wrap(p, _width(), break_long_words=False, break_on_hyphens=False) for p in paragraphs]
    return [line for lines in filled for line in [*lines, ""]][:-1]


def _width() -> int:
    return max(60, shutil.get_terminal_size().columns)


def _comments(verb: str, folders: Sequence[Path], choices: Mapping[str, object]) -> dict[str, str]:
    """Comments by key; the chosen configs' own go before those of other choices of a group."""
    found = _file_comments(PACKAGE_CONFIG / f"{verb}.yaml", "")
    sections = section_groups(choices)
    for place, group in [*((group, group) for group in verb_groups(verb)), *sections.items()]:
        prefix = "" if group == "experiment" else f"{place}."
        # experiments set keys of others, so that those that were not chosen say nothing of them
        searched = [] if group == "experiment" else [*reversed(folders)]
        files = [path for folder in searched for path in sorted((folder / group).glob("*.yaml"))]
        choice = choices[f"{group}@{place}"] if place in sections else choices.get(group)
        chosen = find_config(group, str(choice), folders)
        for path in [*files, *([chosen] if chosen else [])]:
            found |= _file_comments(path, prefix)
    return found


def _file_comments(path: Path, prefix: str) -> dict[str, str]:
    """Comments of a config file by key: those behind a key, or on the line above it."""
    found: dict[str, str] = {}
    above: list[tuple[int, str]] = []
    pending = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        match = _KEY.match(line)
        if match is not None:
            indent = len(match["indent"])
            above = [entry for entry in above if entry[0] < indent]
            key = prefix + ".".join([*(name for _, name in above), match["key"]])
            above.append((indent, match["key"]))
            comment = match["comment"] or pending
            if comment and match["key"] != TARGET:
                found[key] = comment.strip()
        pending = line.strip().removeprefix("#").strip() if line.strip().startswith("#") else ""
    return found
