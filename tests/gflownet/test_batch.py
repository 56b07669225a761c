"""Batches mixed from several sources, against their parts."""

from __future__ import annotations

import torch

from gflownet_crystal.envs.base import Env
from gflownet_crystal.envs.box import Box
from gflownet_crystal.envs.hypergrid import Hypergrid
from gflownet_crystal.gflownet.batch import cat_trajectories, draw_batch
from gflownet_crystal.gflownet.log_probs import evaluate
from gflownet_crystal.gflownet.model import GFlowNet
from gflownet_crystal.gflownet.replay import Terminals
from gflownet_crystal.gflownet.rollout import sample_backward, sample_forward
from gflownet_crystal.policies import Behaviour, MLPPolicy
from gflownet_crystal.proxies.reward import LogValue, Reward
from gflownet_crystal.proxies.toy import BoxCorners, GridCorners


def make_model(env: Env) -> GFlowNet:
    return GFlowNet(env, lambda s: MLPPolicy(s, 1, 16, seed=0), lambda s: MLPPolicy(s, 1, 16, seed=1))


def test_concatenated_trajectories_have_the_log_probabilities_of_their_parts() -> None:
    for env in (Hypergrid(2, 5), Box(2)):
        model, generator = make_model(env), torch.Generator().manual_seed(0)
        parts = [sample_forward(model, n, generator) for n in (4, 1, 7)]
        parts.append(sample_backward(model, parts[0].terminal, generator))
        whole = evaluate(model, cat_trajectories(parts))
        for together, alone in zip(
            whole, zip(*(evaluate(model, part) for part in parts), strict=True), strict=True
        ):
            assert torch.allclose(together, torch.cat(alone), atol=1e-6)


def test_policy_first_then_sources_with_their_rewards() -> None:
    env = Hypergrid(2, 6)
    model, reward = make_model(env), Reward(GridCorners(6), LogValue())
    chosen, _ = env.encode(torch.tensor([[1, 1], [4, 4]]))
    marks = torch.tensor([100.0, 200.0], dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    batch = draw_batch(model, reward, 10, [(Terminals(chosen, marks), 6)], Behaviour(), generator)
    cells = env.objects(batch.trajectories.terminal)
    assert batch.trajectories.n == 16 and batch.new.n == 10
    assert torch.equal(cells[:10], env.objects(batch.new))
    assert torch.equal(batch.log_reward[:10], GridCorners(6).predict(cells[:10]).log())
    assert torch.equal(batch.log_reward[10:], torch.where(cells[10:, 0] == 1, 100.0, 200.0).double())


def test_policy_only() -> None:
    env = Box(3)
    reward = Reward(BoxCorners(3), LogValue())
    batch = draw_batch(make_model(env), reward, 5, [], Behaviour(0.5), torch.Generator().manual_seed(0))
    assert batch.trajectories.n == batch.new.n == len(batch.log_reward) == 5
