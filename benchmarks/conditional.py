"""One sampler for a range of inverse temperatures on a space that can be enumerated: distance from R/Z at each of five.

    OMP_NUM_THREADS=1 python -m benchmarks.conditional [objective=trajectory_balance] [prior=false] [low=4] [high=32]
        [iterations=500] [batch=256] [rate=0.003] [seed=0]

The space is the 736 pairs of space group and composition of `benchmarks.exactness_prior`, the reward exp(-beta E) with
E from 0 on, whose median is 0.18; with `prior=true` times a frozen sampler with random weights. One network sees beta
as an input. For each beta its exact distribution by dynamic programming is compared with R/Z by enumeration, and its
log Z with the true one. Prints one JSON object a line.
"""

from __future__ import annotations

import json
import math
import time
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from benchmarks.brute_force import enumerate_space
from benchmarks.exactness import Pair, PairSpace, RandomLandscape
from benchmarks.exactness_prior import GROUPS, RULES, log_probabilities, make_prior, trainer_settings
from benchmarks.options import read_options, run
from gflownet_crystal.config.build import build
from gflownet_crystal.config.compose import compose_config
from gflownet_crystal.evaluation.agreement import total_variation
from gflownet_crystal.gflownet.conditions import Conditions
from gflownet_crystal.gflownet.model import GFlowNet
from gflownet_crystal.gflownet.objectives import Objective
from gflownet_crystal.policies import MLPPolicy, UniformPolicy
from gflownet_crystal.proxies import Boltzmann, Reward
from gflownet_crystal.training.base import take_all_steps
from gflownet_crystal.training.samplers.training import SamplerTraining

_DEFAULTS = {
    "objective": "trajectory_balance",
    "prior": "false",
    "low": "4",
    "high": "32",
    "iterations": "500",
    "batch": "256",
    "rate": "0.003",
    "seed": "0",
}
MEDIAN = 0.18
"""Median energy of the objects above the lowest."""
BETAS = 5


class Landscape(RandomLandscape):
    """Energies from 0 on with a given median, as those above a hull.

    Args:
        pairs: all objects of the space.
    """

    def __init__(self, pairs: Pair) -> None:
        self.lowest = 0.0
        super().__init__(pairs, math.exp(MEDIAN))
        self.lowest = float(self.predict(pairs).min())

    def predict(self, batch: Pair) -> Tensor:
        return super().predict(batch) - self.lowest


def measure(options: dict[str, str]) -> None:
    """Train one model and compare it with R/Z at each beta."""
    pairs = Pair(*enumerate_space(RULES, GROUPS))
    env = PairSpace(RULES, GROUPS)
    with_prior = options["prior"] == "true"
    low, high, seed = float(options["low"]), float(options["high"]), int(options["seed"])
    prior = make_prior(env, {"backward": "uniform", "weight": "1.0", "samples": "16"}, 80.0)
    log_prior = log_probabilities(prior.model, pairs) if with_prior else torch.zeros(len(pairs))
    reward = Reward(Landscape(pairs), Boltzmann(1.0))
    energy = reward(pairs).prediction.value
    section = compose_config("train_gfn", [f"objective={options['objective']}"]).objective
    objective = build(section, Objective, "objective")
    settings = replace(trainer_settings(options), learning_rate=float(options["rate"]))
    if objective.on_policy:
        settings = replace(settings, exploration=0.0)
    policy = partial(MLPPolicy, n_layers=2, n_hidden=256, activation="silu", seed=seed)
    model = GFlowNet(
        env,
        policy,
        UniformPolicy,
        flow=policy if objective.needs_flows else None,
        conditions=Conditions({"beta": (low, high)}),
    )
    start = time.process_time()
    training = SamplerTraining(model, reward, objective, settings, seed, prior=prior if with_prior else None)
    take_all_steps(training)
    training.finish()
    seconds = time.process_time() - start
    for beta in torch.linspace(low, high, BETAS).tolist():
        log_mass = log_prior - beta * energy
        log_z = float(torch.logsumexp(log_mass, dim=0))
        held = model.at({"beta": beta})
        found = {
            "beta": beta,
            "total_variation": total_variation(
                log_probabilities(held, pairs).exp(), (log_mass - log_z).exp()
            ),
            "log_z_error": float(held.log_z.detach()) - log_z,
            "log_z_true": log_z,
        }
        print(json.dumps({name: round(value, 4) for name, value in found.items()}), flush=True)
    print(json.dumps({"processor_seconds": round(seconds, 1)}))


def main(arguments: list[str]) -> None:
    """Measure and print."""
    measure(read_options(__doc__, _DEFAULTS, arguments))


if __name__ == "__main__":
    run(main)
