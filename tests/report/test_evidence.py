"""Marks of candidates: by the weakest of their evidence, and nothing far below a hull or impossible is good."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from gflownet_crystal.common.files import read_json, write_json
from gflownet_crystal.common.run_summary import RunSummary
from gflownet_crystal.report.card_values import Model, Rated
from gflownet_crystal.report.cards import make_cards
from gflownet_crystal.report.evidence import MARKS, energy_mark, evidence
from gflownet_crystal.report.findings import candidate_findings
from gflownet_crystal.report.population import Population
from gflownet_crystal.report.run_files import RunFiles, funnel_of, read_run
from tests.report.runs import candidate_frame, write_candidates, write_run

NAMES = ("e_above_hull", "placed_above_hull", "judged_above_hull", "second_above_hull")


class _Roomy:
    shortest, ratio = 2.5, 1.0


def card(**values: Any) -> Rated:
    return Rated(**({"rank": 1, "hull_entries": 40.0, "placed": Model("", _Roomy())} | values))


@pytest.mark.parametrize(
    ("above", "entries", "mark"),
    [
        (0.1, 40, "good"), (-0.1, 40, "good"), (0.05, 3, "good"), (0.1001, 40, "caution"), (0.3, None, "caution"),
        (0.31, 40, "bad"), (-0.11, 12, "caution"), (-0.11, None, "caution"), (-0.11, 11, "bad"), (-3.0, 0, "bad"),
    ],
)  # fmt: skip
def test_marks_of_energies(above: float, entries: float | None, mark: str) -> None:
    found = energy_mark(above, entries)
    assert found.mark == mark and bool(found.reason) == (mark != "good")


def test_the_weakest_of_all_energies_decides() -> None:
    values = {"good": 0.02, "caution": 0.2, "bad": 0.5}
    for marks in product(MARKS, repeat=3):
        names = NAMES[1:]
        given = {name: values[mark] for name, mark in zip(names, marks, strict=True)}
        found = evidence(card(e_above_hull=0.0, **given))
        assert found.mark == max(marks, key=MARKS.index)
        assert found.marks == {"e_above_hull": "good", **dict(zip(names, marks, strict=True))}
        assert len(found.reasons) == sum(mark != "good" for mark in marks)


def test_a_prediction_of_the_spec_alone_is_never_good() -> None:
    found = evidence(card(e_above_hull=-0.02))
    assert (found.mark, found.reasons) == ("caution", ["no energy of its atoms yet"])
    assert evidence(card(e_above_hull=-0.02, placed_above_hull=0.01)).mark == "good"
    assert evidence(card()).mark == ""


def test_nothing_far_below_a_sparse_hull_or_with_an_impossible_contact_is_good() -> None:
    energies = dict.fromkeys(NAMES, 0.0)
    assert evidence(card(**energies)).mark == "good"
    contact = evidence(card(**energies, contact="F-F 1.26"))
    assert contact.mark == "bad" and "F-F 1.26" in contact.reasons[0]
    assert set(contact.marks.values()) == {"caution"}
    for name in NAMES:
        found = evidence(card(**(energies | {name: -0.2}), hull_entries=5.0))
        assert (found.mark, found.marks[name], found.far_below) == ("bad", "bad", True)


@pytest.mark.parametrize(
    ("values", "mark"),
    [({"status": "failed"}, "bad"), ({"status": "not_converged"}, "caution"), ({"status": "converged"}, "good"),
     ({"placed": None}, "bad")],
)  # fmt: skip
def test_relaxations_and_lost_atoms_count_too(values: dict[str, object], mark: str) -> None:
    assert evidence(card(**dict.fromkeys(NAMES, 0.0), **values)).mark == mark


def test_crowded_atoms_count_too() -> None:
    for shortest, ratio, mark in ((0.4, 0.3, "bad"), (1.2, 0.6, "caution"), (1.2, 0.7, "good")):
        cell = _Roomy()
        cell.shortest, cell.ratio = shortest, ratio  # type: ignore[misc]
        found = evidence(card(**dict.fromkeys(NAMES, 0.0), placed=Model("", cell)))
        assert found.mark == mark


def relaxed_run(folder: Path, frame: pd.DataFrame) -> RunFiles:
    """A run whose table says itself that all candidates were judged near the hull."""
    frame = frame.assign(status="converged", energy_before=frame["energy"], energy_after=frame["energy"],
                         e_above_hull=0.01, e_above_hull_judged=0.01)  # fmt: skip
    return RunFiles(folder, {}, RunSummary(), [], None, frame, folder, None, "alignn")


def test_findings_count_what_holds_and_say_what_does_not(tmp_path: Path) -> None:
    frame = write_candidates(tmp_path)
    run = relaxed_run(tmp_path, frame)
    assert run.candidates is not None
    cards = make_cards(run, Population.of("candidates", "", run.candidates), None)
    found = {one.title: one for one in candidate_findings(cards, run)}
    assert found["Evidence"].verdict == "good" and "6 of 6 hold" in found["Evidence"].text
    assert found["Judged energies"].verdict == "good"
    table = run.candidates.assign(
        contact=["F-F 1.26", None, "O-O 1.10", "K-O 2.9", "", "H-H 0.40"],
        contact_ratio=[0.6, None, 0.5, 1.0, None, 0.7],
    )
    table = table.assign(
        hull_entries=[30, 5, 30, 30, 30, 30], e_above_hull_judged=[0.01, -0.3, 0.0, 0.0, 0.0, 0.0]
    )
    cards = make_cards(replace(run, candidates=table), Population.of("candidates", "", table), None)
    found = {one.title: one for one in candidate_findings(cards, run)}
    assert "2 of 6 hold, 0 are doubtful, 4 do not hold" in found["Evidence"].text
    assert found["Evidence"].verdict == "bad"
    assert "crystal has: 3." in found["Evidence"].text and "than a find: 1." in found["Evidence"].text
    assert (
        found["Judged energies"].verdict == "caution"
        and "4 of these lie far below" in found["Judged energies"].text
    )


@pytest.mark.parametrize(
    ("summary", "expected"),
    [
        ({}, []),
        (
            {"funnel": [{"stage": "sampled", "n": 100}, {"stage": "kept", "n": 0}]},
            [("sampled", 100), ("kept", 0)],
        ),
        ({"funnel": 3}, []),
        ({"funnel": [3]}, []),
        ({"funnel": [{"stage": "sampled"}]}, []),
        ({"funnel": [{"stage": "sampled", "n": "many"}]}, []),
        ({"funnel": [{"stage": "sampled", "n": -1}]}, []),
    ],
)
def test_funnels_that_are_none_are_left_out(summary: dict[str, object], expected: list[object]) -> None:
    assert funnel_of(summary) == expected


def test_the_funnel_is_that_of_the_candidates_or_else_of_the_run(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    assert read_run(run, {}).funnel == []
    summary = read_json(run / "summary.json")
    write_json(run / "summary.json", {**summary, "funnel": [{"stage": "sampled", "n": 9}]})
    assert read_run(run, {}).funnel == [("sampled", 9)]
    write_json(run / "candidates" / "summary.json", {"funnel": [{"stage": "kept", "n": 2}]})
    assert read_run(run, {}).funnel == [("kept", 2)]


def test_columns_of_the_screening_are_shown_once(tmp_path: Path) -> None:
    frame = write_candidates(tmp_path, 2).assign(
        contact=["Mg-O 2.10", "Mg-O 1.10"], contact_ratio=[1.2, 0.6], hull_entries=[3, 40], known_formula=True
    )
    run = RunFiles(tmp_path, {}, RunSummary(), [], None, frame, tmp_path, None, "")
    first, second = make_cards(run, Population.of("candidates", "", frame), None)
    assert (first.contact, second.contact) == ("", "Mg-O 1.10")
    assert (first.hull_entries, first.other, second.other) == (3.0, {}, {})
    assert candidate_frame(1)["formula"][0] == frame["formula"][0]
