"""Exactness with a prior: is the trained distribution prior(x)^w R(x) / Z, and log Z the true one?

    OMP_NUM_THREADS=1 python -m benchmarks.exactness_prior [part=discrete|lattice|likelihood] [weight=1.0]
        [backward=uniform|learned] [iterations=1000] [batch=256] [samples=16] [seed=0]

The prior is a frozen sampler with random weights, far from uniform; its exact distribution comes from dynamic
programming over the state graph, and so does that of the trained sampler. `discrete`: space group x composition, every
object by brute force. `lattice`: with cells; log Z against Gauss-Legendre sums in log volume and log ratios.
`likelihood`: a prior trained by maximum likelihood on draws from a known distribution. Prints one JSON object.
"""

from __future__ import annotations

import json
import math
import time

import torch
from torch import Tensor

from benchmarks.brute_force import enumerate_space
from benchmarks.exactness import Pair, PairSpace, RandomLandscape, backward_policy, keys_of, train
from benchmarks.exactness_lattice import AXIAL_RATIO, LOG_VOLUME, MIXTURE, SyntheticWell, box_nodes
from benchmarks.options import read_options, run
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.envs.base import Env
from gflownet_crystal.envs.composition.rules import CompositionRules
from gflownet_crystal.envs.crystal import Crystal
from gflownet_crystal.evaluation.agreement import total_variation
from gflownet_crystal.evaluation.exact import terminal_distribution
from gflownet_crystal.gflownet.likelihood import log_ratios, negative_elbo
from gflownet_crystal.gflownet.model import GFlowNet
from gflownet_crystal.gflownet.objectives import RelativeTrajectoryBalance
from gflownet_crystal.gflownet.prior import Prior, log_mean
from gflownet_crystal.gflownet.rollout import sample_backward, sample_terminal
from gflownet_crystal.policies import MixtureSettings, MLPPolicy, UniformPolicy
from gflownet_crystal.policies.base import Policy, StageShape
from gflownet_crystal.proxies import Boltzmann, Reward
from gflownet_crystal.training.samplers.settings import TrainerSettings
from gflownet_crystal.training.schedule import ScheduleSettings

_DEFAULTS = {
    "part": "discrete",
    "weight": "1.0",
    "backward": "uniform",
    "iterations": "1000",
    "batch": "256",
    "samples": "16",
    "seed": "0",
}
RULES = CompositionRules(
    elements=("Li", "Mg", "Fe", "O", "F"), max_count=6, n_elements=(2, 3), n_atoms=(2, 16)
)
GROUPS = (2, 14, 33, 62, 139, 148, 194, 225)
RATIO = 300.0
"""Of the largest reward to the median one."""
LATTICE_RULES = CompositionRules(
    elements=("Li", "Mg", "O", "F"), max_count=4, n_elements=(2, 2), n_atoms=(2, 8)
)
LATTICE_GROUPS = (139, 225)
NODES = 40
PRIOR_SAMPLES = 48
"""Backward trajectories to each node."""
PRIOR_DRAWS = 100_000
"""Objects of the prior whose mean reward is a second value of Z at weight 1."""


class RandomPolicy:
    """Makes policies with random weights of a certain size.

    Args:
        seed: of the weights.
        size: factor of the last layer's weights; 1 is next to uniform.
    """

    def __init__(self, seed: int, size: float) -> None:
        self.seed, self.size = seed, size

    def __call__(self, shapes: list[StageShape]) -> Policy:
        made = MLPPolicy(shapes, n_layers=1, n_hidden=32, activation="silu", seed=self.seed)
        with torch.no_grad():
            for network in made.networks:
                network[-1].weight.mul_(self.size)
        return made


def make_prior(
    env: Env, options: dict[str, str], size: float, mixture: MixtureSettings | None = None
) -> Prior:
    """A frozen sampler with random weights; its backward policy is of the trained one's kind."""
    backward = UniformPolicy if options["backward"] == "uniform" else RandomPolicy(12, 0.1 * size)
    model = GFlowNet(env, RandomPolicy(11, size), backward, mixture)
    return Prior(model, float(options["weight"]), int(options["samples"]))


