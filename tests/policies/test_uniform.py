"""The uniform policy: equal shares, and flags as the settings say."""

from __future__ import annotations

import pytest
import torch

from gflownet_crystal.envs.box import Box
from gflownet_crystal.gflownet.log_probs import evaluate
from gflownet_crystal.gflownet.model import GFlowNet
from gflownet_crystal.gflownet.rollout import sample_forward
from gflownet_crystal.policies import MixtureSettings, UniformPolicy


@pytest.mark.parametrize("probability", [0.5, 0.97])
def test_flags_have_the_probability_of_the_settings(probability: float) -> None:
    settings = MixtureSettings(initial_stop=probability, initial_back_to_source=probability)
    model = GFlowNet(Box(), UniformPolicy, UniformPolicy, settings)
    trajectories = sample_forward(model, 20_000, torch.Generator().manual_seed(0))
    stage = trajectories.stages[0]
    undecided = stage.forward_support.flag_allowed & ~stage.forward_support.flag_forced
    share = float(stage.forward.flag[undecided].double().mean())
    assert abs(share - probability) < 4 * (probability * (1 - probability) / int(undecided.sum())) ** 0.5
    # backward: a trajectory of one jump and the stop was undone at once
    _, log_pb = evaluate(model, trajectories)
    single = torch.bincount(stage.row, minlength=trajectories.n) == 2
    choice = ~stage.backward_support.flag_forced[stage.child.started & ~stage.child.stopped]
    first = torch.full_like(log_pb, float("nan"))
    first[stage.row[stage.child.started & ~stage.child.stopped]] = choice.double()
    expected = torch.where(first == 1.0, torch.tensor(probability, dtype=torch.float64).log(), 0.0)
    assert torch.allclose(log_pb[single], expected[single], atol=1e-6)


def test_has_nothing_to_learn() -> None:
    model = GFlowNet(Box(), UniformPolicy, UniformPolicy)
    assert [name for name, _ in model.named_parameters()] == ["log_z_weights"]
    assert set(model.state_dict()) == {"log_z_weights"}
