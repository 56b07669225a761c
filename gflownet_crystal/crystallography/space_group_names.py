"""Names of space groups in all their spellings to the settings they stand for.

The settings and most of their names are gemmi's table, which has all of the International Tables; spglib gives the full
symbols. Old and new forms (``F d 3 m``, ``C m c e``), missing spaces, letter case, underscores, and the choices of
origin and axes as ICSD (``S``, ``Z``, ``RS``), FINDSYM (``(origin choice 2)``) and others (``:2``, ``:H``) write them
are read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import gemmi
import spglib

_N_SPGLIB_SETTINGS = 530
_ORTHORHOMBIC, _MONOCLINIC, _CUBIC = range(16, 75), range(3, 16), range(195, 231)
_USUAL_QUALIFIERS = ("", "b", "b1")

# endings that name a choice of origin or of axes; no symbol itself ends in one of these letters
_SUFFIXES = {
    "s": "1", "o1": "1", "1": "1", "z": "2", "o2": "2", "2": "2",
    "h": "H", "hr": "H", "hs": "H", "r": "R", "rs": "R", "rh": "R", "rr": "R",
}  # fmt: skip
_SUBSCRIPT = re.compile(
    r"([2346])(?:_\{([1-5])\}|_([1-5])(?!\d)|~([1-5])~|\(([1-5])\)|<sub>([1-5])</sub>)", re.IGNORECASE
)
_BAR = re.compile(r"\\(?:bar|overline)\s*\{?\s*([1346])\s*\}?|\\=([1346])")
_COMMENT = re.compile(r"[(\[]([^()\[\]]*)[)\]]")
_GROUP_NUMBER = re.compile(r"(?:no\.?|nr\.?|number|#)?\s*(\d{1,3})", re.IGNORECASE)
_BARE_NUMBER = re.compile(r"(?:\s|(?<=\w))(?:no\.?\s*|nr\.?\s*|#\s*)(\d{1,3})$", re.IGNORECASE)
_CHOICE = re.compile(
    r"(?:o|origin|origin choice |cell choice |choice )?([12])?(-?[abc][1-9]?|[abc]{3}|-cba|ba-c|a-cb)?"
)


class NamedSetting(NamedTuple):
    """A setting of a space group, under one of its names.

    Attributes:
        setting: setting of gemmi's table.
        rank: 0 for the usual meaning of the name, more where the name has several.
        loose: whether spaces stand where the symbol has none, as in ``P 2 1/c``.
    """

    setting: gemmi.SpaceGroup
    rank: int
    loose: bool


class _Choices(NamedTuple):
    """Choice of a name: of origin or axes (``1 2 H R``), of axes by qualifier, and the group's number beside it."""

    ext: str = ""
    qualifier: str = ""
    number: int = 0

    def admits(self, setting: gemmi.SpaceGroup) -> bool:
        """Whether a setting is one of this choice."""
        own, qualifier = setting.ext.strip("\0"), setting.qualifier
        cell = self.ext == qualifier[-1:] if setting.number in _MONOCLINIC else False
        right_ext = self.ext in ("", own) or cell or (not own and not qualifier and self.ext == "1")
        axis = len(self.qualifier) == 1 and qualifier.startswith(self.qualifier)
        return (
            right_ext and (self.qualifier in ("", qualifier) or axis) and self.number in (0, setting.number)
        )


def settings_of_name(name: str) -> list[NamedSetting]:
    """Settings that a Hermann-Mauguin symbol may mean.

    Args:
        name: symbol in any spelling; a number 1 to 230 means the reference settings of its group.

    Returns:
        The usual meaning first; nothing if the name is unknown. Without a choice of origin or axes, all of them.
    """
    cleaned = _clean(name)
    found = _settings_of_symbol(*cleaned) if cleaned is not None else []
    # a few symbols of the table end in a letter in brackets
    return found or _fitting(name.lower(), _table().get("".join(name.lower().split()), []))


def _settings_of_symbol(text: str, choices: list[_Choices]) -> list[NamedSetting]:
    if text.isdecimal():
        settings = [NamedSetting(setting, 0, False) for setting in settings_of_number(int(text))]
        return [found for found in settings if all(choice.admits(found.setting) for choice in choices)]
    # older names have the bar behind its digit, as in F D 3 - M
    for candidate in (text, re.sub(r"([1346])-(?=[a-z123]|$)", r"-\1", text)):
        for symbol, suffix in _splits(candidate):
            entries = _table().get("".join(symbol.split()), [])
            wanted = [*choices, suffix] if suffix else choices
            found = [entry for entry in entries if all(choice.admits(entry[0]) for choice in wanted)]
            if found and not (suffix and not any(entry[0].ext.strip("\0") for entry in found)):
                return _fitting(symbol, found)
    return []


def settings_of_number(number: int) -> list[gemmi.SpaceGroup]:
    """Settings of a group in the usual axes: one, or both origins, or hexagonal and rhombohedral axes."""
    return [
        setting
        for setting in gemmi.spacegroup_table()
        if setting.number == number
        and setting.qualifier in _USUAL_QUALIFIERS
        and setting.hm == gemmi.find_spacegroup_by_number(number).hm
    ]


def operations_of_hall(name: str) -> gemmi.GroupOps | None:
    """Operations that a Hall symbol stands for; ``None`` if it is none."""
    text = " ".join(name.replace("_", " ").split())
    for spelling in (text, text[:2].upper() + text[2:].lower()):
        try:
            return gemmi.symops_from_hall(spelling)
        except (RuntimeError, ValueError):
            continue
    return None


