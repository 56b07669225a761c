"""The verb evaluate on crystals with atoms that are too near to each other."""

from __future__ import annotations

import json
from pathlib import Path

import ase.io
import pandas as pd
import pytest
from ase.build import bulk

from tests.cli.commands import run_command


def test_crowded_atoms_are_read_and_counted_as_invalid(tmp_path: Path):
    pytest.importorskip("smact")
    good, crowded = bulk("Cu", "fcc", 3.6, cubic=True), bulk("Cu", "fcc", 3.6, cubic=True)
    crowded.positions[1] = crowded.positions[0] + [0.0, 0.0, 0.3]
    just = bulk("Cu", "fcc", 3.6, cubic=True)
    just.positions[1] = just.positions[0] + [0.0, 0.0, 0.51]
    ase.io.write(tmp_path / "made.extxyz", [good, crowded, just], format="extxyz")
    words = (
        "structures=made.extxyz",
        "metrics=[validity]",
        "network=null",
        "cache=null",
        "out=out",
        "threads=1",
    )
    ended = run_command(tmp_path, "evaluate", *words)
    assert ended.returncode == 0, ended.stderr
    figures = json.loads(ended.stdout)
    assert figures["counts"] == {"structures": 3, "structures_unreadable": 0}
    assert figures["validity"]["structure"] == pytest.approx(2 / 3)
    assert pd.read_csv(tmp_path / "out" / "structures.csv")["structure_valid"].tolist() == [True, False, True]
