"""Local search: objects near others, the better of which are kept."""

from __future__ import annotations

import pytest
import torch

from gflownet_crystal.envs.crystal import Crystal
from gflownet_crystal.envs.hypergrid import Hypergrid
from gflownet_crystal.gflownet.local_search import LocalSearch, redrawn
from gflownet_crystal.gflownet.replay import Terminals
from gflownet_crystal.gflownet.rollout import sample_backward, sample_forward
from gflownet_crystal.proxies.reward import LogValue, Reward
from gflownet_crystal.proxies.toy import GridCorners
from tests.gflownet.random_models import exact_log_prob, generator, random_model

LENGTH = 4
GRID = Hypergrid(2, LENGTH)
CRYSTAL = Crystal(["Na", "Cl"], [2, 62, 225], max_count=8, n_elements=[2, 2], n_atoms=[2, 16])


def test_with_all_transitions_taken_back_the_policy_samples_again() -> None:
    model, n = random_model(GRID), 20_000
    start = sample_backward(model, GRID.encode(torch.tensor([[3, 2]]).expand(n, 2))[0], generator())
    cells = GRID.objects(redrawn(model, start, torch.full((n,), 99), generator(1)))
    counts = torch.bincount(cells[:, 0] * LENGTH + cells[:, 1], minlength=LENGTH**2) / n
    expected = exact_log_prob(model, LENGTH).exp()
    assert float(expected.max()) < 0.9
    # five standard deviations of a share
    assert bool(((counts - expected).abs() < 5 * (expected * (1 - expected) / n).sqrt() + 1e-4).all())


@pytest.mark.parametrize("n_back", [1, 2, 3])
def test_only_the_last_transitions_of_a_grid_are_made_again(n_back: int) -> None:
    model = random_model(GRID)
    cells = torch.cartesian_prod(torch.arange(LENGTH), torch.arange(LENGTH)).repeat(20, 1)
    start = sample_backward(model, GRID.encode(cells)[0], generator())
    found = GRID.objects(redrawn(model, start, torch.full((len(cells),), n_back), generator(1)))
    # the first transition taken back is the stop, and each other one a step along an axis
    assert bool(((cells - found).clamp(min=0).sum(dim=1) <= n_back - 1).all())
    assert bool((found != cells).any())


def test_earlier_stages_stay_until_the_later_ones_are_undone() -> None:
    model = random_model(CRYSTAL)
    start = sample_backward(model, sample_forward(model, 200, generator()).terminal, generator(1))
    lengths = [record.row.bincount(minlength=200) for record in start.stages]
    after_lattice, after_composition = lengths[2], lengths[2] + lengths[1]
    for n_back, n_same in (
        (torch.ones(200, dtype=torch.int64), 2),
        (after_lattice, 2),
        (after_composition, 1),
        (after_composition + lengths[0], 0),
        (torch.arange(200) % 12 + 1, 0),
    ):
        found = redrawn(model, start, n_back, generator(2))
        objects = CRYSTAL.objects(found)
        assert bool(CRYSTAL.encode(objects)[1].all()) and bool(CRYSTAL.admits(objects).all())
        before = CRYSTAL.objects(start.terminal)
        same_group = before.space_group == objects.space_group
        same_composition = (before.composition == objects.composition).all(dim=1)
        assert bool(same_group[n_back <= after_composition].all())
        assert bool(same_composition[n_back <= after_lattice].all())
        if n_same < 2:
            assert not bool(same_composition.all())
        if n_same == 0:
            assert not bool(same_group.all())


@pytest.mark.parametrize("rounds", [1, 4])
def test_the_better_stay_with_their_rewards(rounds: int) -> None:
    model, reward = random_model(GRID), Reward(GridCorners(LENGTH), LogValue())
    cells = GRID.cells()
    source = Terminals(GRID.encode(cells)[0], reward(cells).log_reward)
    before = source.draw(500, generator(4))
    better = LocalSearch(source, model, reward, back=4, rounds=rounds)
    terminal, log_reward = better.draw(500, generator(4))
    assert torch.equal(log_reward, reward(GRID.objects(terminal)).log_reward)
    assert bool((log_reward >= before[1]).all()) and bool((log_reward > before[1]).any())
    assert better.found is not None and better.found[0].n == len(better.found[1]) == 500 * rounds
    assert torch.equal(better.found[1], reward(GRID.objects(better.found[0])).log_reward)
    always = LocalSearch(source, model, reward, back=4, rounds=rounds, accept="always")
    worse = always.draw(500, generator(4))[1]
    assert bool((worse < before[1]).any())
