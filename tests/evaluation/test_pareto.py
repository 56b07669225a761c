"""Non-dominated sorting against its definition, one object after the other."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from gflownet_crystal.evaluation.pareto import pareto_ranks


def peeled(costs: NDArray[np.float64]) -> list[int]:
    """Fronts by their definition: those that none of the rest dominates leave, and so on."""
    rows = [tuple(np.inf if np.isnan(cost) else float(cost) for cost in row) for row in costs]

    def dominates(one: int, other: int) -> bool:
        pairs = list(zip(rows[one], rows[other], strict=True))
        return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)

    ranks, left, front = [0] * len(rows), set(range(len(rows))), 0
    while left:
        front += 1
        best = {row for row in left if not any(dominates(other, row) for other in left)}
        for row in best:
            ranks[row] = front
        left -= best
    return ranks


@pytest.mark.parametrize("n", [0, 1, 2, 40, 150])
@pytest.mark.parametrize("m", [1, 2, 3, 4])
def test_fronts_are_those_of_the_definition(n: int, m: int) -> None:
    random = np.random.default_rng(100 * n + m)
    # few different values, so that there are ties and equal objects, and some that are unknown
    costs = np.round(random.normal(size=(n, m)), 1)
    costs[random.random(costs.shape) < 0.03] = np.nan
    assert pareto_ranks(costs).tolist() == peeled(costs)


def test_a_chain_longer_than_a_block_has_a_front_each() -> None:
    line = np.arange(700.0)
    assert pareto_ranks(np.stack([line, line], axis=1)[::-1]).tolist() == list(range(700, 0, -1))
    # of two opposed objectives none dominates
    assert set(pareto_ranks(np.stack([line, -line], axis=1))) == {1}


def test_without_objectives_all_are_equal() -> None:
    assert pareto_ranks(np.zeros((3, 0))).tolist() == [1, 1, 1]
