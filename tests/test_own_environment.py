"""docs/own_environment.md, done as it says in an empty folder, and its stackings counted by hand."""

from __future__ import annotations

import itertools
import json
import math
import re
from pathlib import Path

import pandas as pd
import pytest

from tests.own_pages import run_page, text_of

PAGE = "own_environment.md"
LENGTH, N_SAMPLES = 6, 2000
TARGET, WIDTH = 1.0, 0.5
TINY = {
    "train_gfn": [
        "trainer.batch_size=64",
        "trainer.iterations=200",
        "samples.n=10",
        "threads=1",
        "quiet=true",
    ],
    "sample": ["threads=1"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """The folder after all commands of the page."""
    place = tmp_path_factory.mktemp("own")
    run_page(PAGE, place, TINY)
    return place


@pytest.fixture(scope="module")
def rewards() -> dict[tuple[int, ...], float]:
    """R of every stacking: words of three letters without equal neighbours, the last and the first among them."""
    words = itertools.product((1, 2, 3), repeat=LENGTH)
    allowed = [word for word in words if all(word[i] != word[i - 1] for i in range(LENGTH))]
    return {word: math.exp(-((_hexagonal(word) - TARGET) ** 2) / (2 * WIDTH**2)) for word in allowed}


def _hexagonal(word: tuple[int, ...]) -> float:
    return sum(word[i - 1] == word[(i + 1) % LENGTH] for i in range(LENGTH)) / LENGTH


def test_the_page_counts_and_sums_rightly(rewards):
    text = text_of(PAGE)
    assert f"There are {len(rewards)} stackings" in text
    # proper colourings of a cycle (chromatic polynomial)
    assert len(rewards) == 2**LENGTH + 2
    (log_z,) = re.findall(r"log Z = ([\d.]+)", text)
    assert float(log_z) == pytest.approx(math.log(sum(rewards.values())), abs=5e-4)


def test_the_run_finds_log_z(folder, rewards):
    summary = json.loads((folder / "runs" / "stackings" / "summary.json").read_text())
    assert summary["log_z"] == pytest.approx(math.log(sum(rewards.values())), abs=0.1)


def test_samples_are_stackings_in_proportion_to_their_rewards(folder, rewards):
    frame = pd.read_parquet(folder / "stackings.parquet")
    drawn = frame[[f"x{layer}" for layer in range(LENGTH)]].apply(tuple, axis=1)
    assert len(drawn) == N_SAMPLES
    assert set(drawn) <= set(rewards)
    share = drawn.value_counts(normalize=True)
    z = sum(rewards.values())
    variation = 0.5 * sum(abs(share.get(word, 0.0) - reward / z) for word, reward in rewards.items())
    # of 2,000 exact draws: 0.07; of uniform stackings: 0.26
    assert variation < 0.13
