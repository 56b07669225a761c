"""The table of assignments: its keys, its counts, and what it keeps when it is stored."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pymatgen.core import Structure

from gflownet_crystal.crystallography.wyckoff import wyckoff_positions, wyckoff_table
from gflownet_crystal.generators.assignments.table import (
    AssignmentTable,
    assignments_of,
    keys_of,
    ordered_elements,
)
from gflownet_crystal.structures.convert import from_pymatgen
from gflownet_crystal.structures.elements import ELECTRONEGATIVITY, SYMBOLS
from gflownet_crystal.structures.occupied_positions import occupied_positions
from gflownet_crystal.structures.symmetry import conventional_structures
from tests.structures.conftest import CRYSTALS


@pytest.fixture(scope="module")
def known() -> tuple[list[str], torch.Tensor, list, list]:
    structures = [Structure.from_spacegroup(*crystal) for crystal in CRYSTALS.values()]
    conventional = conventional_structures(from_pymatgen(structures))
    keys, elements = keys_of(conventional.space_group, conventional.composition)
    return list(CRYSTALS), elements, keys, assignments_of(keys, elements, occupied_positions(conventional))


def test_elements_rise_by_count_and_electronegativity() -> None:
    composition = torch.zeros(2, 119, dtype=torch.int64)
    for symbol, count in {"O": 3, "Ti": 1, "Sr": 1}.items():
        composition[0, SYMBOLS.index(symbol)] = count
    for number in range(1, 104):
        composition[1, number] = 2
    first, second = ordered_elements(composition)
    assert [SYMBOLS[number] for number in first[:3].tolist()] == ["Sr", "Ti", "O"]
    values = np.nan_to_num(ELECTRONEGATIVITY, nan=3.0)[second[:103].numpy()]
    assert (np.diff(values) >= 0).all()
    assert sorted(second.tolist()) == list(range(119))


def test_keys_and_assignments_are_those_of_textbooks(known: tuple) -> None:
    names, _, keys, assignments = known
    found = dict(zip(names, zip(keys, assignments, strict=True), strict=True))
    letters = {
        name: [[wyckoff_positions(key[0])[index].letter for index in own] for own in one]
        for name, (key, one) in found.items()
    }
    assert found["rock salt"][0] == (225, (4, 4))
    assert sorted(letters["rock salt"]) == [["a"], ["b"]]
    assert found["spinel"][0] == (227, (8, 16, 32))
    assert letters["spinel"] in ([["a"], ["d"], ["e"]], [["b"], ["c"], ["e"]])
    assert letters["rutile"] in ([["a"], ["f"]], [["b"], ["f"]], [["a"], ["g"]], [["b"], ["g"]])
    assert letters["corundum"] == [["c"], ["e"]]
    assert letters["polar"] == [["a"], ["a"], ["a"]]


def test_assignments_hold_the_counts(known: tuple) -> None:
    _, _, keys, assignments = known
    for (group, counts), assignment in zip(keys, assignments, strict=True):
        held = [sum(wyckoff_positions(group)[index].multiplicity for index in own) for own in assignment]
        assert tuple(held) == counts


def test_counts_are_kept_the_most_frequent_first() -> None:
    key = (225, (4, 4))
    table = AssignmentTable.of(
        [key] * 3 + [(221, (1,))], [((8,), (9,)), ((7,), (9,)), ((7,), (9,)), ((13,),)]
    )
    assert list(table.seen(key).items()) == [(((7,), (9,)), 2), (((8,), (9,)), 1)]
    assert table.seen((225, (4, 8))) == {}
    assert table.own[225, 4] == {(8,): 1, (9,): 3, (7,): 2}
    start = int(np.searchsorted(wyckoff_table().group, 225))
    assert table.orbits_at[start + 9] == 3
    assert table.orbits_at.sum() == 7


def test_tables_join_without_counting_crystals_twice_and_lose_those_of_another() -> None:
    key, other, first, second = (225, (4, 4)), (221, (1,)), ((8,), (9,)), ((7,), (9,))
    table = AssignmentTable.of([key] * 3, [first, first, second])
    more = AssignmentTable.of([key, key, key, other], [second, second, second, ((13,),)])
    joined = table | more
    assert list(joined.counts) == [other, key]
    assert list(joined.seen(key).items()) == [(second, 3), (first, 2)]
    # those learned from again change nothing, the order included
    for again in (joined | table, joined | more, joined | AssignmentTable()):
        assert [list(found.items()) for found in again.counts.values()] == [
            list(found.items()) for found in joined.counts.values()
        ]
    assert (joined - table).counts == {other: {((13,),): 1}, key: {second: 2}}
    assert (table - more).counts == {key: {first: 2}}
    assert not (table - joined).counts


def test_shares_of_a_group_sum_to_one(known: tuple) -> None:
    _, _, keys, assignments = known
    table = AssignmentTable.of(keys, assignments)
    sums = np.bincount(wyckoff_table().group, np.exp(table.log_share))[1:]
    assert np.allclose(sums, 1.0)


def test_stored_tables_come_back(known: tuple) -> None:
    _, _, keys, assignments = known
    table = AssignmentTable.of([*keys, *keys[:4]], [*assignments, *assignments[:4]])
    again = AssignmentTable.from_tensors(table.tensors())
    assert again.counts == table.counts
    assert [list(found) for found in again.counts.values()] == [
        list(found) for found in table.counts.values()
    ]
