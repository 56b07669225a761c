"""Batches of a few rows, in which all transitions of a stage may be forced, against one batch of all rows."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from gflownet_crystal.envs.base import Env
from gflownet_crystal.envs.box import Box
from gflownet_crystal.envs.crystal import Crystal
from gflownet_crystal.envs.hypergrid import Hypergrid
from gflownet_crystal.gflownet.batch import cat_trajectories
from gflownet_crystal.gflownet.likelihood import log_prob
from gflownet_crystal.gflownet.log_probs import evaluate
from gflownet_crystal.gflownet.objectives import LogVariance, Objective, TrajectoryBalance
from gflownet_crystal.gflownet.rollout import Trajectories, sample_backward, sample_forward
from gflownet_crystal.policies.distributions import JumpHead
from gflownet_crystal.proxies.base import Proxy
from gflownet_crystal.proxies.reward import Boltzmann, Reward
from gflownet_crystal.training.base import take_all_steps
from gflownet_crystal.training.samplers.settings import TrainerSettings
from gflownet_crystal.training.samplers.training import SamplerTraining
from tests.gflownet.test_rollout import model_of

_NARROW = ["Na", "Cl"]
SPACES: dict[str, Env] = {
    "grid": Hypergrid(2, 4),
    "box": Box(2, 0.2),
    "box of one jump": Box(2, 0.99),
    "crystal": Crystal(_NARROW, [2, 14, 62, 166, 225], max_count=8, n_elements=[2, 2], n_atoms=[2, 16]),
    "crystal of one jump": Crystal(
        _NARROW, [62, 225], max_count=8, n_elements=[2, 2], minimum_increment=0.99
    ),
    "paper's crystal": Crystal(
        _NARROW, [62, 225], max_count=8, n_elements=[2, 2], coordinates="raw", minimum_increment=0.1
    ),
}


class Zero(Proxy):
    """An energy of 0 for any object."""

    property_name = "energy"
    unit = "eV"

    def predict(self, batch: object) -> Tensor:
        return torch.zeros(len(batch), dtype=torch.float64)  # type: ignore[arg-type]


def _some_stage_is_forced(env: Env, trajectories: Trajectories) -> bool:
    """Whether some stage leaves no row a choice in one direction."""
    model = model_of(env)
    forced = [
        head.forced(part.forward_support)
        for head, part in zip(model.forward_heads, trajectories.stages, strict=True)
    ]
    forced += [
        head.forced(part.backward_support)
        for head, part in zip(model.backward_heads, trajectories.stages, strict=True)
    ]
    return any(bool(rows.all()) for rows in forced)


@torch.no_grad()
@pytest.mark.parametrize("size", [1, 2, 4])
@pytest.mark.parametrize("name", SPACES)
def test_rows_have_the_log_probabilities_that_they_have_in_a_big_batch(name: str, size: int) -> None:
    env = SPACES[name]
    model = model_of(env)
    generator = torch.Generator().manual_seed(size)
    forward = [sample_forward(model, size, generator) for _ in range(24 // size)]
    backward = [sample_backward(model, few.terminal, generator) for few in forward]
    for parts in (forward, backward):
        few = [evaluate(model, part) for part in parts]
        log_pf, log_pb = evaluate(model, cat_trajectories(parts))
        assert torch.allclose(torch.cat([pair[0] for pair in few]), log_pf, atol=1e-4, rtol=1e-5)
        assert torch.allclose(torch.cat([pair[1] for pair in few]), log_pb, atol=1e-4, rtol=1e-5)
    if name.endswith("of one jump"):
        assert any(_some_stage_is_forced(env, part) for part in (*forward, *backward))


@pytest.mark.parametrize("name", SPACES)
def test_the_probability_of_one_object_does_not_depend_on_others(name: str) -> None:
    env = SPACES[name]
    model = model_of(env)
    terminal = sample_forward(model, 6, torch.Generator().manual_seed(0)).terminal
    first = torch.tensor([0])
    alone = log_prob(model, terminal[first], 400, torch.Generator().manual_seed(1))
    among = log_prob(model, terminal, 400, torch.Generator().manual_seed(2), batch_size=800)
    difference = float(alone.log_prob[0] - among.log_prob[0])
    error = float((alone.std_error[0] ** 2 + among.std_error[0] ** 2).sqrt())
    assert abs(difference) < 1e-4 + 4.0 * error


@pytest.mark.parametrize("objective", [TrajectoryBalance(), LogVariance()], ids=["balance", "variance"])
@pytest.mark.parametrize("size", [1, 2, 4])
@pytest.mark.parametrize("name", ["grid", "box of one jump", "crystal of one jump"])
def test_a_training_with_small_batches_takes_all_its_steps(
    name: str, size: int, objective: Objective
) -> None:
    model = model_of(SPACES[name])
    settings = TrainerSettings(iterations=12, batch_size=size, checkpoint_every=12)
    training = SamplerTraining(model, Reward(Zero(), Boltzmann(1.0)), objective, settings)
    take_all_steps(training)
    assert training.done == 12
    assert all(bool(torch.isfinite(value).all()) for value in model.state_dict().values())


@pytest.mark.parametrize("joint", [True, False])
def test_a_head_takes_batches_without_rows(joint: bool) -> None:
    env = SPACES["box"]
    head = JumpHead(2, n_components=3, joint=joint)
    trajectories = sample_forward(model_of(env), 4, torch.Generator().manual_seed(0))
    part = trajectories.stages[0]
    none = torch.tensor([], dtype=torch.int64)
    found = head.log_prob(torch.zeros(0, head.n_parameters), part.forward_support[none], part.forward[none])
    assert found.shape == (0,)
