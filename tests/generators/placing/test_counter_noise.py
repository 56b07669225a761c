"""Counted noise is normal, and belongs to what it is drawn for."""

from __future__ import annotations

import torch
from scipy import stats

from gflownet_crystal.generators.draws import joined
from gflownet_crystal.generators.placing.counter_noise import CounterNoise, member_keys, normal, normals


def keys(n: int) -> torch.Tensor:
    return joined(torch.zeros(n, dtype=torch.int64), torch.arange(n))


def test_numbers_are_standard_normal() -> None:
    assert stats.kstest(normal(keys(20_000)).numpy(), "norm").pvalue > 1e-3


def test_numbers_of_a_draw_are_normal_and_belong_to_their_key() -> None:
    numbers = keys(20_000)
    drawn = normals(numbers, torch.tensor(3))
    assert drawn.mean(0).abs().max() < 0.03
    assert (drawn.std(0) - 1).abs().max() < 0.03
    assert (drawn.pow(4).mean(0) - 3).abs().max() < 0.3
    assert torch.corrcoef(drawn.T).triu(1).abs().max() < 0.03
    assert torch.equal(normals(numbers[5:6], torch.tensor(3)), drawn[5:6])
    assert (normals(numbers, torch.tensor(4)) * drawn).mean(0).abs().max() < 0.03


def test_steps_atoms_and_axes_are_independent() -> None:
    noise = CounterNoise(keys(5000), keys(5000))
    columns = torch.cat(
        [noise.positions(3), noise.positions(4), noise.lattices(3), noise.start() - 0.5], dim=1
    )
    correlation = torch.corrcoef(columns.T) - torch.eye(columns.shape[1]).double()
    assert correlation.abs().max() < 0.08


def test_members_do_not_depend_on_their_batch() -> None:
    owners, sizes = keys(4), torch.tensor([2, 3, 1, 4])
    whole = member_keys(owners, torch.repeat_interleave(sizes), sizes)
    alone = member_keys(owners[1:2], torch.zeros(3, dtype=torch.int64), sizes[1:2])
    assert torch.equal(whole[2:5], alone)
    assert len(whole.unique()) == len(whole)
