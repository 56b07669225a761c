"""Sizes of a prior's samples follow those of known crystals; groups and cells keep their weights."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.envs.crystal import Crystal
from gflownet_crystal.gflownet.model import GFlowNet
from gflownet_crystal.gflownet.rollout import sample_terminal
from gflownet_crystal.policies import ResidualPolicy, UniformPolicy
from gflownet_crystal.structures.spec import CrystalSpec
from gflownet_crystal.training.priors import matching
from gflownet_crystal.training.priors.matching import SizeRatio, match_sizes
from gflownet_crystal.training.priors.task import PriorSettings


def prior() -> GFlowNet:
    env = Crystal(("Na", "Cl", "K", "Br"), space_groups=[225], max_count=8)

    def policy(shapes: list) -> ResidualPolicy:
        return ResidualPolicy(shapes, n_layers=1, n_hidden=16)

    return GFlowNet(env, policy, UniformPolicy)


def drawn(model: GFlowNet, n: int, seed: int) -> CrystalSpec:
    with torch.no_grad():
        return model.env.objects(sample_terminal(model, n, torch.Generator().manual_seed(seed)))


def binary_share(specs: CrystalSpec) -> float:
    return float(((specs.composition > 0).sum(dim=1) == 2).double().mean())


def test_the_ratio_is_that_of_the_shares() -> None:
    model = prior()
    specs = drawn(model, 400, 0)
    binary = (specs.composition > 0).sum(dim=1) == 2
    known = CrystalSpec.cat([specs[binary.nonzero().squeeze(1)], specs])
    ratio = SizeRatio(known, specs).predict(specs)
    size: Tensor = (specs.composition > 0).sum(dim=1) * 1000 + (specs.n_atoms - 1) // 4
    for number in size.unique().tolist():
        members = size == number
        n = int(members.sum())
        n_known = 2 * n if bool(binary[members][0]) else n
        expected = ((n_known + 1) / len(known)) / ((n + 1) / len(specs))
        assert ratio[members].tolist() == pytest.approx([expected] * n)


def test_samples_come_to_have_the_sizes_of_known_crystals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matching, "_DRAWN", 4_000)
    # a network of 16 units that has learned nothing takes larger steps
    monkeypatch.setattr(matching, "_LEARNING_RATE", 2e-2)
    model = prior()
    specs = drawn(model, 4_000, 1)
    binary = (specs.composition > 0).sum(dim=1) == 2
    # known crystals are binary three times as often, in odds, as the samples
    known = CrystalSpec.cat([specs[binary.nonzero().squeeze(1)]] * 2 + [specs])
    before, asked = binary_share(specs), binary_share(known)
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    match_sizes(model, known, iterations=50, quiet=True)
    after = binary_share(drawn(model, 4_000, 2))
    assert abs(after - asked) < 0.3 * abs(before - asked)
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, weights[name])}
    assert changed and all(name.startswith(("forward_policy.networks.1.", "log_z")) for name in changed)
    assert all(value.requires_grad for value in model.parameters())


def test_rounds_have_at_least_one_iteration() -> None:
    assert PriorSettings(matching=[]).matching == []
    with pytest.raises(ConfigError, match=r"task\.matching"):
        PriorSettings(matching=[100, 0])
