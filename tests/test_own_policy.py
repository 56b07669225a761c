"""docs/own_policy.md, done as it says in an empty folder."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from tests.own_pages import run_page

TINY = {
    "train_gfn": [
        "trainer.batch_size=32",
        "trainer.iterations=4",
        "trainer.checkpoint_every=2",
        "samples.n=10",
        "threads=1",
        "quiet=true",
    ],
    "sample": ["n=50", "threads=1"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """The folder after all commands of the page."""
    place = tmp_path_factory.mktemp("own")
    run_page("own_policy.md", place, TINY)
    return place


def test_the_network_of_the_page_is_what_was_trained(folder):
    first, second = (
        load_file(folder / "runs" / "grid" / "checkpoints" / f"step_{step:08d}.safetensors")
        for step in (2, 4)
    )
    square = [name for name, tensor in first.items() if tuple(tensor.shape) == (64, 64)]
    assert [name for name in square if name.endswith("blocks.0.0.weight")]
    for name in square:
        assert not torch.equal(first[name], second[name])


def test_samples_are_cells_of_the_grid(folder):
    frame = pd.read_parquet(folder / "grid.parquet")
    assert len(frame) == 50
    assert frame[["x0", "x1"]].isin(range(8)).all(axis=None)
