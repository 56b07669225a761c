"""Trajectories a second of torchgfn on the hypergrid of 4 dimensions and 8 cells, a part of ``benchmarks.hypergrid``.

    python benchmarks/grid_torchgfn.py BATCH ITERATIONS

Trajectory balance with a uniform backward policy, perceptron of 3 x 256, Adam, on policy. Run by an interpreter that
has torchgfn; needs nothing of this package. Prints trajectories a second of processor time.
"""

from __future__ import annotations

import sys
import time

import torch
from gfn.estimators import DiscretePolicyEstimator
from gfn.gflownet import TBGFlowNet
from gfn.gym import HyperGrid
from gfn.preprocessors import KHotPreprocessor
from gfn.samplers import Sampler
from gfn.utils.modules import MLP, DiscreteUniform

WARM_UP = 3


def train(batch: int, iterations: int) -> None:
    """Train and print the rate."""
    torch.manual_seed(0)
    env = HyperGrid(ndim=4, height=8)
    features = KHotPreprocessor(height=env.height, ndim=env.ndim)
    network = MLP(features.output_dim, env.n_actions, hidden_dim=256, n_hidden_layers=3)
    forward = DiscretePolicyEstimator(network, env.n_actions, preprocessor=features)
    uniform = DiscreteUniform(env.n_actions - 1)
    backward = DiscretePolicyEstimator(uniform, env.n_actions, preprocessor=features, is_backward=True)
    model = TBGFlowNet(pf=forward, pb=backward)
    optimizer = torch.optim.Adam(
        [
            {"params": list(network.parameters()), "lr": 1e-3},
            {"params": model.logz_parameters(), "lr": 1e-1},
        ]
    )
    sampler, start = Sampler(forward), 0.0
    for iteration in range(WARM_UP + iterations):
        if iteration == WARM_UP:
            start = time.process_time()
        # the log-probabilities of sampling serve the loss, as the batch is on policy
        trajectories = sampler.sample_trajectories(env, n=batch, save_logprobs=True)
        optimizer.zero_grad()
        model.loss(env, trajectories, recalculate_all_logprobs=False).backward()
        optimizer.step()
    print(batch * iterations / (time.process_time() - start))


if __name__ == "__main__":
    train(int(sys.argv[1]), int(sys.argv[2]))
