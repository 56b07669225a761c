"""docs/own_proxy.md, done as it says in an empty folder: its files are written and its commands run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pymatgen.core import Composition, Structure

from tests.own_pages import blocks, run_page, text_of

PAGE = "own_proxy.md"
ITERATIONS, RESUMED = 3, 5
G_PER_CM3 = 1.66053906660

TINY = {
    "train_gfn": [
        "trainer.batch_size=16",
        "trainer.checkpoint_every=2",
        f"trainer.iterations={ITERATIONS}",
        "samples.n=40",
        "export.k=0",
        "prior=null",
        "policy.forward.n_hidden=8",
        "threads=1",
        "quiet=true",
    ],
    "train_gfn resume=true": [f"trainer.iterations={RESUMED}", "threads=1", "quiet=true"],
    "sample": ["n=30"],
    "export": ["k=2", "quiet=true", "screening.most_placed=100"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """The folder after all commands of the page."""
    place = tmp_path_factory.mktemp("own")
    run_page(PAGE, place, TINY)
    return place


def densities(frame: pd.DataFrame) -> np.ndarray:
    """g/cm3 of the specs of a frame, by pymatgen's masses and the frame's own volumes."""
    compositions = [Composition(formula.replace(" ", "")) for formula in frame["formula"]]
    volumes = frame["volume_per_atom"] * [composition.num_atoms for composition in compositions]
    return np.array([composition.weight for composition in compositions]) / volumes.to_numpy() * G_PER_CM3


def test_the_class_is_as_short_as_promised():
    ((_, text),) = blocks(text_of(PAGE), "python")
    assert len(text.split("\n\n\n")[1].strip().splitlines()) <= 15
    assert len(text.strip().splitlines()) <= 15


def test_training_and_resuming_make_each_step_once(folder):
    lines = (folder / "runs" / "density" / "metrics.jsonl").read_text().splitlines()
    steps = [json.loads(line)["step"] for line in lines]
    assert steps == list(range(1, RESUMED + 1))


@pytest.mark.parametrize("run", ["density", "light", "heavy"])
def test_each_run_tells_the_property_and_its_unit(folder, run):
    summary = json.loads((folder / "runs" / run / "summary.json").read_text())
    assert (summary["property"], summary["unit"]) == ("density", "g/cm3")


def test_samples_hold_the_densities_of_their_crystals(folder):
    frame = pd.read_parquet(folder / "samples.parquet")
    assert len(frame) == 30
    assert frame["energy"].to_numpy() == pytest.approx(densities(frame), rel=1e-4)
    assert frame["log_reward"].to_numpy() == pytest.approx(
        -((frame["energy"] - 3.0) ** 2) / (2 * 0.2**2), rel=1e-6
    )


def test_candidates_are_crystals_of_the_sampled_densities(folder):
    table = pd.read_csv(folder / "candidates" / "candidates.csv")
    assert len(table) == 2
    for row, name in zip(table.itertuples(), table["cif"], strict=True):
        structure = Structure.from_file(folder / "candidates" / name)
        assert structure.density == pytest.approx(row.energy, rel=1e-3)
