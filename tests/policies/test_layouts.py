"""Policies that use a part of their layout's columns: the same numbers as from all of them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from gflownet_crystal.envs.base import Context
from gflownet_crystal.envs.crystal import Crystal
from gflownet_crystal.gflownet.log_probs import evaluate
from gflownet_crystal.gflownet.model import GFlowNet
from gflownet_crystal.gflownet.rollout import sample_forward
from gflownet_crystal.policies import MLPPolicy, Policy, ResidualPolicy, StageShape, UniformPolicy
from gflownet_crystal.policies.base import Columns, MixtureSettings, build_heads, stage_shapes
from gflownet_crystal.structures.elements import ATOMIC_NUMBERS

SALTS = ("Na", "Cl", "Mg", "O")
WIDE = ("Cl", "Li", "O", "Na", "Fe", "Mg", "S")


def crystal(elements: tuple[str, ...], **settings: object) -> Crystal:
    return Crystal(elements, space_groups=[225, 221, 62], max_count=8, n_elements=[2, 3], **settings)  # type: ignore[arg-type]


def shapes(env: Crystal) -> list[StageShape]:
    return stage_shapes(env, build_heads(env, MixtureSettings(), backward=False))


def random_weights(policy: Policy, seed: int = 0) -> Policy:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.copy_(0.1 * torch.randn(parameter.shape, generator=generator))
    return policy.eval()


def mlp(shapes: list[StageShape]) -> Policy:
    return random_weights(MLPPolicy(shapes, n_layers=2, n_hidden=16))


def residual(shapes: list[StageShape]) -> Policy:
    return random_weights(ResidualPolicy(shapes, n_layers=2, n_hidden=16))


def described(shapes: list[StageShape]) -> Policy:
    return random_weights(ResidualPolicy(shapes, n_layers=2, n_hidden=16, dropout=0.5, descriptors=True))


@pytest.mark.parametrize("make", [mlp, residual, described])
def test_some_columns_give_the_numbers_that_all_of_them_give(make) -> None:
    env = crystal(SALTS)
    policy = make(shapes(env))
    generator = torch.Generator().manual_seed(1)
    for stage, shape in enumerate(policy.shapes):
        places = env.feature_places(stage)
        inputs = torch.arange(shape.n_features) if places is None else places
        outputs = torch.randperm(shape.n_parameters, generator=generator)[:7]
        features = torch.randn(5, len(inputs), generator=generator)
        wide = torch.zeros(5, shape.n_features).index_copy(1, inputs, features)
        torch.testing.assert_close(
            policy.some(stage, features, Columns(inputs, outputs)),
            policy(stage, wide)[:, outputs],
            atol=1e-5,
            rtol=1e-5,
        )
        plain: Tensor = Policy.some(policy, stage, features, Columns(inputs, outputs))
        torch.testing.assert_close(plain, policy(stage, wide)[:, outputs])


def test_a_folded_policy_needs_no_descriptors_and_gives_the_same_numbers() -> None:
    policy = described(shapes(crystal(SALTS)))
    assert isinstance(policy, ResidualPolicy)
    folded = policy.folded().eval()
    for stage, shape in enumerate(policy.shapes):
        features = torch.randn(6, shape.n_features, generator=torch.Generator().manual_seed(stage))
        torch.testing.assert_close(folded(stage, features), policy(stage, features), atol=1e-5, rtol=1e-5)
    assert not any("map" in name for name in folded.state_dict())


@pytest.mark.parametrize("make", [mlp, described])
def test_one_policy_gives_a_trajectory_the_same_probability_in_every_vocabulary(make) -> None:
    # the wider space has other masks, so it is restricted to the elements of the narrow one
    narrow, wide = crystal(SALTS), crystal(WIDE).restrict(elements=SALTS)
    model = GFlowNet(narrow, make, UniformPolicy)
    trajectories = sample_forward(model, 64, torch.Generator().manual_seed(2))
    expected, _ = evaluate(model, trajectories)
    specs = narrow.objects(trajectories.terminal)
    terminal, inside = wide.encode(specs)
    assert inside.all()
    other = GFlowNet(wide, make, UniformPolicy)
    orders = [torch.tensor([list(SALTS).index(symbol) for symbol in wide.composition.rules.elements])]
    assert torch.equal(terminal.states[1].counts, trajectories.terminal.states[1].counts[:, orders[0]])
    for index in range(3):
        mine, theirs = (
            one.forward_parameters(index, end.states[index], Context(end.n, end.device, end.states[:index]))
            for one, end in ((model, trajectories.terminal), (other, terminal))
        )
        if index == 1:
            n_counts = narrow.composition.n_counts
            places = (orders[0][:, None] * n_counts + torch.arange(n_counts)).flatten()
            mine = mine[:, torch.cat([places, torch.tensor([len(SALTS) * n_counts])])]
        torch.testing.assert_close(theirs, mine, atol=1e-5, rtol=1e-5)
    assert expected.isfinite().all()


def test_actions_stand_at_their_element_and_count_in_the_layout() -> None:
    layout = crystal(("Cl", "Na")).composition.layout
    assert layout is not None
    element, count = layout.forward[:-1] // 24, layout.forward[:-1] % 24 + 1
    assert element.tolist() == [ATOMIC_NUMBERS["Cl"] - 1] * 8 + [ATOMIC_NUMBERS["Na"] - 1] * 8
    assert count.tolist() == [*range(1, 9)] * 2
    assert layout.forward[-1] == layout.n_forward - 1 == 94 * 24


def test_a_model_takes_environments_of_its_layout_only() -> None:
    model = GFlowNet(crystal(SALTS), residual, UniformPolicy)
    model.set_env(crystal(WIDE))
    assert len(
        sample_forward(model, 3, torch.Generator().manual_seed(0)).terminal.states[1].counts[0]
    ) == len(WIDE)
    with pytest.raises(ValueError, match="other features or actions"):
        model.set_env(Crystal(SALTS, space_groups=[225], max_count=40))
