"""Chains over crystal specs against a small space whose target is known by enumeration and quadrature."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from benchmarks.target_chains import CrystalMoves, inside_space
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.envs.base import Context
from gflownet_crystal.envs.composition.stage import CompositionState
from gflownet_crystal.envs.crystal import Crystal
from gflownet_crystal.envs.lattice.reference_volume import reference_volume
from gflownet_crystal.evaluation.agreement import count_variation, wasserstein
from gflownet_crystal.evaluation.annealing import anneal
from gflownet_crystal.evaluation.quadrature import unit_box_nodes
from gflownet_crystal.proxies import Boltzmann, Proxy, Reward
from gflownet_crystal.structures.spec import CrystalSpec

CPU = torch.device("cpu")
GROUPS = (14, 29, 139, 166, 225)


class Well(Proxy):
    """An anharmonic well in volume and shape whose depth depends on group and composition."""

    property_name = "energy"
    unit = "1"

    def predict(self, batch: CrystalSpec) -> Tensor:
        strain = (batch.volume / reference_volume(batch.composition)).log() - 0.1
        ratios = (batch.lengths[:, 1:] / batch.lengths[:, :1]).log()
        tilt = torch.deg2rad(batch.angles[:, 1]) - 0.5 * math.pi
        shape = 6.0 * (ratios[:, 1] - 0.2).square() + 4.0 * ratios[:, 0].square() + 8.0 * tilt.square()
        depth = (
            1.5 * torch.sin(batch.space_group.double()) + 4.0 * batch.fractions[:, 3] - batch.fractions[:, 9]
        )
        return 8.0 * strain.square() - 4.0 * strain**3 + shape + depth


class Flat(Well):
    """No preference at all."""

    def predict(self, batch: CrystalSpec) -> Tensor:
        return torch.zeros(len(batch), dtype=torch.float64)


@pytest.fixture(scope="module")
def env() -> Crystal:
    box = {"axial_ratio": (0.4, 2.5), "angles": (55.0, 125.0)}
    return Crystal(["Li", "O", "F"], GROUPS, max_count=6, n_atoms=(2, 12), n_elements=(2, 3), lattice=box)


@pytest.fixture(scope="module")
def reward() -> Reward:
    return Reward(Well(), Boltzmann(1.0))


def pairs_of(env: Crystal) -> tuple[Tensor, Tensor]:
    """All groups and counts of the space, by asking for each."""
    axis = torch.arange(7)
    groups, *counts = torch.meshgrid(torch.tensor(GROUPS), axis, axis, axis, indexing="ij")
    group, count = groups.flatten(), torch.stack([c.flatten() for c in counts], dim=1)
    inside = env.composition.reached(count, group)
    return group[inside], count[inside]


def lattice_context(env: Crystal, group: int, counts: Tensor, position: Tensor) -> Context:
    n = len(position)
    ones = torch.ones(n, dtype=torch.bool)
    states = (env.space_group.terminal(torch.full((n,), group)), CompositionState(counts.expand(n, -1), ones))
    context = Context(n, CPU, states)
    return context.extended(env.lattice.terminal(position, context))


def exact(env: Crystal, reward: Reward) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Groups, counts, log-masses of all pairs, and a weighted sample of energies, by quadrature in the unit box."""
    groups, counts = pairs_of(env)
    masses, values, weights = [], [], []
    for group, count in zip(groups.tolist(), counts, strict=True):
        free = env.lattice.box.is_free(torch.tensor([group]))[0].nonzero().squeeze(1)
        nodes, log_weight = unit_box_nodes(len(free), 12 if len(free) < 4 else 8)
        context = lattice_context(
            env, group, count, torch.zeros(len(nodes), 6).double().index_copy(1, free, nodes)
        )
        scored = reward(env.objects(context))
        log_mass = scored.log_reward + env.log_reference(context) + log_weight
        masses.append(torch.logsumexp(log_mass, dim=0))
        values.append(scored.prediction.value)
        weights.append(log_mass)
    return groups, torch.stack(masses), torch.cat(values), torch.softmax(torch.cat(weights), dim=0)


def start_of(env: Crystal, n: int) -> CrystalSpec:
    """The same cell of one composition in one group for everyone: as far from the target as can be."""
    groups, counts = pairs_of(env)
    return env.objects(lattice_context(env, int(groups[0]), counts[0], torch.full((n, 6), 0.5).double()))


