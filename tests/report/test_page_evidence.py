"""The page of a screened run: marks on the cards, the funnel, two judges; nothing of it where the files say nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from gflownet_crystal.common.files import write_json
from gflownet_crystal.report.page import write_report
from tests.report.runs import write_run
from tests.report.test_page import material_of

FUNNEL = [{"stage": "sampled", "n": 10000}, {"stage": "placed", "n": 240}, {"stage": "candidates", "n": 6}]


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> tuple[str, Path]:
    """A run of ``pipeline``: one candidate has an impossible contact, one lies far below a sparse hull."""
    run = write_run(tmp_path_factory.mktemp("made") / "run", relaxed=False)
    path = run / "candidates" / "candidates.csv"
    table = pd.read_csv(path)
    energy = table["energy"] + 0.02
    table = table.assign(status="relaxed", energy_before=energy + 0.1, energy_after=energy, relaxer_after=energy + 0.03,
                         space_group_found=table["space_group"], e_above_hull=0.0, e_above_hull_judged=0.02,
                         contact=["Mg-O 2.10", "Mg-O 1.10", None, None, None, None],
                         contact_ratio=[1.1, 0.6, None, None, None, None], hull_entries=[30, 30, 4, 30, 30, 30],
                         known_formula=[True, False, False, False, False, False])  # fmt: skip
    table.loc[2, "e_above_hull_judged"] = -0.4
    table.to_csv(path, index=False)
    write_json(
        run / "candidates" / "summary.json",
        {"energies": "alignn", "relax_model": "sevenn:7net-l3i5", "funnel": FUNNEL},
    )
    write_report(material_of(run), run / "report.html")
    return (run / "report.html").read_text(encoding="utf-8"), run


def cards(text: str) -> list[str]:
    return re.findall(r'<article class="card".*?</article>', text, flags=re.DOTALL)


def test_each_card_is_marked_by_its_weakest_evidence(page):
    text, _ = page
    marks = [re.search(r'class="chip whole (\w+)"', card)[1] for card in cards(text)]
    assert marks == ["good", "bad", "bad", "good", "good", "good"]
    contact, sparse = cards(text)[1:3]
    assert "impossible contact: Mg-O 1.10 Å" in contact and 'class="chip good"' not in contact
    assert "far below a hull of 4 known crystals" in sparse and "which is few" in sparse
    tiles = dict(re.findall(r"<dt>([^<]*)</dt><dd class=\"value\">([^<]*)</dd>", text))
    assert tiles["hold by all their evidence"] == "4 of 6"
    assert tiles["judged within 0.1 eV/atom of the hull by alignn"] == "4 of 6"
    assert tiles["predicted within 0.1 eV/atom of the hull"] == "5 of 6"


def test_how_new_each_candidate_is_stands_on_its_card(page):
    text, _ = page
    assert all("<dt>novelty</dt>" in card for card in cards(text))
    assert "known formula" in cards(text)[0]


def test_the_funnel_and_two_judges_are_drawn(page):
    text, run = page
    for name in ("funnel", "two_judges"):
        assert f'id="figure-{name}"' in text and (run / "figures" / f"{name}.png").stat().st_size > 5000
    for stage in ("sampled", "placed", "10,000", "240", "sevenn:7net-l3i5"):
        assert stage in text


def test_runs_that_say_nothing_of_it_have_none_of_it(tmp_path: Path, unpainted):
    run = write_run(tmp_path / "run", relaxed=False)
    write_report(material_of(run), run / "report.html")
    text = (run / "report.html").read_text(encoding="utf-8")
    assert "figure-funnel" not in text and "figure-two_judges" not in text
    # nothing but predictions: nothing holds yet
    assert 'class="chip whole good"' not in text and "no energy of its atoms yet" in text
