"""The engine of candidates against a slow reading of its rules, one spec at a time."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Composition

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.proxies.known_compounds import KnownCompounds
from gflownet_crystal.structures.convert import to_pymatgen
from gflownet_crystal.workflows.candidates.screening import Outcome, Search, screen
from gflownet_crystal.workflows.placing.placing import Placer, part_file
from gflownet_crystal.workflows.settings.screening import Screening
from tests.workflows.crystals import ByEdge, Flat, Salts, contacts, salts

NOTHING = KnownCompounds(torch.zeros(0, dtype=torch.int64))
N = 120
FRAME = salts(N)
# rock salt keeps half an edge between atoms: those of the smallest cells are too near
LEAST = 2.575
REFUSED = set(FRAME["a"].iloc[::11])
ENERGIES = dict(zip(FRAME["a"], np.random.default_rng(1).normal(0, 0.15, N), strict=True))


def placer(generator: Salts | None = None) -> Placer:
    return Placer(generator or Salts(set(REFUSED)), Flat(), ByEdge(ENERGIES), contacts(LEAST))


def run(folder: Path | None = None, tables: list[pd.DataFrame] | None = None, **settings: Any) -> Outcome:
    chosen = {"order": "samples", "better": 1.0, "volume_tolerance": 0.0, "deepest": -0.3} | settings
    return screen(iter(tables or [FRAME]), Screening(**chosen), placer(), NOTHING, folder)


def slowly(k: int, limit: int | None, within: float, budget: int) -> dict[str, list[int]]:
    """Outcome of each sample, one after the other."""
    became: dict[str, list[int]] = {
        name: [] for name in ("unplaced", "contact", "far", "deep", "sparse_hull", "generated")
    }
    for row in range(N):
        formula, edge = FRAME["formula"][row], FRAME["a"][row]
        taken = sum(FRAME["formula"][other] == formula for other in became["generated"])
        tried = sum(map(len, became.values()))
        if len(became["generated"]) == k or tried == budget:
            break
        if limit is not None and taken >= limit:
            continue
        unsupported = FRAME["hull_entries"][row] < 12 and ENERGIES[edge] < -0.1
        for name, applies in (
            ("unplaced", edge in REFUSED), ("contact", edge / 2 < LEAST), ("far", ENERGIES[edge] > within),
            ("deep", ENERGIES[edge] < -0.3), ("sparse_hull", unsupported), ("generated", True),
        ):  # fmt: skip
            if applies:
                became[name].append(row)
                break
    return became


@pytest.mark.parametrize(
    ("k", "limit", "within", "budget"),
    [(10, 1, 0.05, 100), (10, 1, 0.05, 20), (200, 1, 0.3, 300), (25, 1, -0.05, 500), (3, 1, 0.05, 100)],
)
def test_one_at_a_time_it_does_what_the_rules_say(k: int, limit: int, within: float, budget: int) -> None:
    budget = max(budget, k)
    outcome = run(k=k, max_per_formula=limit, within=within, most_placed=budget, batch_size=1)
    expected = slowly(k, limit, within, budget)
    near = sorted(expected.pop("generated"), key=lambda row: max(ENERGIES[FRAME["a"][row]], 0.0))
    assert outcome.placed["row"].tolist() == near
    for status, rows in expected.items():
        mine = outcome.left_out[outcome.left_out["status"] == status]
        assert sorted(mine["row"]) == rows, status


@pytest.mark.parametrize("batch_size", [1, 7, 64])
@pytest.mark.parametrize("limits", [(None, None), (1, None), (2, 3)])
def test_counts_add_up_and_limits_hold_whatever_the_batches(batch_size: int, limits: tuple) -> None:
    names = dict(zip(("max_per_formula", "max_per_system"), limits, strict=True))
    outcome = run(k=12, batch_size=batch_size, most_placed=90, **names)
    stages = {row["stage"]: row["n"] for row in outcome.funnel}
    counts = list(stages.values())
    assert counts == sorted(counts, reverse=True)
    status = outcome.left_out["status"].value_counts()
    assert stages["tried"] == len(outcome.placed) + len(outcome.left_out) <= 90
    assert stages["tried"] - stages["with atoms"] == status.get("unplaced", 0)
    assert stages["with atoms"] - stages["without impossible contacts"] == status.get("contact", 0)
    near = stages["within 0.05 eV/atom of the hull"]
    assert stages["without impossible contacts"] - near == status.get("far", 0)
    deep = stages["at most 0.3 eV/atom below it"]
    assert near - deep == status.get("deep", 0)
    assert deep - stages["not far below a sparse hull"] == status.get("sparse_hull", 0)
    assert stages["candidates"] == len(outcome.placed) <= 12
    formulas = Counter(Composition(FRAME["formula"][row]).reduced_formula for row in outcome.placed["row"])
    assert limits[0] is None or max(formulas.values()) <= limits[0]
    assert outcome.placed["row"].is_unique
    assert not set(outcome.placed["row"]) & set(outcome.left_out["row"])
    crystals = to_pymatgen(outcome.structures)
    for place, (row, crystal) in enumerate(zip(outcome.placed["row"], crystals, strict=True)):
        assert crystal.composition == Composition(FRAME["formula"][row])
        assert crystal.lattice.a == pytest.approx(FRAME["a"][row])
        assert outcome.placed["e_above_hull_judged"][place] == pytest.approx(ENERGIES[FRAME["a"][row]])


def test_crystals_that_are_one_are_replaced_by_the_next() -> None:
    # all cells of a formula are one crystal to a matcher that scales volumes
    outcome = run(k=200, within=0.3, most_placed=300)
    crystals = to_pymatgen(outcome.structures)
    matcher = StructureMatcher(stol=0.3, ltol=0.2, angle_tol=5.0)
    for place, one in enumerate(crystals):
        assert not any(matcher.fit(one, other) for other in crystals[:place])
    doubles = outcome.left_out[outcome.left_out["status"] == "double"]
    kept = {FRAME["formula"][row] for row in outcome.placed["row"]}
    assert len(doubles) and {FRAME["formula"][row] for row in doubles["row"]} <= kept
    alone = run(k=200, within=0.3, most_placed=300, max_per_formula=1)
    assert {FRAME["formula"][row] for row in alone.placed["row"]} == kept


def test_of_more_that_pass_the_nearest_to_the_hull_are_kept() -> None:
    more = run(k=20, max_per_formula=1, within=0.3, most_placed=200)
    chosen = run(k=5, choose_from=20, max_per_formula=1, within=0.3, most_placed=200)
    assert chosen.placed["row"].tolist() == more.placed["row"].tolist()[:5]
    outranked = chosen.left_out[chosen.left_out["status"] == "outranked"]
    spare = more.left_out[more.left_out["status"] == "outranked"]["row"].tolist()
    assert outranked["row"].tolist() == more.placed["row"].tolist()[5:] + spare
    assert chosen.funnel[-1]["n"] == 5 and more.funnel[-1]["n"] == 20


def test_places_left_are_filled_with_the_next_nearest_only_if_asked() -> None:
    plain = run(k=30, max_per_formula=1, within=-0.2, most_placed=100)
    filled = run(k=30, max_per_formula=1, within=-0.2, most_placed=100, fill=True)
    n = len(plain.placed)
    assert 0 < n < 30 and filled.placed["row"].tolist()[:n] == plain.placed["row"].tolist()
    rest = filled.placed.iloc[n:]
    assert rest["e_above_hull_judged"].is_monotonic_increasing and (rest["e_above_hull_judged"] > -0.2).all()
    assert rest["reason"].str.contains("above the hull").all()
    assert Counter(FRAME["formula"][row] for row in filled.placed["row"]).most_common(1)[0][1] == 1
    assert filled.funnel[-1] == {"stage": "filled up with the next nearest", "n": len(filled.placed)}
    assert set(filled.left_out["row"]) == set(plain.left_out["row"]) - set(rest["row"])


def test_further_samples_are_drawn_until_there_are_enough() -> None:
    parts = [FRAME.iloc[:10], FRAME.iloc[10:60], FRAME.iloc[60:]]
    outcome = run(k=12, tables=parts, max_per_formula=1, batch_size=1)
    whole = run(k=12, max_per_formula=1, batch_size=1)
    assert len(outcome.placed) == 12 and len(outcome.frame) < N
    assert sorted(outcome.placed["row"]) == sorted(whole.placed["row"])


def test_batches_that_are_kept_are_not_made_again(tmp_path: Path) -> None:
    settings = Screening(k=12, max_per_formula=1, better=1.0, volume_tolerance=0.0, batch_size=5)
    whole = screen(iter([FRAME]), settings, placer(), NOTHING)
    told: list[str] = []

    def stop(words: str, n: int) -> None:
        told.append(words)
        if len(told) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        screen(iter([FRAME]), settings, placer(), NOTHING, tmp_path, stop)
    generator = Salts(set(REFUSED))
    again = screen(iter([FRAME]), settings, placer(generator), NOTHING, tmp_path)
    for name in ("placed", "left_out"):
        pd.testing.assert_frame_equal(getattr(again, name), getattr(whole, name), check_dtype=False)
    assert again.funnel == whole.funnel
    tried = whole.funnel[2]["n"]
    # first tries of the batches that were missing alone
    assert whole.funnel[2]["stage"] == "tried" and sum(n for n, _ in generator.asked) == tried - 10
    broken = pd.read_parquet(part_file(tmp_path, 0))
    broken.assign(row=broken["row"] + 1000).to_parquet(part_file(tmp_path, 0))
    with pytest.raises(DataError, match="other samples"):
        screen(iter([FRAME]), settings, placer(), NOTHING, tmp_path)
    broken.drop(columns="contact").to_parquet(part_file(tmp_path, 0))
    with pytest.raises(DataError, match="no column contact"):
        screen(iter([FRAME]), settings, placer(), NOTHING, tmp_path)


def test_by_reward_the_best_that_can_be_placed_are_taken_in_their_order() -> None:
    outcome = run(k=15, order="best", by_reward=True, within=None, max_per_formula=1, batch_size=1)
    ranked = FRAME["log_reward"].sort_values(ascending=False, kind="stable").index
    expected: list[int] = []
    for row in ranked:
        edge, formula = FRAME["a"][row], FRAME["formula"][row]
        deep = ENERGIES[edge] < (-0.1 if FRAME["hull_entries"][row] < 12 else -0.3)
        new = formula not in {FRAME["formula"][other] for other in expected}
        if len(expected) < 15 and edge not in REFUSED and edge / 2 >= LEAST and not deep and new:
            expected.append(row)
    assert outcome.placed["row"].tolist() == expected


def test_nothing_that_passes_leaves_an_empty_list_and_the_reasons() -> None:
    outcome = run(k=5, within=-9.0)
    assert outcome.structures is None and len(outcome.placed) == 0
    assert set(outcome.left_out["status"]) == {"unplaced", "contact", "far"}
    assert outcome.funnel[-1] == {"stage": "candidates", "n": 0}
    filled = run(k=5, within=-9.0, fill=True, max_per_formula=1)
    assert len(filled.placed) == 5 and filled.placed["e_above_hull_judged"].is_monotonic_increasing


@pytest.mark.parametrize("steps", [[4], [1, 2, 4], [1, 3]])
def test_candidates_that_are_none_in_the_end_give_way_to_the_next(tmp_path: Path, steps: list[int]) -> None:
    settings = Screening(
        order="samples", better=1.0, volume_tolerance=0.0, k=6, max_per_formula=1, batch_size=5
    )
    search = Search(iter([FRAME]), settings, placer(), NOTHING, tmp_path)
    search.run()
    first = search.queue["row"].tolist()
    doubles: set[int] = set()
    for n in steps:
        doubles = set(first[:n])
        search.supply(settings.k + len(doubles))
    assert search.queue["row"].tolist()[: len(first)] == first
    outcome = search.outcome(doubles)
    assert len(outcome.placed) == 6 and outcome.structures is not None and len(outcome.structures) == 6
    assert not doubles & set(outcome.placed["row"])
    mine = outcome.left_out[outcome.left_out["row"].isin(doubles)]
    assert len(mine) == len(doubles) and (mine["status"] == "double").all()
    assert mine["reason"].str.startswith("relaxed").all()
    # a spec is one thing, and each that was tried is something
    rows = [*outcome.placed["row"], *outcome.left_out["row"]]
    stages = {row["stage"]: row["n"] for row in outcome.funnel}
    assert sorted(rows) == sorted(set(rows)) and len(rows) == stages["tried"]
    assert stages["candidates"] == 6
    assert stages["distinct after relaxation"] == stages["distinct with atoms"] - len(doubles)
    # those in their places are the next that pass, as a larger k has them
    more = run(k=30, max_per_formula=1, batch_size=1)
    assert set(outcome.placed["row"]) < set(more.placed["row"])
    # however many were wanted at a time, the batches on disk are the same, and are found again
    again = Search(iter([FRAME]), settings, placer(Salts({float("nan")})), NOTHING, tmp_path)
    again.run()
    again.supply(settings.k + len(doubles))
    assert again.queue["row"].tolist() == search.queue["row"].tolist()


def test_places_stay_empty_where_nothing_is_left_to_try(tmp_path: Path) -> None:
    settings = Screening(order="samples", better=1.0, volume_tolerance=0.0, k=6, most_placed=20, batch_size=4)
    search = Search(iter([FRAME]), settings, placer(), NOTHING)
    search.run()
    search.supply(200)
    everything = search.queue["row"].tolist()
    outcome = search.outcome(everything[:-2])
    assert outcome.placed["row"].tolist() == everything[-2:]
    assert outcome.funnel[-1] == {"stage": "candidates", "n": 2}
    filling = Search(iter([FRAME]), replace(settings, fill=True), placer(), NOTHING)
    filling.run()
    filling.supply(len(everything) + 1)
    assert filling.queue["row"].tolist()[:-1] == everything
    assert filling.queue["e_above_hull_judged"].iloc[-1] > settings.within
