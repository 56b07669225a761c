"""Exchanges of equivalent orbits: a permutation of theirs, never worse than none, near the best of all."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import torch

from gflownet_crystal.training.generators.site_exchange import Exchangeable

CRYSTAL = torch.tensor([0, 0, 0, 0, 1, 1, 2, 2, 2, 2, 2])
POSITION = torch.tensor([5, 5, 5, 7, 1, 1, 3, 4, 3, 4, 3])
ELEMENT = torch.tensor([8, 8, 8, 8, 11, 17, 6, 6, 6, 6, 6])
CLASSES = ([0, 1, 2], [3], [4], [5], [6, 8, 10], [7, 9])


def _costs(exchangeable: Exchangeable, seed: int) -> torch.Tensor:
    costs = torch.rand(len(CRYSTAL), exchangeable.most, generator=torch.Generator().manual_seed(seed))
    return costs.double()


def test_orbits_take_the_targets_of_those_like_them() -> None:
    exchangeable = Exchangeable.of(CRYSTAL, POSITION, ELEMENT)
    assert exchangeable.most == 3
    pairs = {(int(a), int(b)) for a, b in zip(exchangeable.first, exchangeable.second, strict=True)}
    assert pairs == {(a, b) for own in CLASSES for a in own for b in own if a != b}
    for seed in range(20):
        taken = exchangeable.exchanged(_costs(exchangeable, seed), rounds=20)
        for own in CLASSES:
            assert sorted(taken[own].tolist()) == list(range(len(own)))


def test_the_cost_falls_nearly_to_the_least_of_all_permutations() -> None:
    exchangeable = Exchangeable.of(CRYSTAL, POSITION, ELEMENT)
    regrets = []
    for seed in range(40):
        costs = _costs(exchangeable, seed)
        taken = exchangeable.exchanged(costs, rounds=20)
        for own in CLASSES:
            table = costs[own].numpy()
            rows = np.arange(len(own))
            sums = [table[rows, list(order)].sum() for order in permutations(rows)]
            found = table[rows, taken[own].numpy()].sum()
            assert found <= table[rows, rows].sum() + 1e-12
            regrets.append(found - min(sums))
            if len(own) <= 2:
                assert regrets[-1] < 1e-12
    assert np.mean(regrets) < 0.05


def test_no_rounds_leave_every_orbit_its_own() -> None:
    exchangeable = Exchangeable.of(CRYSTAL, POSITION, ELEMENT)
    assert exchangeable.exchanged(_costs(exchangeable, 0), rounds=0).equal(exchangeable.place)
