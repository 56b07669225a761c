"""Elements of the sites of a CIF, from type symbols, or from labels where there are none.

A type symbol is an element with an optional charge, number or mass (``Fe3+``, ``O2-``, ``Fe1``, ``7Li``, ``D``). Groups
of atoms (``OH``, ``Wat``), vacancies and dummy atoms are no elements, and nothing is guessed from their first letters.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import gemmi

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.structures.cif_text import NULLS, quoted
from gflownet_crystal.structures.elements import ATOMIC_NUMBERS, SYMBOLS

_HYDROGENS = ("D", "T")
_TYPE = re.compile(
    r"(?:\^?(?P<mass>\d{1,3})\^?)?(?P<element>[A-Za-z]{1,3})_?"
    r"(?:\d{0,3}|\(?(?:[+-]\d?(?:\.\d+)?|\d?(?:\.\d+)?[+-])\)?|\([IVX]+\))",
    re.ASCII,
)
_LABEL = re.compile(r"[A-Za-z]+")
# names of scattering factors of atoms in the valence state
_VALENCE = {"Cval": 6, "Sival": 14, "Siva": 14}

# in capital letters these are groups as often as elements: carbonyl, nitrosyl, cyanide, hydroxyl and others
_GROUPS = {"CO", "NO", "CN", "HO", "NH", "CS", "PO", "HF", "NP", "OS"}
# the rest of labels of molecules, as of H2O and N2H4, which are also those of a second hydrogen or nitrogen atom
_MOLECULE = re.compile(r"[23]O|[2-9]H\d?$")


@dataclass(frozen=True)
class SiteElement:
    """Element of a site.

    Attributes:
        number: atomic number.
        by_formula: whether only the file's formula says so; it must then agree in all.
        tritium: whether the symbol is T, which zeolites have for their tetrahedral sites.
    """

    number: int
    by_formula: bool = False
    tritium: bool = False


def site_elements(
    types: Sequence[str], labels: Sequence[str], in_formula: Collection[int]
) -> list[SiteElement]:
    """Element of each site.

    Args:
        types: type symbols; null where there is none.
        labels: labels of the same sites.
        in_formula: atomic numbers of the file's formula; empty if it has none.

    Raises:
        DataError: a symbol is no element, or may be several.
    """
    lone = {letters for letters in map(_letters, labels) if len(letters) == 1}
    return [
        _of_type(type_, in_formula)
        if type_ not in NULLS and (type_ != label or _is_type(type_))
        else _of_label(label, in_formula, lone)
        for type_, label in zip(types, labels, strict=True)
    ]


def _is_type(text: str) -> bool:
    found = _TYPE.fullmatch(text)
    return found is not None and _number_of(found.group("element")) > 0


def _letters(label: str) -> str:
    """Letters that a label begins with."""
    found = _LABEL.match(label)
    return found.group() if found else ""


def _of_type(text: str, in_formula: Collection[int]) -> SiteElement:
    plain = "".join(text.split())
    if plain in _VALENCE:
        return SiteElement(_VALENCE[plain])
    found = _TYPE.fullmatch(plain)
    element = found.group("element") if found else ""
    number = _number_of(element)
    if found is None or not number:
        raise DataError(f"type symbol {quoted(text)} is no element; give the elements of all atoms")
    mass = int(found.group("mass") or 0)
    if mass and not _is_isotope(number, mass):
        raise DataError(f"type symbol {quoted(text)}: {SYMBOLS[number]} has no isotope of mass {mass}")
    if element not in SYMBOLS and element.upper() in _GROUPS:
        if number not in in_formula:
            raise DataError(
                f"type symbol {quoted(text)} may be the element {SYMBOLS[number]} or a group of atoms; "
                "give the elements of all atoms"
            )
        return SiteElement(number, by_formula=True)
    return SiteElement(number, tritium=element == "T")


def _of_label(text: str, in_formula: Collection[int], lone: Collection[str]) -> SiteElement:
    letters = _letters(text)
    molecule = _MOLECULE.match(text[len(letters) :]) is not None
    number = 0 if letters in _HYDROGENS else _number_of(letters)
    # in capitals FE is iron, but NO may be nitrogen, and CA a carbon atom beside others
    two = len(letters) == 2 and letters not in SYMBOLS
    two &= (
        letters.upper() in _GROUPS or letters[:1] in lone or (bool(in_formula) and number not in in_formula)
    )
    if number and not two and not molecule:
        return SiteElement(number)
    candidates = {number, ATOMIC_NUMBERS.get(letters[:1], 0) if len(letters) == 2 else 0}
    candidates |= {1} if letters in _HYDROGENS else set()
    candidates &= set(in_formula)
    if len(candidates) == 1 and not molecule:
        return SiteElement(candidates.pop(), by_formula=True)
    raise DataError(
        f"site {quoted(text)} has no type symbol, and its label names no one element; give type symbols"
    )


def _number_of(element: str) -> int:
    """Atomic number of a symbol in the usual or in uniform letter case; 0 if it is none."""
    if element in _HYDROGENS:
        return 1
    uniform = element.isupper() or element.islower()
    return ATOMIC_NUMBERS.get(element.capitalize() if uniform else element, 0)


def _is_isotope(number: int, mass: int) -> bool:
    usual = gemmi.Element(number).weight
    return number <= mass <= 3 * number and abs(mass - usual) <= max(2.0, 0.12 * usual)
