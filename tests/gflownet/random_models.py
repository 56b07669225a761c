"""Models with random weights, far from uniform, and their exact distributions."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from gflownet_crystal.envs.base import Env
from gflownet_crystal.evaluation.exact import terminal_distribution
from gflownet_crystal.gflownet.model import GFlowNet, PolicyFactory
from gflownet_crystal.policies import MLPPolicy


def random_policy(size: float, seed: int) -> PolicyFactory:
    """Random weights, those of the last layer ``size`` times as large as at the start of a training."""

    def make(shapes: Any) -> MLPPolicy:
        made = MLPPolicy(shapes, n_layers=1, n_hidden=16, seed=seed)
        with torch.no_grad():
            for network in made.networks:
                network[-1].weight.mul_(size)
        return made

    return make


def random_model(env: Env, seed: int = 3) -> GFlowNet:
    return GFlowNet(env, random_policy(60.0, seed), random_policy(20.0, seed + 1))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def exact_log_prob(model: GFlowNet, length: int) -> Tensor:
    """(length^2,) log-probability of each cell of a plane grid, summed over all trajectories."""
    terminal, probability = terminal_distribution(model)
    cells = model.env.objects(terminal)
    table = torch.full((length * length,), -math.inf, dtype=torch.float64)
    return table.index_put((cells[:, 0] * length + cells[:, 1],), probability.log())
