"""Cutting structures into batches by their atoms."""

from __future__ import annotations

import itertools

import torch
from hypothesis import given
from hypothesis import strategies as st

from gflownet_crystal.structures.batching import BucketedBatches, batches_of_atoms, cut_by_atoms

SIZES = st.lists(st.integers(1, 40), min_size=1, max_size=60).map(torch.tensor)


@given(SIZES, st.integers(1, 60))
def test_batches_hold_every_structure_once_and_no_more_atoms_than_allowed(
    sizes: torch.Tensor, atoms: int
) -> None:
    rows = torch.arange(len(sizes)).flip(0)
    batches = cut_by_atoms(rows, sizes, atoms)
    assert torch.equal(torch.cat(batches), rows)
    assert all(int(sizes[batch].sum()) <= atoms or len(batch) == 1 for batch in batches)
    # no two neighbouring batches could have been one
    joined = [int(sizes[torch.cat(pair)].sum()) for pair in itertools.pairwise(batches)]
    assert all(total > atoms for total in joined)


@given(SIZES, st.integers(1, 60), st.integers(0, 3))
def test_an_epoch_is_a_pure_function_of_seed_and_number(sizes: torch.Tensor, atoms: int, number: int) -> None:
    first, second = (BucketedBatches(sizes, atoms, seed=1, window=2).epoch(number) for _ in range(2))
    assert all(torch.equal(*pair) for pair in zip(first, second, strict=True))
    assert torch.equal(torch.cat(first).sort().values, torch.arange(len(sizes)))


def test_epochs_and_seeds_have_their_own_order() -> None:
    sizes = torch.arange(1, 41)
    orders = [BucketedBatches(sizes, 60, seed).epoch(number) for seed, number in ((0, 0), (0, 1), (1, 0))]
    texts = {str([batch.tolist() for batch in order]) for order in orders}
    assert len(texts) == 3


def test_batches_of_one_window_waste_little() -> None:
    sizes = torch.randint(1, 40, (500,), generator=torch.Generator().manual_seed(0))
    batches = batches_of_atoms(sizes, 100)
    spread = [int(sizes[batch].max() - sizes[batch].min()) for batch in batches]
    assert sum(spread) <= 40
