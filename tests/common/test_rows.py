"""Rows computed apart from others, on a CPU and as on a GPU, against loops; tables that are copied once."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import pytest
import torch
from torch import Tensor

from gflownet_crystal.common.batch import Rows
from gflownet_crystal.common.devices import on_device
from gflownet_crystal.common.rows import computed_where, rows_by_number
from gflownet_crystal.generators.placing.orbit_tables import orbit_tables
from tests.models.host_guard import HostWaits, as_on_a_gpu


@pytest.mark.parametrize("n_needed", [0, 3, 7])
@pytest.mark.parametrize("device", [nullcontext, as_on_a_gpu])
def test_rows_that_need_it_are_computed(
    device: Callable[[], AbstractContextManager[None]], n_needed: int
) -> None:
    values = torch.arange(14).view(7, 2)
    needed = torch.arange(7) < n_needed
    rows_seen: list[int] = []

    def doubled(rows: Rows) -> Tensor:
        rows_seen.append(len(values[rows]))
        return 2 * values[rows]

    with device(), HostWaits() as waits:
        found = computed_where(needed, -values, doubled)
    assert found.tolist() == [
        [2 * v if row < n_needed else -v for v in pair] for row, pair in enumerate(values.tolist())
    ]
    if device is as_on_a_gpu:
        assert rows_seen == [7] and not waits.lines
    else:
        assert sum(rows_seen) == n_needed


def test_rows_by_number_are_those_of_a_loop_and_cost_one_wait() -> None:
    number = torch.tensor([3, 0, 3, 1, 0, 3])
    with HostWaits() as waits:
        found = [(key, rows) for key, rows in rows_by_number(number, 4)]
    assert [(key, rows.tolist()) for key, rows in found] == [(0, [1, 4]), (1, [3]), (3, [0, 2, 5])]
    assert waits.lines.total() == 1


def test_a_table_is_copied_to_a_device_once() -> None:
    table, meta = torch.arange(3), torch.device("meta")
    assert on_device(table, table.device) is table
    assert on_device(table, meta) is on_device(table, meta)
    assert on_device(table, meta).device == meta
    tables = orbit_tables()
    assert on_device(tables, meta) is on_device(tables, meta)
    assert {value.device for value in vars(on_device(tables, meta)).values()} == {meta}