def test_chains_find_groups_compositions_and_energies(env: Crystal, reward: Reward) -> None:
    groups, masses, values, weights = exact(env, reward)
    moves = CrystalMoves(env)
    generator = torch.Generator().manual_seed(0)
    start = uniform_specs(env, 2000, generator)
    found = anneal(start, reward, moves.all(), generator, sweeps=3, first_sweeps=1, last_sweeps=10)
    energies = values[torch.multinomial(weights, 20_000, True, generator=generator)]
    assert float(energies.std()) > 0.5
    assert wasserstein(found.particles.value, energies) < 0.06
    probability = torch.zeros(231, dtype=torch.float64).index_add(0, groups, torch.softmax(masses, dim=0))
    sample = torch.multinomial(probability, 20_000, True, generator=generator)
    distance, noise = count_variation(found.particles.objects.space_group, sample, 231)
    assert distance < 2.0 * noise + 0.01


def uniform_specs(env: Crystal, n: int, generator: torch.Generator) -> CrystalSpec:
    """Exact draws of the reference measure: points of the unit box, resampled by the Jacobian."""
    groups, counts = pairs_of(env)
    row = torch.randint(len(groups), (20 * n,), generator=generator)
    states = (env.space_group.terminal(groups[row]), CompositionState(counts[row], row >= 0))
    context = Context(len(row), CPU, states)
    position = torch.rand(len(row), 6, generator=generator, dtype=torch.float64)
    context = context.extended(env.lattice.terminal(position, context))
    chosen = torch.multinomial(env.log_reference(context).exp(), n, generator=generator)
    return env.objects(context[chosen])


def _columns(specs: CrystalSpec) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Group, atoms, c / a and beta as integers."""
    ratio = (specs.lengths[:, 2] / specs.lengths[:, 0] * 5).long()
    return specs.space_group, specs.n_atoms, ratio, (specs.angles[:, 1] / 3).long()


def test_moves_keep_the_uniform_distribution(env: Crystal) -> None:
    generator = torch.Generator().manual_seed(1)
    moves = CrystalMoves(env)
    flat = Reward(Flat(), Boltzmann(1.0))
    start = uniform_specs(env, 2500, generator)
    found = anneal(
        start, flat, moves.all(), generator, first_sweeps=14, sweeps=1, last_sweeps=1
    ).particles.objects
    fresh = uniform_specs(env, 2500, generator)
    for first, second in zip(_columns(found), _columns(fresh), strict=True):
        distance, noise = count_variation(first, second, 231)
        assert distance < 1.5 * noise + 0.005


def test_proposals_are_specs_of_the_space_with_the_volume_kept(env: Crystal) -> None:
    moves = CrystalMoves(env)
    generator = torch.Generator().manual_seed(2)
    specs = start_of(env, 500)
    for _ in range(20):
        for move in moves.all():
            proposal = move(specs, generator)
            rows = proposal.inside.nonzero().squeeze(1)
            assert bool(inside_space(env, proposal.objects[rows]).all())
            specs = specs.put(rows, proposal.objects[rows])
    assert len(specs.space_group.unique()) == len(GROUPS)
    before = moves.shape_of(specs)
    for move in (moves.redraw_counts(1), moves.exchange_element, moves.redraw_group):
        proposal = move(specs, generator)
        after = moves.shape_of(proposal.objects)
        kept = proposal.inside
        assert torch.allclose(after.log_volume[kept], before.log_volume[kept], atol=1e-9)


def test_other_settings_of_a_cell_are_outside(env: Crystal) -> None:
    """A monoclinic cell with beta below 90 is an object in another setting: counted twice if it were admitted."""
    position = torch.full((4, 6), 0.5).double()
    specs = env.objects(lattice_context(env, 14, torch.tensor([[4, 2, 0]]), position))
    tilted = CrystalSpec(specs.space_group, specs.composition, specs.lengths, 180.0 - specs.angles)
    assert bool(inside_space(env, specs).all())
    assert not bool(inside_space(env, tilted).any())


def test_other_reference_measures_are_refused() -> None:
    with pytest.raises(ConfigError, match="shape"):
        CrystalMoves(Crystal(["Li", "O"], [225], coordinates="raw"))
