"""One card a candidate: everything the page shows of it, as plain values."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from ase.data import atomic_masses

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.common.run_schema import (
    ENERGY,
    ENERGY_AFTER,
    ENERGY_BEFORE,
    ENERGY_STD,
    FORMULA,
    HULL_COLUMN,
    LOG_REWARD,
    RANK,
    SPACE_GROUP,
    STATUS,
    VOLUME,
)
from gflownet_crystal.crystallography.lattice import matrix_to_parameters
from gflownet_crystal.crystallography.space_groups import (
    CRYSTAL_LATTICE_SYSTEMS,
    crystal_lattice_system_of_group,
    space_group_symbol,
)
from gflownet_crystal.data.schema import ENERGY_COLUMN, JUDGED_HULL
from gflownet_crystal.evaluation.parallel import Crystal, to_crystals
from gflownet_crystal.report.card_values import Card, EndCell, FormulaParts, KnownCrystal, Model
from gflownet_crystal.report.cells import Cell
from gflownet_crystal.report.evidence import evidence
from gflownet_crystal.report.known import nearest_known
from gflownet_crystal.report.newness import newness
from gflownet_crystal.report.population import Population
from gflownet_crystal.report.run_files import RunFiles
from gflownet_crystal.structures.elements import FORMULA_ORDER, SYMBOLS
from gflownet_crystal.structures.formulas import reduce_composition

A3_TO_CM3, GRAMS_OF_DALTON = 1e-24, 1.66053906892e-24
_WHOLE = 1e9
_SHOWN = {
    "rank", "space_group", "formula", "a", "b", "c", "alpha", "beta", "gamma", "volume_per_atom", "energy",
    ENERGY_STD, LOG_REWARD, HULL_COLUMN, "cif", "status", ENERGY_BEFORE, ENERGY_AFTER, "volume_change",
    "rms_displacement", "space_group_after", "relaxed_cif", "judge", JUDGED_HULL,
    "shortest_distance", "relaxer_before", "relaxer_after", "length_change", "angle_change", "max_displacement",
    "relax_steps", "contact", "contact_ratio", "hull_entries", "known_formula", "known_formula_and_group",
}  # fmt: skip
_MOVED = ("converged", "not_converged")


def make_cards(run: RunFiles, candidates: Population, known: Population | None) -> list[Card]:
    """The cards of all candidates, in their order.

    Args:
        run: files of the run, with candidates.
        candidates: the same candidates.
        known: crystals to look for the nearest in, or None.
    """
    cards = [
        _card({str(name): value for name, value in row.items()}, counts, run)
        for row, counts in zip(candidates.frame.to_dict("records"), candidates.composition, strict=True)
    ]
    found = _as_found(candidates)
    new = newness(found, known, _told(candidates))
    cards = [replace(card, new=one.text) for card, one in zip(cards, new, strict=True)]
    if known is None or not len(known):
        return cards
    nearest = nearest_known(found, known, [_atoms(card) for card in cards])
    pairs = zip(cards, nearest.iterrows(), strict=True)
    return [replace(card, known=_known(known, match)) for card, (_, match) in pairs]


def _card(row: dict[str, Any], counts: np.ndarray, run: RunFiles) -> Card:
    """The card of a row; its novelty and its nearest known compound are not known yet."""
    placed = _model(run.candidates_folder, row.get("cif"))
    relaxed = _model(run.relaxed_folder or run.candidates_folder, row.get("relaxed_cif"))
    energies = _energies(row, run)
    # a pipeline keeps one file a candidate: relaxed, where it was
    is_relaxed = run.is_pipeline and placed is not None and energies[STATUS] in _MOVED
    others = {name: value for name, value in row.items() if name not in _SHOWN and not pd.isna(value)}
    card = Card(
        **_facts(row, counts),
        **energies,
        placed=placed,
        relaxed=relaxed,
        is_relaxed=is_relaxed,
        end=_end(placed if is_relaxed else relaxed),
        other={name: shown(value) for name, value in others.items()},
    )
    return replace(card, evidence=evidence(card))


def _told(candidates: Population) -> list[Any] | None:
    """Whether each formula is known, as far as the table says it."""
    frame = candidates.frame
    return frame["known_formula"].tolist() if "known_formula" in frame else None


def _as_found(candidates: Population) -> Population:
    """Candidates with the groups that their atoms have, where these were relaxed, in place of those asked for."""
    frame = candidates.frame
    if "space_group_after" not in frame:
        return candidates
    group = frame["space_group_after"].fillna(frame[SPACE_GROUP]).astype("int64")
    return replace(candidates, frame=frame.assign(space_group=group))


def _facts(row: dict[str, Any], counts: np.ndarray) -> dict[str, Any]:
    group, volume = int(row[SPACE_GROUP]), float(row[VOLUME])
    reduced = reduce_composition(torch.from_numpy(counts)[None])[0].numpy()
    mass = float(counts @ np.append(atomic_masses, np.zeros(119))[:119])
    return {
        "rank": int(row[RANK]),
        "same_as": number(row.get("same_as")),
        "formula": formula_parts(reduced),
        "name": "".join(f"{symbol}{count}" for symbol, count in formula_parts(reduced)),
        "cell_formula": str(row[FORMULA]),
        "elements": [symbol for symbol, _ in formula_parts(reduced)],
        "n_atoms": int(counts.sum()),
        "space_group": group,
        "symbol": space_group_symbol(group),
        "system": CRYSTAL_LATTICE_SYSTEMS[crystal_lattice_system_of_group[group] - 1],
        "lengths": [float(row[name]) for name in ("a", "b", "c")],
        "angles": [float(row[name]) for name in ("alpha", "beta", "gamma")],
        "volume_per_atom": volume,
        "density": mass * GRAMS_OF_DALTON / (volume * counts.sum() * A3_TO_CM3),
    }


def formula_parts(counts: np.ndarray) -> FormulaParts:
    """Symbols with their counts as text, "" for one, in order of electronegativity."""
    numbers = [number for number in FORMULA_ORDER if counts[number]]
    return [(SYMBOLS[number], "" if counts[number] == 1 else str(counts[number])) for number in numbers]


def _energies(row: dict[str, Any], run: RunFiles) -> dict[str, Any]:
    """Predicted and judged energies; the judged one is measured from the hull that ranked the candidate.

    A pipeline's table says itself how far its judged energies lie above the hull, also those of atoms as generated.
    """
    energy, above, judged = (number(row.get(name)) for name in ("energy", HULL_COLUMN, ENERGY_AFTER))
    own = number(row.get(JUDGED_HULL))
    shift = measured = None
    if run.summary.quantity.name == ENERGY_COLUMN and energy is not None and judged is not None:
        shift = judged - energy
        measured = None if above is None else above + shift
    group, relaxer = number(row.get("space_group_after")), number(row.get("relaxer_after"))
    judged_above = measured if own is None or judged is None else own
    return {
        "contact": _impossible(row),
        "hull_entries": number(row.get("hull_entries")),
        "energy": energy,
        ENERGY_STD: number(row.get(ENERGY_STD)),
        HULL_COLUMN: above,
        "status": None if pd.isna(row.get(STATUS)) else str(row[STATUS]),
        "judged": judged,
        "judged_before": number(row.get(ENERGY_BEFORE)),
        "relaxer_after": relaxer,
        "second_above_hull": _second(judged_above, judged, relaxer, run),
        "judged_shift": shift,
        "judged_above_hull": judged_above,
        "placed_above_hull": own if judged is None else None,
        "volume_change": number(row.get("volume_change")),
        "rms_displacement": number(row.get("rms_displacement")),
        "max_displacement": number(row.get("max_displacement")),
        "relax_steps": number(row.get("relax_steps")),
        "group_after": None if group is None or not 1 <= group <= 230 else int(group),
        "symbol_after": None if group is None or not 1 <= group <= 230 else space_group_symbol(int(group)),
    }


def _impossible(row: dict[str, Any]) -> str:
    """The tightest contact, such as ``F-F 1.26`` (Å), where known crystals have none as short; else empty."""
    contact, ratio = row.get("contact"), number(row.get("contact_ratio"))
    return contact if isinstance(contact, str) and ratio is not None and ratio < 1.0 else ""


def _second(above: float | None, judged: float | None, relaxer: float | None, run: RunFiles) -> float | None:
    """Energy above the hull by the model that relaxed, where another one judges; eV/atom."""
    if run.judge == run.relaxer or above is None or judged is None or relaxer is None:
        return None
    return above + relaxer - judged


def number(value: Any) -> float | None:
    """A finite number, or None."""
    try:
        result = float(value)
    except (TypeError, ValueError):
        return None
    return result if np.isfinite(result) else None


def shown(value: Any) -> str:
    """Any value as a short text: whole numbers as they are, others with four digits."""
    found = number(value) if not isinstance(value, str | bool) else None
    if found is None:
        return str(value)
    return f"{found:.0f}" if found.is_integer() and abs(found) < _WHOLE else f"{found:.4g}"


def _model(folder: Path, name: object) -> Model | None:
    """The cell of a CIF inside a folder; None if the table names none, or one that cannot be read."""
    if not isinstance(name, str) or not name:
        return None
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise DataError(f"{name} leads out of {folder}; the table of candidates names files beside it")
    cell = Cell.read(path)
    return None if cell is None else Model(path.name, cell)


def _end(model: Model | None) -> EndCell | None:
    """The cell of a relaxed crystal; None if there is none."""
    if model is None:
        return None
    structure = model.cell.structure
    lengths, angles = matrix_to_parameters(structure.cell)
    volume = (structure.volume / structure.n_atoms).item()
    return EndCell(lengths[0].tolist(), angles[0].tolist(), volume)


def _atoms(card: Card) -> Crystal | None:
    """The atoms of a candidate: relaxed, where they were."""
    model = card.relaxed or card.placed
    return None if model is None else to_crystals(model.cell.structure)[0]


def _known(known: Population, match: pd.Series) -> KnownCrystal:
    row = known.frame.iloc[int(match["row"])]
    reduced = reduce_composition(torch.from_numpy(known.composition[int(match["row"])])[None])[0].numpy()
    group = int(row[SPACE_GROUP])
    name = row.get("material_id")
    return KnownCrystal(
        name="" if name is None or pd.isna(name) else str(name),
        formula=formula_parts(reduced),
        space_group=group,
        symbol=space_group_symbol(group),
        distance=float(match["distance"]),
        same_formula=bool(match["distance"] < 1e-9),
        same_group=bool(match["same_group"]),
        rms=number(match["rms"]),
        n_compared=int(match["n_compared"]),
        volume_per_atom=number(row[VOLUME]),
        energy=number(row.get(ENERGY)),
    )
