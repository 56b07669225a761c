"""A run with a prior: figures of shares against pandas, and the section of the page."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gflownet_crystal.report.figures_prior import (
    Shares,
    element_share_figure,
    group_share_figure,
    shares_of,
    size_figure,
)
from gflownet_crystal.report.population import Population
from gflownet_crystal.structures.spec_io import frame_to_specs
from tests.report.runs import sample_frame, write_run
from tests.report.test_figures import tick_texts
from tests.report.test_page import material_of, page_of
from tests.report.test_population import long_table

SAMPLES, PRIOR = sample_frame(70, seed=4), sample_frame(50, seed=5)
KNOWN = {
    "n": 12345,
    "elements": {"O": 0.4, "Na": 0.1, "W": 0.3},
    "space_groups": {"1": 0.25, "230": 0.75},
    "n_elements": {"1": 0.1, "3": 0.9},
    "n_atoms": {"2": 0.5, "40": 0.5},
}


@pytest.fixture(scope="module")
def sets() -> list[Shares]:
    populations = (Population.of("samples", "samples", SAMPLES), Population.of("prior", "prior", PRIOR))
    return [*map(shares_of, populations), Shares("reference", "known", KNOWN)]


def heights(bars) -> list[float]:
    return [bar.get_height() for bar in bars]


def test_elements_are_those_of_samples_and_prior_with_the_shares_of_all(sets):
    axes = element_share_figure(sets).axes[0]
    names = tick_texts(axes)
    for bars, frame in zip(axes.containers[:2], (SAMPLES, PRIOR), strict=True):
        expected = 100 * long_table(frame).groupby("symbol")["crystal"].nunique() / len(frame)
        drawn = dict(zip(names, heights(bars), strict=True))
        assert {name: value for name, value in drawn.items() if value} == pytest.approx(
            expected.to_dict(), rel=1e-3
        )
    known = dict(zip(names, heights(axes.containers[2]), strict=True))
    assert "W" not in known and known["Na"] == pytest.approx(10.0) and known["O"] == pytest.approx(40.0)
    first = heights(axes.containers[0])
    assert first == sorted(first, reverse=True)


def test_sizes_are_counted_and_cumulated(sets):
    left, right = size_figure(sets).axes
    n_elements = long_table(SAMPLES).groupby("crystal")["symbol"].nunique()
    drawn = dict(zip(tick_texts(left), heights(left.containers[0]), strict=True))
    for number, share in (100 * n_elements.value_counts(normalize=True)).items():
        assert drawn[str(number)] == pytest.approx(share, rel=1e-3)
    assert drawn["3"] == 0.0 and heights(left.containers[2])[-1] == pytest.approx(90.0)
    atoms = frame_to_specs(SAMPLES).n_atoms.numpy()
    for place, share in right.lines[0].get_xydata():
        assert share == pytest.approx(100 * (atoms <= place).mean(), abs=0.1)
    np.testing.assert_allclose(right.lines[2].get_ydata()[[0, 1, 38, 39]], [0.0, 50.0, 50.0, 100.0])


def test_groups_have_a_row_of_axes_a_set(sets):
    rows = group_share_figure(sets).axes
    assert [axes.get_title(loc="left") for axes in rows] == ["70 samples", "50 prior", "known"]
    expected = 100 * SAMPLES["space_group"].value_counts(normalize=True)
    drawn = {number: height for number, height in enumerate(heights(rows[0].containers[0]), 1) if height}
    assert drawn == pytest.approx(expected.to_dict(), rel=1e-3)
    assert heights(rows[2].containers[0])[0] == 25.0 and heights(rows[2].containers[0])[229] == 75.0


def test_the_page_has_a_section_for_what_there_is(tmp_path, unpainted):
    folder = write_run(tmp_path / "run", candidates=False)
    material = material_of(folder)
    without = page_of(material, folder / "report.html")
    assert not any(attributes.get("id") == "prior" for _, attributes in without.tags)
    population = Population.of("prior", "of the prior", PRIOR)
    unpainted.undo()
    made = page_of(replace(material, prior=population, learned=KNOWN), folder / "report.html")
    assert any(attributes.get("id") == "prior" for _, attributes in made.tags)
    assert "50 of the prior" in made.source and "12,345 crystals that the prior learned from" in made.source
    assert (folder / "figures" / "prior_sizes.png").stat().st_size > 5000
    assert "12,345" in page_of(replace(material, learned=KNOWN), folder / "report.html").source
