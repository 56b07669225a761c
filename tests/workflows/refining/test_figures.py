"""The table of a refinement's rounds, which an ordinary terminal holds."""

from __future__ import annotations

import pytest

from gflownet_crystal.workflows.refining.figures import rounds_table


@pytest.mark.parametrize("size", [1.0, 99.0])
def test_the_table_fits_80_columns_and_holds_every_round(size: float) -> None:
    one = {
        "n": int(100 * size),
        "mae": size,
        "bias": -size,
        "spearman_above_hull": -0.5 if size > 1 else None,
    }
    figures = {
        "round": 1,
        "samples": {"distinct": int(1000 * size), "placed": int(999 * size)},
        "labelled_within_0.1": 0.5,
        "proxy": {"before": one, "after": one},
    }
    lines = rounds_table([figures, {**figures, "round": 2}]).splitlines()
    assert max(map(len, lines)) <= 80
    assert [line.split()[0] for line in lines[2:]] == ["1", "2"]
    assert all(len(line) == len(lines[2]) for line in lines[2:])
