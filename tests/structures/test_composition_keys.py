"""Keys of formulas: the published hash, equal for multiples, different for different formulas."""

from __future__ import annotations

from math import gcd

import torch
from hypothesis import given
from hypothesis import strategies as st

from gflownet_crystal.crystallography.space_groups import ENANTIOMORPHIC_PAIRS
from gflownet_crystal.structures.composition_keys import KEY_BITS, formula_and_group_keys, formula_keys

WORD = 2**64
some_counts = st.dictionaries(st.integers(1, 118), st.integers(1, 40), min_size=1, max_size=6)


def splitmix64(state: int) -> int:
    """One output, in whole numbers of any size, as S. Vigna's public-domain code has it."""
    state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 % WORD
    state = (state ^ (state >> 27)) * 0x94D049BB133111EB % WORD
    return state ^ (state >> 31)


def slow_key(counts: dict[int, int]) -> int:
    divisor = gcd(*counts.values())
    total = sum(
        count // divisor * splitmix64(number * 0x9E3779B97F4A7C15 % WORD) for number, count in counts.items()
    )
    return splitmix64(total % WORD) >> (64 - KEY_BITS)


def as_composition(*rows: dict[int, int]) -> torch.Tensor:
    composition = torch.zeros(len(rows), 119, dtype=torch.int64)
    for row, counts in enumerate(rows):
        composition[row, list(counts)] = torch.tensor(list(counts.values()))
    return composition


def test_the_slow_reference_is_splitmix64() -> None:
    # the first outputs of the generator with seed 0
    assert splitmix64(0x9E3779B97F4A7C15) == 0xE220A8397B1DCDAF
    assert splitmix64(2 * 0x9E3779B97F4A7C15 % WORD) == 0x6E789E6AA1B965F4


@given(st.lists(some_counts, min_size=1, max_size=5), st.integers(1, 9))
def test_keys_are_those_of_the_slow_reference_whatever_the_multiple(
    rows: list[dict[int, int]], factor: int
) -> None:
    expected = [slow_key(counts) for counts in rows]
    composition = as_composition(*rows)
    assert formula_keys(composition).tolist() == expected
    assert formula_keys(factor * composition).tolist() == expected


def test_a_hundred_thousand_formulas_have_as_many_keys() -> None:
    generator = torch.Generator().manual_seed(0)
    composition = torch.zeros(110_000, 119, dtype=torch.int64)
    elements = torch.rand(110_000, 94, generator=generator).argsort(1)[:, :3] + 1
    composition.scatter_(1, elements, torch.randint(1, 13, (110_000, 3), generator=generator))
    divisor = torch.gcd(
        torch.gcd(*(composition.gather(1, elements).T[:2])), composition.gather(1, elements).T[2]
    )
    formulas = len((composition // divisor[:, None]).unique(dim=0))
    assert formulas > 100_000
    assert len(formula_keys(composition).unique()) == formulas


def test_groups_are_told_apart_but_for_mirror_images() -> None:
    formula = formula_keys(as_composition({11: 1, 17: 1})).expand(231)
    keys = formula_and_group_keys(formula, torch.arange(231))
    assert len(keys.unique()) == 231 - len(ENANTIOMORPHIC_PAIRS)
    assert all(int(keys[one]) == int(keys[other]) for one, other in ENANTIOMORPHIC_PAIRS)
    assert torch.equal(keys >> 8, formula)
