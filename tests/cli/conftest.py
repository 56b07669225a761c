"""Fixtures that several files of tests of verbs share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.commands import run_command
from tests.cli.pipelines import TINY
from tests.data.crystals import stored_frame


@pytest.fixture(scope="session")
def refine_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny run and a file of known crystals, to refine with."""
    made = tmp_path_factory.mktemp("refine")
    # one of the two to validate on has a free coordinate
    known = stored_frame().assign(mp20_split=["val", "train", "train", "val", *["train"] * 4])
    known.to_parquet(made / "known.parquet")
    done = run_command(made, "train_gfn", "env=crystal", "proxy=mlp", "run.dir=run", *TINY)
    assert done.returncode == 0, done.stderr
    return made
