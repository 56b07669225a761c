from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.crystallography.occupation import IMPOSSIBLE, WyckoffOccupation
from gflownet_crystal.crystallography.wyckoff import wyckoff_positions

MAX_COUNT = 24
COUNTS = st.lists(st.integers(1, MAX_COUNT), min_size=1, max_size=4)


@pytest.fixture(scope="module")
def occupation() -> WyckoffOccupation:
    return WyckoffOccupation(MAX_COUNT)


def fits_by_search(group: int, counts: list[int]) -> bool:
    """Depth-first search over the orbits of every position, with no notion of classes, bits or dominance."""
    positions = wyckoff_positions(group)

    def place(element: int, remaining: int, position: int, taken: frozenset[int]) -> bool:
        if remaining == 0:
            return element + 1 == len(counts) or place(element + 1, counts[element + 1], 0, taken)
        if position == len(positions):
            return False
        multiplicity = positions[position].multiplicity
        if multiplicity <= remaining:
            if positions[position].degrees_of_freedom > 0:
                if place(element, remaining - multiplicity, position, taken):
                    return True
            elif position not in taken and place(
                element, remaining - multiplicity, position + 1, taken | {position}
            ):
                return True
        return place(element, remaining, position + 1, taken)

    return place(0, counts[0], 0, frozenset())


def _random_compositions(seed: int, per_group: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Compositions at the edge of fitting: counts are sums of multiplicities, some of them off by one."""
    rng = np.random.default_rng(seed)
    groups, compositions = [], []
    for group in range(1, 231):
        small = [p.multiplicity for p in wyckoff_positions(group) if p.multiplicity <= MAX_COUNT // 2]
        for _ in range(per_group):
            orbits = rng.choice(small or [MAX_COUNT], size=(4, 2)) * rng.integers(0, 2, size=(4, 2))
            noise = rng.random(4) < 0.1
            groups.append(group)
            compositions.append(np.clip(orbits.sum(axis=1) + noise, 0, MAX_COUNT))
    return torch.tensor(groups), torch.tensor(np.array(compositions))


def test_agrees_with_search_in_all_groups(occupation: WyckoffOccupation) -> None:
    groups, counts = _random_compositions(seed=0, per_group=12)
    found = occupation.fits(groups, counts).tolist()
    assert 0.1 < np.mean(found) < 0.9
    for group, row, fits in zip(groups.tolist(), counts.tolist(), found, strict=True):
        present = [count for count in row if count]
        assert fits == (not present or fits_by_search(group, present)), (group, row)


def test_agrees_with_pyxtal(occupation: WyckoffOccupation) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pyxtal.symmetry import Group

    groups, counts = _random_compositions(seed=1, per_group=1)
    found = occupation.fits(groups, counts).tolist()
    disagreements = 0
    for group, row, fits in zip(groups.tolist(), counts.tolist(), found, strict=True):
        present = [count for count in row if count]
        if present and sum(present) <= 40 and Group(group).check_compatible(present)[0] != fits:
            disagreements += 1
            assert fits == fits_by_search(group, present), (group, row)
    assert disagreements < 0.02 * len(groups)


def test_two_one_fold_positions_do_not_hold_three_elements(occupation: WyckoffOccupation) -> None:
    groups = torch.tensor([221, 221, 221])
    counts = torch.tensor([[1, 1, 1], [1, 1, 0], [1, 1, 3]])
    assert occupation.fits(groups, counts).tolist() == [False, True, True]


def test_case_that_pyxtal_was_reported_to_get_wrong(occupation: WyckoffOccupation) -> None:
    counts = [15, 16, 17, 21]
    assert occupation.fits(torch.tensor([221]), torch.tensor([counts])).item() == fits_by_search(221, counts)


@given(group=st.integers(1, 230), counts=COUNTS, data=st.data())
def test_order_of_elements_does_not_matter(
    occupation: WyckoffOccupation, group: int, counts: list[int], data: st.DataObject
) -> None:
    def final_state(order: list[int]) -> int:
        state = occupation.initial[group]
        for count in order:
            state = occupation.transition[state, count]
        return int(state)

    assert final_state(counts) == final_state(data.draw(st.permutations(counts)))


def test_a_larger_table_gives_the_same_answers(occupation: WyckoffOccupation) -> None:
    groups, counts = _random_compositions(seed=2, per_group=4)
    assert torch.equal(occupation.fits(groups, counts), WyckoffOccupation(64).fits(groups, counts))


def test_nothing_leads_out_of_impossible_and_no_atoms_change_nothing(occupation: WyckoffOccupation) -> None:
    assert (occupation.transition[IMPOSSIBLE] == IMPOSSIBLE).all()
    assert torch.equal(occupation.transition[:, 0], torch.arange(len(occupation.transition)))
    assert occupation.initial[0] == IMPOSSIBLE
    assert (occupation.initial[1:] != IMPOSSIBLE).all()


@pytest.mark.parametrize("count", [-1, MAX_COUNT + 1])
def test_counts_outside_the_table_are_refused(occupation: WyckoffOccupation, count: int) -> None:
    with pytest.raises(ConfigError, match="allowed are 0 to 24"):
        occupation.fits(torch.tensor([1]), torch.tensor([[count]]))


def test_empty_range_of_counts_is_refused() -> None:
    with pytest.raises(ConfigError, match="max_count is 0"):
        WyckoffOccupation(0)
