"""Ranking and duplicates against a slow pairwise reading of the rules."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymatgen.core import Composition, Lattice

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.evaluation.ranking import Selection, distinct_rows, rank_rows


def table(rows: list[tuple[str, int, float, float, float]]) -> pd.DataFrame:
    """Rows of formula, group, edge of a cube, energy above hull and log-reward."""
    formula, group, edge, above, reward = zip(*rows, strict=True)
    right = [90.0] * len(rows)
    return pd.DataFrame(
        {
            "space_group": group,
            "formula": formula,
            **dict.fromkeys("abc", edge),
            **dict.fromkeys(("alpha", "beta", "gamma"), right),
            "e_above_hull": above,
            "log_reward": reward,
        }
    )


rows_strategy = st.lists(
    st.tuples(
        st.sampled_from(["Na4 Cl4", "Na8 Cl8", "Na1 Cl1", "Mg4 O4"]),
        st.sampled_from([225, 221]),
        st.floats(4.0, 4.3),
        st.one_of(st.just(float("nan")), st.floats(-0.1, 0.5)),
        st.floats(-5, 5),
    ),
    min_size=1,
    max_size=25,
)


@given(rows_strategy, st.sampled_from([0.0, 0.03, 0.2]), st.sampled_from([None, 1, 2]))
def test_distinct_rows_follow_the_rules(rows: list, tolerance: float, limit: int | None) -> None:
    frame = table(rows)
    given_rows = list(distinct_rows(frame, Selection(tolerance, limit)))

    def is_duplicate(one: int, other: int) -> bool:
        volumes = [
            Lattice.cubic(rows[row][2]).volume / Composition(rows[row][0]).num_atoms for row in (one, other)
        ]
        same = Composition(rows[one][0]).reduced_formula == Composition(rows[other][0]).reduced_formula
        return same and rows[one][1] == rows[other][1] and max(volumes) <= (1 + tolerance) * min(volumes)

    def key(row: int) -> tuple[bool, float, float]:
        above = rows[row][3]
        return np.isnan(above), 0.0 if np.isnan(above) else above, -rows[row][4]

    expected: list[int] = []
    for row in sorted(range(len(rows)), key=key):
        reduced = Composition(rows[row][0]).reduced_formula
        n_same = sum(Composition(rows[other][0]).reduced_formula == reduced for other in expected)
        if (limit is None or n_same < limit) and not any(is_duplicate(row, other) for other in expected):
            expected.append(row)
    assert given_rows == expected


def test_without_hull_energies_the_reward_decides() -> None:
    nan = float("nan")
    frame = table([("Na1", 229, 4.0, nan, 1.0), ("K1", 229, 5.0, nan, 3.0), ("Li1", 229, 3.0, nan, 2.0)])
    assert rank_rows(frame).tolist() == [1, 2, 0]


@pytest.mark.parametrize(("tolerance", "limit"), [(-0.1, None), (float("nan"), None), (0.03, 0)])
def test_rules_out_of_range_are_refused(tolerance: float, limit: int | None) -> None:
    with pytest.raises(ConfigError):
        Selection(tolerance, limit)


def test_by_reward_equals_keep_their_order_whatever_their_energies() -> None:
    frame = pd.DataFrame({"log_reward": [-1.0, 0.0, np.nan, 0.0], "e_above_hull": [-9.0, 0.1, -5.0, -3.0]})
    assert rank_rows(frame, by_reward=True).tolist() == [1, 3, 0, 2]
    assert rank_rows(frame).tolist() == [0, 2, 3, 1]
