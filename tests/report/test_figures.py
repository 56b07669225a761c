"""Data of the figures against pandas, and their place in a page."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from gflownet_crystal.report.card_values import Rated
from gflownet_crystal.report.drawings import Studio
from gflownet_crystal.report.figure_style import figure_style, plain, save_png, to_svg
from gflownet_crystal.report.figures import (
    energy_figure,
    group_figure,
    hull_figure,
    judged_figure,
    lattice_figure,
    system_shares,
    training_figure,
)
from gflownet_crystal.report.figures_elements import (
    MAX_ELEMENTS,
    pair_figure,
    prevalence_figure,
    shown_elements,
    table_figure,
)
from gflownet_crystal.report.population import Population, atom_shares, crystal_shares
from gflownet_crystal.structures.elements import ATOMIC_NUMBERS, SYMBOLS
from tests.report.runs import candidate_frame, sample_frame
from tests.report.test_population import long_table

SAMPLES, OTHERS = sample_frame(150, seed=1), sample_frame(90, seed=2)


@pytest.fixture(scope="module")
def populations() -> list[Population]:
    return [Population.of("samples", "samples", SAMPLES), Population.of("reference", "known", OTHERS)]


def tick_texts(axes) -> list[str]:
    return [text.get_text() for text in axes.get_xticklabels()]


@pytest.mark.parametrize("shares", [atom_shares, crystal_shares])
def test_bars_are_the_shares_of_the_elements(populations, shares):
    axes = prevalence_figure(populations, shares, "share").axes[0]
    column, how = ("count", "sum") if shares is atom_shares else ("crystal", "nunique")
    for bars, frame in zip(axes.containers, (SAMPLES, OTHERS), strict=True):
        table = long_table(frame)
        expected = table.groupby("symbol")[column].agg(how)
        expected = 100 * expected / (table["count"].sum() if shares is atom_shares else len(frame))
        heights = dict(zip(tick_texts(axes), [bar.get_height() for bar in bars], strict=True))
        assert heights == pytest.approx(expected.to_dict())
    first = [bar.get_height() for bar in axes.containers[0]]
    assert first == sorted(first, reverse=True)


def test_only_the_most_frequent_elements_are_shown():
    composition = np.zeros((60, 119), dtype=np.int64)
    for row in range(60):
        composition[row, 1 : 60 - row] = 1
    frame = pd.DataFrame({"formula": ["H1"] * 60})
    numbers = shown_elements([Population("samples", "", frame, composition)], crystal_shares)
    assert numbers == list(range(1, MAX_ELEMENTS + 1))


def test_pairs_are_drawn_where_they_occur(populations):
    numbers = shown_elements(populations, crystal_shares)
    axes = pair_figure(populations[0], numbers).axes[0]
    names = tick_texts(axes)
    drawn = axes.collections[0].get_array().reshape(len(names), len(names))
    assert names == sorted(names, key=ATOMIC_NUMBERS.get)
    held = long_table(SAMPLES).groupby("crystal")["symbol"].agg(set)
    for i, a in enumerate(names):
        for j, b in enumerate(names):
            share = 100 * held.map(lambda one, a=a, b=b: a in one and b in one).mean()
            if i == j or share == 0:
                assert np.ma.is_masked(drawn[i, j])
            else:
                assert drawn[i, j] == pytest.approx(share)


def test_bars_are_the_shares_of_the_groups(populations):
    figure = group_figure(populations)
    for axes, frame in zip(figure.axes, (SAMPLES, OTHERS), strict=True):
        expected = 100 * frame["space_group"].value_counts(normalize=True)
        heights = {number: bar.get_height() for number, bar in enumerate(axes.containers[0], start=1)}
        assert {k: v for k, v in heights.items() if v} == pytest.approx(expected.to_dict())
    shares = system_shares(SAMPLES["space_group"].to_numpy())
    assert shares["cubic"] == pytest.approx((SAMPLES["space_group"] >= 195).mean())
    assert shares["hexagonal-hexagonal"] == pytest.approx(SAMPLES["space_group"].between(168, 194).mean())


def test_densities_hold_every_crystal(populations):
    figure = lattice_figure(populations)
    assert [axes.get_xlabel() for axes in figure.axes[:2]] == ["a (Å)", "b (Å)"]
    axes = figure.axes[0]
    for index, frame in enumerate((SAMPLES, OTHERS)):
        bars = axes.containers[index]
        widths, heights = (
            np.array([getattr(bar, f"get_{k}")() for bar in bars]) for k in ("width", "height")
        )
        edges = [bar.get_x() for bar in bars] + [bars[-1].get_x() + widths[-1]]
        counts, _ = np.histogram(np.clip(frame["a"], edges[0], edges[-1]), bins=edges)
        assert counts.sum() == len(frame)
        np.testing.assert_allclose(heights * widths * len(frame), counts, atol=1e-6)


def test_energies_are_compared_on_common_bins():
    values = {"untrained": np.array([0.0, 1.0, np.nan]), "samples": SAMPLES["energy"].to_numpy(),
              "candidates": np.array([-3.0, -2.0])}  # fmt: skip
    figure = energy_figure(values, {kind: kind for kind in values}, "energy (eV)")
    axes = figure.axes[0]
    first, second = (np.array([bar.get_x() for bar in axes.containers[k]]) for k in (0, 1))
    np.testing.assert_array_equal(first, second)
    (ticks,) = axes.lines
    np.testing.assert_array_equal(ticks.get_xdata(), values["candidates"])


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", [0.0, 2.0, -1e20, 1e100])
def test_values_that_are_all_equal_have_bins_of_a_width(value: float):
    values = {"samples": np.full(5, value), "untrained": np.full(3, np.nextafter(value, 1e300))}
    axes = energy_figure(values, {kind: kind for kind in values}, "energy (eV)").axes[0]
    for bars, sample in zip(axes.containers, values.values(), strict=False):
        area = sum(bar.get_width() * bar.get_height() for bar in bars)
        assert area == pytest.approx(1.0) and min(bar.get_width() for bar in bars) > 0, sample


@pytest.mark.filterwarnings("error")
def test_no_finite_value_leaves_an_empty_figure():
    figure = energy_figure({"samples": np.array([np.nan, np.inf])}, {"samples": "samples"}, "energy (eV)")
    assert not figure.axes[0].containers


@pytest.mark.filterwarnings("error")
def test_steps_and_values_of_metrics_that_are_no_numbers_are_left_out():
    metrics = [
        {"step": 1, "loss": 3.0},
        {"step": "x", "loss": 2.0},
        {"step": 3, "loss": "y"},
        {"step": 4, "loss": 1.0},
    ]
    axes = training_figure(metrics).axes[0]
    x, y = axes.lines[0].get_data()
    shown = np.isfinite(x.astype(float)) & np.isfinite(y.astype(float))
    assert list(zip(x[shown], y[shown], strict=True)) == [(1.0, 3.0), (4.0, 1.0)]


def test_judged_energies_are_drawn_beside_predicted_ones():
    frame = candidate_frame(3).assign(energy_after=[-1.0, np.nan, -1.5])
    axes = judged_figure(frame, "judge").axes[0]
    points = axes.containers[0].lines[0].get_xydata()
    np.testing.assert_allclose(points, frame.loc[[0, 2], ["energy", "energy_after"]])
    cards = [
        Rated(rank=1, e_above_hull=-0.1, judged_above_hull=0.3, status="converged"),
        Rated(rank=2, energy_std=0.1, status="failed"),
        Rated(rank=3, e_above_hull=0.0, energy_std=0.1, judged_above_hull=0.4, status="not_converged"),
    ]
    axes = hull_figure(cards, 0.1).axes[0]
    rested, hollow = [line for line in axes.lines if line.get_marker() == "D"]
    assert rested.get_xydata().tolist() == [[1.0, 0.3]] and hollow.get_xydata().tolist() == [[3.0, 0.4]]
    assert rested.get_markerfacecolor() != "none" and hollow.get_markerfacecolor() == "none"


def test_the_ranks_of_few_candidates_are_whole_numbers():
    figure = hull_figure([Rated(rank=1, e_above_hull=0.1, energy_std=0.1)], 0.1)
    figure.draw_without_rendering()
    assert all(tick == round(tick) for tick in figure.axes[0].get_xticks())


def test_training_curves_are_those_of_the_metrics():
    metrics = [{"step": k, "loss": 1.0 / k, "log_z": None if k == 3 else k} for k in range(1, 9)]
    figure = training_figure(metrics, "cost ($)")
    assert figure.axes[3].get_ylabel() == r"mean cost (\$)"
    np.testing.assert_allclose(figure.axes[0].lines[0].get_ydata(), [record["loss"] for record in metrics])
    assert np.isnan(figure.axes[1].lines[0].get_ydata()[2])
    assert not figure.axes[2].lines


def test_a_training_with_a_prior_has_its_curves_too():
    metrics = [{"step": k, "loss": 1.0, "kl_from_prior": k / 9, "mean_log_prior": -k} for k in range(1, 9)]
    figure = training_figure(metrics)
    named = {axes.get_ylabel(): axes for axes in figure.axes}
    assert len(named) == 6
    drawn = named["KL from the prior (nats)"].lines[0].get_ydata()
    np.testing.assert_allclose(drawn, [record["kl_from_prior"] for record in metrics])
    assert len(training_figure([{"step": 1, "loss": 1.0}]).axes) == 4


@pytest.mark.parametrize("key", ["log_z", "step", "loss"])
def test_numbers_that_no_axis_can_show_are_left_out_without_a_warning(tmp_path: Path, key: str):
    metrics: list[dict[str, Any]] = [{"step": k, "loss": 1.0 / k, "log_z": -k} for k in range(1, 5)]
    metrics[1][key] = 1e308
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = training_figure(metrics)
        save_png(figure, tmp_path / "training.png")
        to_svg(figure, "training", "curves")
    for axes in figure.axes[:2]:
        drawn = np.concatenate([line.get_xydata().ravel() for line in axes.lines])
        assert not (np.abs(drawn[np.isfinite(drawn)]) > 10.0).any()


def test_the_periodic_table_names_every_element():
    shares = np.zeros(119)
    shares[ATOMIC_NUMBERS["F"]] = 0.96
    texts = [text.get_text() for text in table_figure(shares).axes[0].texts]
    assert set(SYMBOLS[1:]) <= set(texts) and "96 %" in texts


def test_svg_holds_no_other_places_and_takes_the_ink_of_the_page():
    with figure_style():
        figure = Figure()
        axes = figure.subplots()
        axes.plot([0, 1], label=plain("</svg><script>alert(1)</script> $x$"))
        axes.legend()
        svg = to_svg(figure, "one", 'say "hello" & <b>')
    root = ElementTree.fromstring(svg.replace("xlink:", ""))
    assert "http" not in svg and "currentColor" in svg and "<script>" not in svg
    assert root.get("aria-label") == 'say "hello" & <b>' and root.get("viewBox") and root.get("width") is None
    names = [element.get("id") for element in root.iter() if element.get("id")]
    assert names and all(name.startswith("one-") for name in names)
    used = [value[1:] for element in root.iter() for key, value in element.attrib.items() if key == "href"]
    assert set(used) <= set(names)
    assert "alert(1)</script> $x$" in "".join(root.itertext())


def test_figures_are_written_as_png(tmp_path):
    studio = Studio(tmp_path / "figures")
    drawing = studio.draw(
        "some", "A title", "What it shows.", lambda: training_figure([{"step": 1, "loss": 2.0}])
    )
    content = (tmp_path / "figures" / "some.png").read_bytes()
    with Image.open(io.BytesIO(content)) as image:
        assert image.size[0] > 600 and image.convert("RGB").getpixel((1, 1)) == (255, 255, 255)
    assert drawing.svg.startswith("<svg") and "A title. What it shows." in drawing.svg
