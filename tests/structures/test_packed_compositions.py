"""Compositions in few bytes: given back whole, and refused where they do not fit."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.structures.packed_compositions import pack_compositions, unpack_compositions

counts = st.dictionaries(st.integers(1, 118), st.integers(1, 400), max_size=8)


@given(st.lists(counts, max_size=6))
def test_compositions_come_back(rows: list[dict[int, int]]) -> None:
    composition = torch.zeros(len(rows), 119, dtype=torch.int64)
    for row, elements in enumerate(rows):
        for number, count in elements.items():
            composition[row, number] = count
    packed = pack_compositions(composition)
    assert torch.equal(unpack_compositions(packed), composition)
    large = any(count > 255 for elements in rows for count in elements.values())
    assert packed["counts"].dtype == (torch.int16 if large else torch.uint8)


@pytest.mark.parametrize("count", [-1, 40_000])
def test_counts_that_no_file_holds_are_refused(count: int) -> None:
    composition = torch.zeros(2, 119, dtype=torch.int64)
    composition[1, 8] = count
    with pytest.raises(DataError, match="counts of 0 to 32767"):
        pack_compositions(composition)


def test_tensors_that_do_not_belong_together_are_refused() -> None:
    packed = pack_compositions(torch.eye(119, dtype=torch.int64)[1:4])
    for name in packed:
        with pytest.raises(DataError, match="do not fit together"):
            unpack_compositions({**packed, name: packed[name][:-1]})
    with pytest.raises(DataError, match="do not fit together"):
        unpack_compositions({**packed, "elements": packed["elements"] + 120})
