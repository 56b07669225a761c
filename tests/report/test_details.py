"""Pages of many candidates: details of as many of the best as fit, and all of them in figures and counts."""

from __future__ import annotations

import base64
import io
import json
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from gflownet_crystal.cli.main import main
from gflownet_crystal.common.errors import DataError
from gflownet_crystal.report import figures, page
from gflownet_crystal.report.card_values import Rated
from gflownet_crystal.report.figure_style import MANY, figure_style, to_svg
from gflownet_crystal.report.figures import energy_figure, hull_figure, judged_figure
from gflownet_crystal.report.figures_evidence import two_judges_figure
from gflownet_crystal.report.page import Material, write_report
from gflownet_crystal.report.population import Population
from tests.report.runs import candidate_frame, write_run
from tests.report.test_page import Page, material_of


def many(folder: Path, n: int) -> Material:
    """A report of n candidates, copies of six."""
    material = material_of(write_run(folder, finished=False))
    table = material.run.candidates
    rows = table.iloc[np.arange(n) % len(table)].drop(columns="relaxed_cif").reset_index(drop=True)
    names = [f"{rank:03d}_copy.cif" for rank in range(1, n + 1)]
    for old, new in zip(rows["cif"], names, strict=True):
        shutil.copy(material.run.candidates_folder / old, material.run.candidates_folder / new)
    rows = rows.assign(rank=range(1, n + 1), cif=names, e_above_hull=np.linspace(-0.05, 0.3, n))
    run = replace(material.run, candidates=rows)
    return replace(material, run=run, candidates=Population.of("candidates", "candidates", rows))


def ranks(made: Page) -> list[int]:
    return [int(attributes["data-rank"]) for tag, attributes in made.tags if tag == "article"]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, unpainted) -> pytest.MonkeyPatch:
    """Pages of 120 kB at most, without figures."""
    monkeypatch.setattr(page, "MAX_BYTES", 120_000)
    return monkeypatch


def test_a_page_is_filled_with_the_best_and_never_too_large(tmp_path: Path, small):
    material = many(tmp_path / "run", 60)
    written = write_report(material, tmp_path / "report.html")
    made = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    n = written.n_detailed
    assert 0 < n < 60 and ranks(made) == list(range(1, n + 1))
    # one more would not have fitted
    small.setattr(page, "MAX_BYTES", 10**9)
    sizes = [
        write_report(replace(material, candidates=_head(material, size)), tmp_path / "other.html").n_bytes
        for size in (n, n + 1)
    ]
    assert written.n_bytes <= 120_000 < written.n_bytes + 1.1 * (sizes[1] - sizes[0]) + 1500


def _head(material: Material, n: int) -> Population:
    return Population.of("candidates", "candidates", material.candidates.frame.head(n))


def test_parts_of_a_limited_page_hold_the_same_candidates_and_counts_hold_all(tmp_path: Path, small):
    written = write_report(many(tmp_path / "run", 60), tmp_path / "report.html")
    made, n = Page(written.text), written.n_detailed
    told = f"Below are details of the best {n} of 60 candidates"
    assert (
        told in made.text and f"{tmp_path / 'run' / 'candidates' / 'candidates.csv'} lists all" in made.text
    )
    assert len(json.loads(made.scripts["crystals"])["crystals"]) == n
    assert f"The best {n} candidates as a table" in made.text
    (archive,) = [a["href"] for tag, a in made.tags if a.get("download") == "candidates.zip"]
    with zipfile.ZipFile(io.BytesIO(base64.b64decode(archive.partition(",")[2]))) as content:
        placed = [name for name in content.namelist() if name.startswith("placed/")]
    assert len(placed) == n
    assert "How many of the 60 candidates hold each element." in made.text
    assert (
        "among 60 candidates" in made.text and "A symmetry search" in made.text and "in 60 of 60" in made.text
    )


def test_a_page_that_has_room_says_nothing_of_a_limit(tmp_path: Path, unpainted):
    written = write_report(many(tmp_path / "run", 60), tmp_path / "report.html")
    made = Page(written.text)
    assert written.n_detailed == 60 and ranks(made) == list(range(1, 61))
    assert "Below are details" not in made.text and "All 60 candidates as a table" in made.text


def test_a_page_too_large_without_any_candidate_is_an_error(tmp_path: Path, small):
    material = many(tmp_path / "run", 6)
    small.setattr(page, "MAX_BYTES", 20_000)
    with pytest.raises(DataError, match="MB without any candidate"):
        write_report(material, tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_the_terminal_says_how_many_have_details(tmp_path: Path, capsys, small):
    folder = write_run(tmp_path / "run", finished=False, relaxed=False)
    words = ["report", f"run={folder}", "compare=0", "device=cpu", "threads=1"]
    assert main(words) == 0
    assert "; 6 candidates; " in capsys.readouterr().out
    small.setattr(page, "MAX_BYTES", (folder / "report.html").stat().st_size - 1)
    assert main(words) == 0
    out, err = capsys.readouterr()
    assert f"details of the best 5 of 6 candidates; {folder / 'candidates' / 'candidates.csv'} has all" in out
    assert err == ""


N = 5 * MANY


def _cards() -> list[Rated]:
    values = np.random.default_rng(0).normal(0.05, 0.05, (N, 3))
    return [
        Rated(
            rank=rank,
            e_above_hull=a,
            energy_std=0.02,
            judged_above_hull=b,
            second_above_hull=c,
            status="converged",
        )
        for rank, (a, b, c) in enumerate(values.tolist(), start=1)
    ]


def _judged() -> pd.DataFrame:
    frame = candidate_frame().iloc[np.zeros(N, dtype=int)].reset_index(drop=True)
    energy = np.random.default_rng(0).normal(-2, 0.3, N)
    return frame.assign(rank=range(1, N + 1), energy=energy, energy_after=energy + 0.1)


FIGURES = {
    "hull": lambda: hull_figure(_cards(), 0.1),
    "two_judges": lambda: two_judges_figure(_cards(), ("a", "b")),
    "judged": lambda: judged_figure(_judged(), "judge"),
    "energies": lambda: energy_figure(
        {"candidates": _judged()["energy"].to_numpy()}, {"candidates": "c"}, "eV"
    ),
}


@pytest.mark.parametrize("name", FIGURES)
def test_many_points_are_all_drawn_and_take_little_room(name: str):
    with figure_style():
        figure = FIGURES[name]()
        text = to_svg(figure, name, name)
    drawn = {len(line.get_xdata()) for line in figure.axes[0].lines}
    assert N in drawn
    assert len(text) < 400_000 and text.count("<use") < 1000
    assert text.count("data:image/png;base64,") >= 1
    # the picture holds the colour of the points
    content = text.split("data:image/png;base64,")[1].partition('"')[0]
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode("".join(content.split())))).convert("RGBA"))
    assert (pixels[..., 3] > 0).sum() > 1000


def test_few_points_stay_shapes():
    with figure_style():
        text = to_svg(figures.hull_figure(_cards()[:MANY], 0.1), "hull", "hull")
    assert "data:image" not in text and text.count("<use") >= 2 * MANY