def trainer_settings(options: dict[str, str]) -> TrainerSettings:
    """Settings of the runs with a prior."""
    iterations = int(options["iterations"])
    return TrainerSettings(
        iterations=iterations,
        batch_size=int(options["batch"]),
        learning_rate=3e-3,
        learning_rate_log_z=5e-2,
        schedule=ScheduleSettings("cosine", warm_up=50, final_factor=0.002),
        exploration=0.1,
        exploration_final=0.0,
        behaviour_iterations=iterations // 2,
        ema=0.998,
        checkpoint_every=iterations,
    )


def discrete(options: dict[str, str]) -> dict[str, float]:
    """Train on space group x composition and compare with prior^w R / Z."""
    pairs = Pair(*enumerate_space(RULES, GROUPS))
    env = PairSpace(RULES, GROUPS)
    prior = make_prior(env, options, 80.0)
    log_prior = log_probabilities(prior.model, pairs)
    reward = Reward(RandomLandscape(pairs, RATIO), Boltzmann(1.0))
    log_mass = reward(pairs).log_reward + prior.weight * log_prior
    log_z = float(torch.logsumexp(log_mass, dim=0))
    target = (log_mass - log_z).exp()
    start = time.process_time()
    model = train(
        env,
        reward,
        RelativeTrajectoryBalance(),
        trainer_settings(options),
        int(options["seed"]),
        backward=backward_policy(options["backward"]),
        prior=prior,
    )
    seconds = time.process_time() - start
    made = log_probabilities(model, pairs).exp()
    uniform = torch.full_like(target, 1.0 / len(target))
    return {
        "objects": len(target),
        "total_variation": total_variation(made, target),
        "total_variation_prior_to_uniform": total_variation(log_prior.exp(), uniform),
        "total_variation_prior_to_target": total_variation(log_prior.exp(), target),
        "log_z_true": log_z,
        "log_z_error": float(model.log_z.detach()) - log_z,
        "processor_seconds": seconds,
    }


def log_probabilities(model: GFlowNet, pairs: Pair) -> Tensor:
    """(k,) exact log-probability of each pair under the forward policy, summed over all trajectories."""
    env = model.env
    terminal, probability = terminal_distribution(model)
    made = dict(zip(keys_of(env.objects(terminal)), probability.tolist(), strict=True))
    return torch.tensor([made[key] for key in keys_of(pairs)], dtype=torch.float64).log()


def lattice(options: dict[str, str]) -> dict[str, float]:
    """Train with the lattice stage and compare log Z with quadrature."""
    chosen = LATTICE_RULES
    box = {"log_volume": LOG_VOLUME, "axial_ratio": AXIAL_RATIO, "shortest": 0.0}
    limits = {"max_count": chosen.max_count, "n_elements": chosen.n_elements, "n_atoms": chosen.n_atoms}
    env = Crystal(chosen.elements, LATTICE_GROUPS, lattice=box, **limits)
    prior = make_prior(
        env, options, 40.0, MixtureSettings(3, 1.0, 50.0, initial_stop=0.9, initial_back_to_source=0.6)
    )
    reward = Reward(SyntheticWell(), Boltzmann(0.5))
    start = time.process_time()
    exact, log_norm = quadrature(prior, reward, env, *enumerate_space(chosen, LATTICE_GROUPS))
    between = time.process_time()
    model = train(
        env,
        reward,
        RelativeTrajectoryBalance(),
        trainer_settings(options),
        int(options["seed"]),
        MIXTURE,
        backward_policy(options["backward"]),
        prior,
    )
    end = time.process_time()
    drawn = sample_terminal(prior.model, PRIOR_DRAWS, torch.Generator().manual_seed(5))
    values = reward(env.objects(drawn)).log_reward.exp()
    return {
        "log_z_quadrature": exact,
        "log_integral_of_prior": log_norm,
        "log_mean_reward_of_prior_samples": float(values.mean().log()),
        "its_error": float(values.std() / values.mean()) / len(values) ** 0.5,
        "log_z_error": float(model.log_z.detach()) - exact,
        "processor_seconds": end - between,
        "processor_seconds_quadrature": between - start,
    }


