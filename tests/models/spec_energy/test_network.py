"""The stacked ensemble against its members one by one, its features against plain Python, its averages and wells."""

from __future__ import annotations

from math import gcd, log

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gflownet_crystal.data.prepare import prepare
from gflownet_crystal.models.spec_energy.features import composition_features
from gflownet_crystal.models.spec_energy.network import EnergyEnsemble, StackedLinear
from gflownet_crystal.models.spec_energy.wells import mode_distance, shape_well, volume_well
from gflownet_crystal.structures.elements import ELECTRONEGATIVITY
from gflownet_crystal.structures.spec_io import frame_to_specs
from gflownet_crystal.training.optimizer import MovingAverage
from gflownet_crystal.training.proxies.mlp_data import Packed, join
from gflownet_crystal.training.proxies.mlp_training import prototype_rows
from tests.data.crystals import stored_frame
from tests.proxies.test_mlp import random_specs


def test_stacked_layer_is_each_members_own_layer() -> None:
    layer = StackedLinear(3, 5, 4, torch.Generator().manual_seed(0))
    shared, own = torch.randn(7, 5), torch.randn(3, 7, 5)
    for member in range(3):
        weight, bias = layer.weight[member], layer.bias[member]
        torch.testing.assert_close(layer(shared)[member], shared @ weight + bias)
        torch.testing.assert_close(layer(own)[member], own[member] @ weight + bias)


def test_members_do_not_see_each_other() -> None:
    specs = random_specs(9)
    network = EnergyEnsemble(members=3, width=16, token_width=8, embedding=8)
    features = composition_features(specs.composition, specs.space_group)
    shape, volume = torch.randn(9, 15), torch.randn(9) + 3
    energy = network.energy(network.encode(features), volume, shape).energy
    gradients = torch.autograd.grad(energy[1].sum(), list(network.parameters()), allow_unused=True)
    for gradient in gradients:
        if gradient is not None and gradient.shape[0] == 3:
            assert float(gradient[[0, 2]].abs().sum()) == 0


@given(st.integers(0, 1000))
def test_features_are_those_of_plain_python(seed: int) -> None:
    specs = random_specs(4, seed)
    features = composition_features(specs.composition, specs.space_group)
    # lattice points and point-group orders of a few groups, from the tables of ITA
    known = {
        1: (1, 1),
        14: (1, 4),
        62: (1, 8),
        63: (2, 8),
        139: (2, 16),
        166: (3, 12),
        194: (1, 24),
        225: (4, 48),
    }
    group = torch.tensor(list(known))[torch.arange(4) + seed % 5]
    features = composition_features(specs.composition, group)
    for row in range(4):
        points, order = known[int(group[row])]
        counts = {z: int(n) for z, n in enumerate(specs.composition[row]) if n}
        total = sum(counts.values())
        ranked = sorted(counts, key=lambda z: (-counts[z], -np.nan_to_num(ELECTRONEGATIVITY[z], nan=9), -z))
        mine = features.element[features.row == row].tolist()
        assert [counts[z] for z in mine] == [counts[z] for z in ranked] and set(mine) == set(ranked)
        token = features.token[features.row == row]
        for index, z in enumerate(mine):
            expected = [counts[z] / total, log(counts[z] / points), log(counts[z] / points / order)]
            assert token[index, :3].tolist() == pytest.approx(expected, abs=1e-5)
            assert token[index, 3:].argmax() == min(index, 5)
        assert float(features.scalar[row, 0]) == pytest.approx(log(total / points), abs=1e-5)
        assert float(features.scalar[row, 1]) == pytest.approx(log(gcd(*counts.values()) / points), abs=1e-5)


def test_prototype_forgets_the_elements_and_keeps_counts_and_group() -> None:
    specs = frame_to_specs(prepare(stored_frame()))
    swapped = torch.zeros_like(specs.composition)
    swapped[:, 2:] = specs.composition[:, 1:-1]  # every element becomes the next one
    bucket = composition_features(specs.composition, specs.space_group).bucket
    torch.testing.assert_close(composition_features(swapped, specs.space_group).bucket, bucket)
    alone = torch.cat(
        [composition_features(s.composition, s.space_group).bucket for s in (specs[:1], specs[6:7])]
    )
    assert alone.tolist() == [int(bucket[0]), int(bucket[6])]
    assert len(set(bucket.tolist())) == len(bucket)
    assert bool((composition_features(2 * specs.composition, specs.space_group).bucket != bucket).all())


def test_rows_of_prototypes_seen_twice() -> None:
    rows = prototype_rows(torch.tensor([5, 5, 9, 20, 20, 20]))
    assert rows[[5, 9, 20]].tolist() == [1, 0, 2] and int((rows > 0).sum()) == 2


def test_taking_and_joining_rows_is_computing_them() -> None:
    specs = random_specs(12)
    packed = Packed.of(specs.composition, specs.space_group)
    rows = torch.tensor([3, 0, 11])
    taken = join(packed.take(rows), packed.take(torch.tensor([7])))
    picked = torch.tensor([3, 0, 11, 7])
    direct = composition_features(specs.composition[picked], specs.space_group[picked])
    for name in ("fractions", "row", "element", "token", "scalar", "space_group", "bucket"):
        torch.testing.assert_close(getattr(taken, name), getattr(direct, name))


def test_average_of_a_constant_rate_walk() -> None:
    network = torch.nn.Linear(1, 1, bias=False)
    averaged = MovingAverage(dict(network.named_parameters()), decay=0.5)
    expected = float(network.weight.detach())
    for step in range(1, 6):
        with torch.no_grad():
            network.weight += 1.0
        keep = min(0.5, step / (step + 9))
        averaged.follow(step - 1)
        expected = keep * expected + (1 - keep) * float(network.weight.detach())
    last = float(network.weight.detach())
    averaged.swap()
    assert float(network.weight.detach()) == pytest.approx(expected)
    averaged.swap()
    assert float(network.weight.detach()) == pytest.approx(last)


def test_distance_to_one_mode_is_the_strain_between_the_cells() -> None:
    modes = torch.zeros(1, 1, 2, 15)
    modes[0, 0, 1, 7] = 9.0  # the other mode is far away
    modes[..., -1] = 0.05
    shape = torch.zeros(1, 15)
    shape[0, 7:10] = torch.tensor([0.1, 0.1, -0.2])
    difference, distance, surprise = mode_distance(modes, shape)
    assert float(distance) == pytest.approx(0.06**0.5, abs=1e-4)
    torch.testing.assert_close(difference[0, 0, 7:10], shape[0, 7:10])
    assert float(mode_distance(modes, torch.zeros(1, 15))[2]) < float(surprise)


def test_wells_are_zero_at_equilibrium_and_rise_on_both_sides() -> None:
    typical = torch.zeros(1, 3)
    strain = torch.linspace(-1.2, 2.0, 200)
    energy = volume_well(strain, typical)
    lowest = int(energy.argmin())
    assert abs(float(strain[lowest])) < 0.02 and float(energy[lowest]) < 1e-3
    assert bool((energy.diff()[lowest + 1 :] > 0).all()) and bool((energy.diff()[: lowest - 1] < 0).all())
    assert bool((shape_well(torch.linspace(0, 2, 50), typical).diff() > 0).all())
