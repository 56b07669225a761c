"""A small trained sampler, made once for all tests of the interface."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import gflownet_crystal as gfc

SMALL: dict[str, Any] = {
    "elements": ["Li", "Mg", "O", "F"],
    "space_groups": [123, 139, 216, 221, 225],
    "n_atoms": (2, 12),
    "iterations": 4,
    "batch_size": 16,
    "prior": None,
    "seed": 3,
    "device": "cpu",
    "quiet": True,
    "settings": {"policy.forward.n_hidden": 8, "trainer.checkpoint_every": 2},
}
"""A training of a second, whose space is small."""


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a small training."""
    path = tmp_path_factory.mktemp("api") / "run"
    gfc.train(**SMALL, folder=path)
    return path


@pytest.fixture(scope="session")
def run(folder: Path) -> gfc.Run:
    """The small training, loaded."""
    return gfc.load(folder, device="cpu")


@pytest.fixture(scope="session")
def samples(run: gfc.Run) -> gfc.Samples:
    """Samples of it."""
    return run.sample(60, seed=5)


@pytest.fixture(scope="session")
def placed(samples: gfc.Samples) -> gfc.Crystals:
    """Crystals of its samples; a test that changes them takes a copy."""
    return samples.place("quick", seed=2, device="cpu", quiet=True)