@torch.no_grad()
def quadrature(
    prior: Prior, reward: Reward, env: Crystal, groups: Tensor, counts: Tensor
) -> tuple[float, float]:
    """Logarithms of the integrals of prior^w R and of the prior alone, over all pairs and cells."""
    generator = torch.Generator().manual_seed(3)
    parts, norms = [], []
    for group, row in zip(groups, counts, strict=True):
        specs, log_weight = box_nodes(group, row, env.atomic_numbers, NODES)
        terminal, inside = env.encode(specs)
        if not bool(inside.all()):
            raise ConfigError("a node of the quadrature lies outside of the space")
        ratios = (
            log_ratios(prior.model, terminal, PRIOR_SAMPLES, generator) - env.log_reference(terminal)[:, None]
        )
        log_prior = torch.logsumexp(ratios, dim=1) - math.log(ratios.shape[1])
        # the plain mean has no bias where the density itself is integrated
        power = log_prior if prior.weight == 1.0 else prior.weight * log_mean(ratios)
        parts.append(torch.logsumexp(reward(specs).log_reward + power + log_weight, dim=0))
        norms.append(torch.logsumexp(log_prior + log_weight, dim=0))
    return tuple(float(torch.logsumexp(torch.stack(terms), dim=0)) for terms in (parts, norms))


def likelihood(options: dict[str, str]) -> dict[str, float]:
    """Train by maximum likelihood on draws from a known distribution, and compare with it."""
    pairs = Pair(*enumerate_space(RULES, GROUPS))
    env = PairSpace(RULES, GROUPS)
    log_data = torch.log_softmax(-RandomLandscape(pairs, RATIO)(pairs).value, dim=0)
    terminal, _ = env.encode(pairs)
    model = GFlowNet(
        env, lambda shapes: MLPPolicy(shapes, 2, 256, "silu", int(options["seed"])), UniformPolicy
    )
    iterations, batch = int(options["iterations"]), int(options["batch"])
    schedule = ScheduleSettings("cosine", 50, 0.002)
    adam = torch.optim.Adam(model.forward_policy.parameters())
    generator = torch.Generator().manual_seed(int(options["seed"]))
    start = time.process_time()
    for iteration in range(iterations):
        rows = torch.multinomial(log_data.exp(), batch, replacement=True, generator=generator)
        loss = negative_elbo(model, sample_backward(model, terminal[rows], generator)).mean()
        adam.param_groups[0]["lr"] = 2e-3 * schedule.factor(iteration, iterations)
        adam.zero_grad()
        loss.backward()
        adam.step()
    seconds = time.process_time() - start
    made = log_probabilities(model, pairs)
    uniform = torch.full_like(log_data, -math.log(len(log_data)))
    return {
        "objects": len(log_data),
        "draws": iterations * batch,
        "divergence": divergence(log_data, made),
        "divergence_of_uniform": divergence(log_data, uniform),
        "total_variation": total_variation(made.exp(), log_data.exp()),
        "processor_seconds": seconds,
    }


def divergence(log_p: Tensor, log_q: Tensor) -> float:
    """Kullback-Leibler divergence of q from p, in nats."""
    return float((log_p.exp() * (log_p - log_q)).sum())


_PARTS = {"discrete": discrete, "lattice": lattice, "likelihood": likelihood}


def main(arguments: list[str]) -> None:
    """Train, measure and print."""
    options = read_options(__doc__, _DEFAULTS, arguments)
    if options["part"] not in _PARTS:
        raise ConfigError(f"part is one of {', '.join(_PARTS)}, not {options['part']}")
    print(json.dumps({"settings": options, **_PARTS[options["part"]](options)}, indent=2))


if __name__ == "__main__":
    run(main)
