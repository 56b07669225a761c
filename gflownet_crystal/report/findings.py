"""Findings of a run, in numbers and in words: the first thing a reader of the report sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gflownet_crystal.proxies.hull import NEAR_HULL
from gflownet_crystal.report.card_values import Card
from gflownet_crystal.report.evidence import CROWDED, MARKS, TOO_NEAR
from gflownet_crystal.report.run_files import RunFiles


@dataclass(frozen=True)
class Finding:
    """One thing to know.

    Attributes:
        verdict: good, caution, bad or note.
        title: in a few words.
        text: a sentence or two.
    """

    verdict: str
    title: str
    text: str


def candidate_findings(cards: Sequence[Card], run: RunFiles, n_known: int = 0) -> list[Finding]:
    """Whether the candidates are any good, as far as the files say.

    Args:
        cards: cards of the candidates.
        run: files of the run.
        n_known: crystals of the reference.
    """
    found = [_screening(run), _evidence(cards), _geometry(cards), _symmetry(cards)]
    found += [_stability(cards), _judged(cards, run)]
    found += [_novelty(cards, n_known), _diversity(cards)]
    return [finding for finding in found if finding is not None]


def _evidence(cards: Sequence[Card]) -> Finding | None:
    """Finding on the evidence for the candidates."""
    marks = [card.evidence.mark for card in cards if card.evidence.mark]
    if not marks:
        return None
    n = {mark: marks.count(mark) for mark in MARKS}
    text = (
        "By the weakest of their evidence (energy of the spec, energies of the atoms, contacts, relaxation) "
        f"{n['good']} of {len(marks)} hold, {n['caution']} are doubtful, {n['bad']} do not hold."
    )
    if contacts := sum(bool(card.contact) for card in cards):
        text += f" With a contact that no known crystal has: {contacts}."
    if far := sum(card.evidence.far_below for card in cards):
        text += f" More than 0.1 eV/atom below the hull, more often an error than a find: {far}."
    verdict = "good" if n["good"] >= len(marks) / 2 and not contacts else "caution"
    return Finding("bad" if n["bad"] > len(marks) / 2 else verdict, "Evidence", text)


def _screening(run: RunFiles) -> Finding | None:
    """Finding on the number of specs left by each stage of the screening."""
    if not run.funnel:
        return None
    text = "; ".join(f"{stage} {n:,}" for stage, n in run.funnel)
    return Finding("note", "Screening", f"Specs left after each stage: {text}.")


def _geometry(cards: Sequence[Card]) -> Finding | None:
    cells = [card.placed.cell for card in cards if card.placed is not None]
    lost = len(cards) - len(cells)
    if not cells:
        return Finding("bad", "Atoms", f"None of the {len(cards)} CIF files could be read.")
    shortest, ratio = min(cell.shortest for cell in cells), min(cell.ratio for cell in cells)
    crowded = sum(cell.ratio < CROWDED for cell in cells)
    verdict = "bad" if shortest < TOO_NEAR or lost else "caution" if crowded else "good"
    text = (
        f"The nearest two atoms of any candidate are {shortest:.2f} Å apart; the closest contact is {ratio:.2f} of "
        f"the summed covalent radii, and {crowded} of {len(cells)} have one below {CROWDED}."
    ) + _as_relaxed(cards)
    return Finding(verdict, "Atoms", text + (f" {lost} CIF files could not be read." if lost else ""))


def _symmetry(cards: Sequence[Card]) -> Finding | None:
    pairs = [(card.space_group, card.placed.cell.space_group) for card in cards if card.placed]
    if not pairs:
        return None
    right = sum(claimed == found for claimed, found in pairs)
    verdict = "good" if right == len(pairs) else "caution"
    text = f"A symmetry search finds exactly the space group asked for in {right} of {len(pairs)}."
    return Finding(verdict, "Symmetry", text + _as_relaxed(cards))


def _as_relaxed(cards: Sequence[Card]) -> str:
    """Sentence on the number of relaxed cells."""
    relaxed = sum(card.is_relaxed for card in cards)
    return f" {relaxed} of these cells are as relaxed." if relaxed else ""


def _stability(cards: Sequence[Card]) -> Finding | None:
    above = np.array([card.e_above_hull for card in cards if card.e_above_hull is not None])
    if not len(above):
        return None
    near, below = int((above <= NEAR_HULL).sum()), int((above < 0).sum())
    text = (
        f"{near} of {len(above)} are predicted at most {NEAR_HULL} eV/atom above the hull "
        f"(median {np.median(above):+.3f} eV/atom). "
    )
    std = np.array([card.energy_std for card in cards if card.energy_std])
    if len(std):
        text += f"The proxy's own uncertainty is {np.median(std):.2f} eV/atom in the median. "
    if below:
        text += (
            f"{below} lie below the hull: more often the optimism of a sampler that looks for low predictions "
            "than a discovery."
        )
    return Finding("caution" if below or near < len(above) / 2 else "note", "Predicted stability", text)


def _judged(cards: Sequence[Card], run: RunFiles) -> Finding:
    tried = [card for card in cards if card.status is not None]
    if not tried:
        return Finding("caution", "Judged energies", _unrelaxed(cards, run.judge))
    rested = [card for card in tried if card.judged is not None and card.status == "converged"]
    text = f"{run.relaxer or 'A potential'} relaxed {len(tried)} of {len(cards)}: {len(rested)} converged"
    kept = sum(card.group_after == card.space_group for card in rested)
    text += f", {kept} of them in the space group asked for. " if rested else ". "
    shifts = [card.judged_shift for card in rested if card.judged_shift is not None]
    if shifts:
        shift = float(np.median(shifts))
        where = "above" if shift > 0 else "below"
        by = f" (by {run.judge})" if run.judge != run.relaxer else ""
        text += f"Judged energies{by} lie {abs(shift):.2f} eV/atom {where} the predicted ones in the median. "
    judged = [c for c in rested if c.judged_above_hull is not None]
    measured = np.array([c.judged_above_hull for c in judged])
    near = int((measured <= NEAR_HULL).sum())
    # impossible crystals, and those far below a hull, are not near it
    held = sum(c.evidence.marks["judged_above_hull"] == "good" for c in judged)
    if len(measured):
        text += (
            f"By the judged energies {near} of {len(measured)} are at most {NEAR_HULL} eV/atom above the same hull "
            f"(median {np.median(measured):+.2f})."
        )
        if held < near:
            text += f" {near - held} of these lie far below the hull or have impossible contacts."
        text += _second_opinion(rested, run)
    return Finding(_judgement(held, len(measured), len(tried)), "Judged energies", text)


def _second_opinion(rested: Sequence[Card], run: RunFiles) -> str:
    """Sentence on the distances to the hull by the model that relaxed the candidates, where another one judges."""
    both = [c.second_above_hull for c in rested if c.second_above_hull is not None]
    if not both:
        return ""
    above = np.array(both)
    return (
        f" By {run.relaxer}'s own energies it is {int((above <= NEAR_HULL).sum())} of {len(both)} "
        f"(median {np.median(above):+.2f})."
    )


def _unrelaxed(cards: Sequence[Card], judge: str) -> str:
    """Finding on candidates none of which was relaxed."""
    text = "No candidate has been relaxed with a potential yet: "
    placed = np.array([c.placed_above_hull for c in cards if c.placed_above_hull is not None])
    if not len(placed):
        return text + "all energies are the proxy's predictions."
    near = int((placed <= NEAR_HULL).sum())
    return text + (
        f"with the atoms as generated, {judge or 'a potential'} puts {near} of {len(placed)} at most {NEAR_HULL} "
        f"eV/atom above the hull (median {np.median(placed):+.2f})."
    )


def _judgement(near: int, measured: int, tried: int) -> str:
    """Good if half of all that were tried are near the hull, bad if fewer than a quarter of those that converged."""
    if not measured:
        return "caution"
    return "good" if near >= tried / 2 else "bad" if near < measured / 4 else "caution"


def _novelty(cards: Sequence[Card], n_known: int) -> Finding | None:
    known = [card.known for card in cards if card.known]
    if not known:
        return None
    formula = sum(match.same_formula for match in known)
    both = sum(match.same_formula and match.same_group for match in known)
    distance = np.median([match.distance for match in known])
    text = (
        f"{formula} of {len(known)} have the formula of one of {n_known:,} known crystals, {both} of them its group "
        f"too. In the median {100 * distance:.0f} % of the atoms would have to change their element to reach it."
    )
    compared = [match for match in known if match.n_compared]
    if compared:
        same = sum(match.rms is not None for match in compared)
        text += f" Of {len(compared)} whose atoms could be compared, {same} match a known structure."
    return Finding("note", "Novelty", text)


def _diversity(cards: Sequence[Card]) -> Finding:
    formulas, groups = {card.name for card in cards}, {card.space_group for card in cards}
    elements = {symbol for card in cards for symbol in card.elements}
    chemistries = {tuple(sorted(card.elements)) for card in cards}
    text = (
        f"{len(formulas)} formulas, {len(chemistries)} sets of elements, {len(groups)} space groups and "
        f"{len(elements)} elements among {len(cards)} candidates."
    )
    if again := sum(card.same_as is not None for card in cards):
        text += f" Without those that are the same crystal as a better one, {len(cards) - again} are left."
    return Finding("note", "Diversity", text)