def number_of_schoenflies(name: str) -> int:
    """Number of the group of a Schoenflies symbol such as ``D2h^16`` or ``D2h.16``; 0 if it is none."""
    return _schoenflies().get(_plain(name), 0)


@cache
def _schoenflies() -> dict[str, int]:
    return {_plain(found.schoenflies): found.number for found in _spglib_types()}


def _spglib_types() -> Iterator[spglib.SpaceGroupType]:
    for hall in range(1, _N_SPGLIB_SETTINGS + 1):
        found = spglib.get_spacegroup_type(hall)
        if found is not None:
            yield found


def _plain(name: str) -> str:
    group, _, place = re.sub(r"[._^\-\s]+(?=\d+$)", "^", name.strip()).partition("^")
    return f"{re.sub('[^0-9a-z]', '', group.lower())}^{place}"


def _fitting(symbol: str, entries: list[tuple[gemmi.SpaceGroup, frozenset[int], int]]) -> list[NamedSetting]:
    """Settings of the names whose spaces agree with those of the symbol; of all, loosely, if none does."""
    cuts = _cuts(symbol.split())
    right = [NamedSetting(setting, rank, False) for setting, allowed, rank in entries if cuts <= allowed]
    return right or [NamedSetting(setting, rank, True) for setting, _, rank in entries]


def _splits(text: str) -> Iterator[tuple[str, _Choices | None]]:
    """A name as a whole, then without each ending that names a choice."""
    yield text, None
    for length in (2, 1):
        symbol, ending = text[:-length].rstrip(), text[-length:]
        if ending in _SUFFIXES and len(symbol) > 1:
            yield symbol, _Choices(ext=_SUFFIXES[ending])


def _clean(name: str) -> tuple[str, list[_Choices]] | None:
    """The symbol in lower case without decoration, and the choices beside it; ``None`` if a part is not understood."""
    text = name.replace("$", "").strip().lower()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        text = text[1:-1].strip()
    text = _BAR.sub(lambda found: f"-{found.group(1) or found.group(2)}", text)
    text = _SUBSCRIPT.sub(lambda found: "".join(part or "" for part in found.groups()), text)
    choices = [_choice_of(comment) for comment in _COMMENT.findall(text)]
    text = _COMMENT.sub(" ", text)
    bare = _BARE_NUMBER.search(text.strip())
    if bare:
        choices.append(_Choices(number=int(bare.group(1))))
        text = text.strip()[: bare.start()]
    text, *parts = text.replace("_", " ").split(":")
    choices += [_choice_of(part) for part in parts]
    known = [choice for choice in choices if choice is not None]
    if len(known) < len(choices) or not text.strip():
        return None
    text = re.sub(r"\s*/\s*", "/", re.sub(r"-\s+(?=\d)", "-", text))
    return " ".join(text.split()), known


def _choice_of(comment: str) -> _Choices | None:
    text = " ".join(comment.split())
    if text in _SUFFIXES:
        return _Choices(ext=_SUFFIXES[text])
    if text.startswith(("hexag", "rhomb")):
        return _Choices(ext=text[0].upper())
    unique = re.fullmatch(r"unique axis (-?[abc])(?:,? cell choice ([123]))?", text)
    if unique:
        return _Choices(qualifier="".join(part or "" for part in unique.groups()))
    chosen = _CHOICE.fullmatch(text)
    if chosen and text:
        return _Choices(ext=chosen.group(1) or "", qualifier=chosen.group(2) or "")
    number = _GROUP_NUMBER.fullmatch(text)
    return _Choices(number=int(number.group(1))) if number else None


@cache
def _table() -> dict[str, list[tuple[gemmi.SpaceGroup, frozenset[int], int]]]:
    """Settings by their names in lower case without spaces, each with where spaces may stand and with its rank."""
    full: dict[frozenset[str], spglib.SpaceGroupType] = {}
    for found in _spglib_types():
        full.setdefault(_operations(gemmi.symops_from_hall(found.hall_symbol)), found)
    table: dict[str, list[tuple[gemmi.SpaceGroup, frozenset[int], int]]] = {}
    for setting in gemmi.spacegroup_table():
        known = full.get(_operations(setting.operations()))
        names = [known.international_full, known.international.split("=")[-1]] if known else []
        for tokens in _forms(setting, [name.replace("_", "").lower().split() for name in names]):
            entries = table.setdefault("".join(tokens), [])
            if not any(entry[0] == setting for entry in entries):
                qualifiers = list(dict.fromkeys(entry[0].qualifier for entry in entries))
                qualifiers += [setting.qualifier] if setting.qualifier not in qualifiers else []
                entries.append((setting, _cuts(tokens), qualifiers.index(setting.qualifier)))
    return table


def _forms(setting: gemmi.SpaceGroup, names: list[list[str]]) -> list[list[str]]:
    """The names of a setting, in parts."""
    forms = [setting.hm.lower().split(), *names]
    if setting.number in _MONOCLINIC:
        forms += [[part for part in form if part != "1"] for form in forms]
    if setting.number in _ORTHORHOMBIC:
        forms += [[part.split("/")[-1] for part in form] for form in names]
    if setting.number in _CUBIC:
        forms += [["3" if part == "-3" else part for part in form] for form in forms]
    if setting.ext == "H":
        forms += [["h", *form[1:]] for form in forms]
    return forms


def _operations(group: gemmi.GroupOps) -> frozenset[str]:
    return frozenset(operation.triplet() for operation in group)


def _cuts(tokens: list[str]) -> frozenset[int]:
    """Places in the joined text at which its parts begin."""
    return frozenset(sum(map(len, tokens[:end])) for end in range(1, len(tokens)))
