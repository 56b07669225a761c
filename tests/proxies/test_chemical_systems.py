"""Numbers of known crystals in chemical systems, against a count by hand."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gflownet_crystal.common.errors import ProxyError
from gflownet_crystal.proxies.chemical_systems import FEWEST_ENTRIES, SystemEntries

ELEMENTS = (3, 8, 15, 26, 118)
some_sets = st.sets(st.sampled_from(ELEMENTS), min_size=1)


def as_composition(sets: list[set[int]]) -> torch.Tensor:
    composition = torch.zeros(len(sets), 119, dtype=torch.int64)
    for row, elements in enumerate(sets):
        for number in elements:
            composition[row, number] = 1 + (row + number) % 5
    return composition


@given(st.lists(some_sets, max_size=40), st.lists(some_sets, min_size=1, max_size=6))
def test_entries_are_all_crystals_of_some_of_the_elements(
    known: list[set[int]], asked: list[set[int]]
) -> None:
    entries = SystemEntries.count(as_composition(known))
    expected = [sum(crystal <= elements for crystal in known) for elements in asked]
    for table in (entries, SystemEntries.of(entries.tensors())):
        assert table.within(as_composition(asked)).tolist() == expected
        assert table.sparse(as_composition(asked)).tolist() == [n < FEWEST_ENTRIES for n in expected]


def test_crystals_of_more_elements_than_a_hull_takes_are_left_out() -> None:
    many = torch.zeros(1, 119, dtype=torch.int64)
    many[0, 1:10] = 1
    entries = SystemEntries.count(many)
    assert len(entries.entries) == 0
    assert entries.within(as_composition([{8}])).tolist() == [0]
    with pytest.raises(ProxyError, match="spec 0 has 9 elements"):
        entries.within(many)
