"""Evidence for a candidate, which is marked by its weakest piece."""

from __future__ import annotations

from dataclasses import dataclass

from gflownet_crystal.common.run_schema import HULL_COLUMN
from gflownet_crystal.proxies.chemical_systems import FEWEST_ENTRIES
from gflownet_crystal.proxies.hull import FAR_BELOW, NEAR_HULL
from gflownet_crystal.report.card_values import Evidence, Rated

MARKS = ("good", "caution", "bad")
"""From the best to the worst."""

TOO_NEAR = 0.5
"""Å: nearer than this no two atoms are in any crystal (the usual test of structural validity)."""
CROWDED = 0.7
"""Distance over summed covalent radii below which atoms are crowded; real crystals have 0.8 to 1.2."""

_FAR_ABOVE = 3 * NEAR_HULL
# attributes of a card that are energies above the hull, and their names
_ENERGIES = {
    HULL_COLUMN: "predicted from the spec",
    "placed_above_hull": "judged as generated",
    "judged_above_hull": "judged after relaxation",
    "second_above_hull": "by the model that relaxed",
}


@dataclass(frozen=True)
class Mark:
    """Quality of one piece of evidence.

    Attributes:
        mark: one of ``MARKS``.
        reason: why it is not good, else empty.
    """

    mark: str
    reason: str = ""


def worst(marks: list[Mark]) -> str:
    """The worst of some marks, at least one."""
    return max((one.mark for one in marks), key=MARKS.index)


def energy_mark(above: float, entries: float | None, name: str = "") -> Mark:
    """The mark of an energy above the hull: nothing far below a hull is good, nor anything near a sparse one proved.

    Args:
        above: eV/atom.
        entries: known crystals that the hull rests on; None where that is not known.
        name: name of the energy, for the reason.
    """
    told = f"{name}: {above:+.2f} eV/atom".lstrip(": ")
    if above < FAR_BELOW:
        if entries is not None and entries < FEWEST_ENTRIES:
            return Mark("bad", f"{told}, far below a hull of {entries:.0f} known crystals")
        return Mark("caution", f"{told}, far below the hull")
    if above <= NEAR_HULL:
        return Mark("good")
    return Mark("caution" if above <= _FAR_ABOVE else "bad", f"{told} above the hull")


def evidence(card: Rated) -> Evidence:
    """Evidence for and against the candidate of a card.

    Args:
        card: candidate with its energies.
    """
    known = {key: above for key in _ENERGIES if (above := getattr(card, key)) is not None}
    marks = {key: energy_mark(above, card.hull_entries, _ENERGIES[key]) for key, above in known.items()}
    atoms = _of_atoms(card)
    found = [*marks.values(), *atoms]
    if marks and set(marks) == {HULL_COLUMN}:
        found.append(Mark("caution", "no energy of its atoms yet"))
    shown = {key: _shown(one.mark, atoms) for key, one in marks.items()}
    reasons = [one.reason for one in found if one.reason]
    far_below = any(above < FAR_BELOW for above in known.values())
    return Evidence(worst(found) if found else "", reasons, shown, far_below)


def _of_atoms(card: Rated) -> list[Mark]:
    """Marks of contacts and of the relaxation, those that are not good."""
    found = []
    if card.contact:
        found.append(Mark("bad", f"impossible contact {card.contact} Å"))
    if card.placed is None:
        found.append(Mark("bad", "no atoms can be read"))
    else:
        cell = card.placed.cell
        if cell.shortest < TOO_NEAR:
            found.append(Mark("bad", f"atoms {cell.shortest:.2f} Å apart"))
        elif cell.ratio < CROWDED:
            found.append(Mark("caution", f"crowded atoms, {cell.ratio:.2f} of their radii apart"))
    if card.status == "failed":
        found.append(Mark("bad", "its relaxation failed"))
    elif card.status == "not_converged":
        found.append(Mark("caution", "its relaxation did not converge"))
    return found


def _shown(mark: str, atoms: list[Mark]) -> str:
    """The mark of an energy, at best a caution where the atoms are impossible."""
    impossible = any(one.mark == "bad" for one in atoms)
    return "caution" if impossible and mark == "good" else mark
