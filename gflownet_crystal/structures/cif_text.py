"""Data blocks of CIF texts: bytes to text, values by tag whatever its letter case and dictionary, and numbers.

The grammar is gemmi's. Tags are compared in lower case with underscores for the dots of newer dictionaries, so that
``_space_group.IT_number`` and ``_space_group_IT_number`` are one tag.
"""

from __future__ import annotations

import codecs
import math
import re
import unicodedata
from dataclasses import dataclass, field
from typing import cast

from gemmi import cif

from gflownet_crystal.common.errors import DataError

NULLS = ("?", ".", "")
"""Values that mean unknown, not applicable or left out."""

_KEPT = (
    "_cell_",
    "_symmetry",
    "_space_group",
    "_atom_site_",
    "_atom_sites_",
    "_chemical_formula_",
    "_parent_",
)
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_OVERBAR = re.compile("([0-9])[\u0304\u0305]")
_MINUS = re.compile("[\u2010-\u2015\u2212]")
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f]")
_NUMBER = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(?:\(\d+\))?", re.ASCII)
_FRACTION = re.compile(r"([+-]?\d{1,4})/(\d{1,4})", re.ASCII)
_PLACE = re.compile(r"^[^:]*:(\d+)(?::\d+\(\d+\))?:\s*")
_LONGEST, _MOSTLY = 80, 0.8


@dataclass
class CifBlock:
    """One data block.

    Attributes:
        name: name of the block.
        columns: values of each tag, once for each time that it stands in the block.
    """

    name: str
    columns: dict[str, list[list[str]]] = field(default_factory=dict)

    def column(self, tag: str) -> list[str] | None:
        """Values of a tag; ``None`` where it is missing.

        Raises:
            DataError: the tag stands in the block twice, with different values.
        """
        found = self.columns.get(tag, [])
        if any(values != found[0] for values in found[1:]):
            raise DataError(f"{tag} stands twice in block {quoted(self.name)}, with different values")
        return found[0] if found else None

    def known(self, *tags: str) -> list[str]:
        """Different values of these tags that are known, in order."""
        values = (value for tag in tags for column in self.columns.get(tag, []) for value in column)
        return list(dict.fromkeys(value for value in values if value not in NULLS))

    def starts(self, prefix: str) -> bool:
        """Whether a tag with a known value starts so."""
        return any(tag.startswith(prefix) and self.known(tag) for tag in self.columns)


def quoted(text: str) -> str:
    """A text of a file, in one line and not too long, for an error."""
    line = " ".join(text.split())
    return repr(line if len(line) <= _LONGEST else line[:_LONGEST] + "...")


def decode(content: str | bytes) -> str:
    """Text of a file: UTF-8, UTF-16 or UTF-32, else Latin-1; any line ends; without characters that no tag uses.

    Raises:
        DataError: the content is no text.
    """
    text = content if isinstance(content, str) else _decoded(content)
    text = text.removeprefix("\ufeff").rstrip("\x1a\x00")
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\f", "\n").replace("\v", "\n")
    if _CONTROL.search(text):
        raise DataError("not a CIF: it holds characters that no text has")
    if text.isascii():
        return text
    text = _MINUS.sub("-", _OVERBAR.sub(r"-\1", unicodedata.normalize("NFKD", text)))
    return "".join(character if character.isascii() else "x" for character in text)


def _decoded(content: bytes) -> str:
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return content.removeprefix(mark).decode(encoding, errors="replace")
    # every second byte of ASCII text in UTF-16 is 0
    for start, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        halves = content[start:200:2]
        if halves and halves.count(0) > _MOSTLY * len(halves):
            return content.decode(encoding, errors="replace")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def read_blocks(text: str) -> list[CifBlock]:
    """Data blocks of a CIF, with the entries on crystals.

    Args:
        text: text returned by :func:`decode`.

    Raises:
        DataError: the text is no CIF; the line is named.
    """
    if not text.strip():
        raise DataError("the file is empty")
    try:
        document = cif.read_string(text, check_level=0)
    except (ValueError, RuntimeError) as error:
        said = " ".join(str(error).split())
        place = _PLACE.match(said)
        reason = said[place.end() :] if place else said
        line = f"line {place.group(1)}: " if place else ""
        raise DataError(f"not a CIF ({line}{reason})") from error
    blocks = [_read_block(block) for block in document]
    if not blocks:
        raise DataError("not a CIF (it has no data_ block)")
    return blocks


def _read_block(block: cif.Block) -> CifBlock:
    read = CifBlock(block.name.strip())
    for item in block:
        pair = cast(list[str] | None, item.pair)
        if pair is not None:
            _keep(read, pair[0], [pair[1]])
        elif item.loop is not None and item.loop.tags:
            width, values = len(item.loop.tags), item.loop.values
            for place, tag in enumerate(item.loop.tags):
                if _normal(tag).startswith(_KEPT):
                    _keep(read, tag, values[place::width])
    return read


def _keep(block: CifBlock, tag: str, values: list[str]) -> None:
    name = _normal(tag)
    if name.startswith(_KEPT):
        block.columns.setdefault(name, []).append(
            [value if value in NULLS else cif.as_string(value).strip() for value in values]
        )


def _normal(tag: str) -> str:
    return tag.lower().replace(".", "_")


def number(text: str, what: str) -> float:
    """A number of a CIF, without its standard uncertainty.

    Args:
        text: number such as ``5.64(2)``, ``.25``, ``1e-3`` or ``1/3``.
        what: name of the number, for the error.

    Raises:
        DataError: the text is no number, or not a finite one.
    """
    found, fraction = _NUMBER.fullmatch(text), _FRACTION.fullmatch(text)
    if found:
        value = float(found.group(1))
    elif fraction and int(fraction.group(2)):
        value = int(fraction.group(1)) / int(fraction.group(2))
    else:
        raise DataError(f"{what} is {quoted(text)}, which is no number")
    if not math.isfinite(value):
        raise DataError(f"{what} is {quoted(text)}, which is not finite")
    return value
