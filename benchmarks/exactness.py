"""Exactness on spaces that can be enumerated: is the trained sampler's distribution R/Z, and its log Z the true one?

    OMP_NUM_THREADS=1 python -m benchmarks.exactness [iterations=8000] [batch=256] [seed=0]

Space group x composition is enumerated by brute force, trained with the package's trainer on a synthetic reward, and
the exact distribution of the trained policy, summed over all orders, is compared with R/Z. Prints one JSON object.
"""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, cast

import torch
from torch import Tensor

from benchmarks.brute_force import enumerate_space
from benchmarks.options import read_options, run
from gflownet_crystal.common.batch import TensorBatch
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.envs.base import Context, Env
from gflownet_crystal.envs.composition.rules import CompositionRules
from gflownet_crystal.envs.composition.stage import CompositionStage, CompositionState
from gflownet_crystal.envs.space_group import SpaceGroupStage, SpaceGroupState
from gflownet_crystal.evaluation.agreement import total_variation
from gflownet_crystal.evaluation.exact import row_hash, terminal_distribution
from gflownet_crystal.gflownet.model import GFlowNet, PolicyFactory
from gflownet_crystal.gflownet.objectives import Objective, TrajectoryBalance
from gflownet_crystal.gflownet.prior import Prior
from gflownet_crystal.gflownet.replay import Terminals
from gflownet_crystal.policies import MixtureSettings, MLPPolicy, UniformPolicy
from gflownet_crystal.proxies import Boltzmann, Proxy, Reward
from gflownet_crystal.training.base import take_all_steps
from gflownet_crystal.training.samplers.settings import TrainerSettings
from gflownet_crystal.training.samplers.training import SamplerTraining
from gflownet_crystal.training.schedule import ScheduleSettings

_DEFAULTS = {"iterations": "8000", "batch": "256", "seed": "0"}
RULES = CompositionRules(
    elements=("Li", "Mg", "Fe", "O", "F"), max_count=8, n_elements=(2, 4), n_atoms=(2, 20)
)
GROUPS = (2, 14, 33, 62, 139, 148, 166, 194, 216, 221, 225)
RATIO = 2000.0
"""Of the largest reward to the median one."""


@dataclass(frozen=True)
class Pair(TensorBatch):
    """Space group (n,) int64 and counts (n, E) int64."""

    space_group: Tensor
    counts: Tensor


class PairSpace(Env):
    """The discrete stages of a crystal on their own."""

    produces = "pairs"

    def __init__(self, rules: CompositionRules, groups: tuple[int, ...]) -> None:
        composition = CompositionStage(rules, groups)
        allowed = [group for group in groups if bool(composition.fillable[group])]
        self.stages = (SpaceGroupStage(allowed), composition)

    def objects(self, terminal: Context) -> Pair:
        group, composition = terminal.states
        return Pair(cast(SpaceGroupState, group).group, cast(CompositionState, composition).counts)

    def encode(self, objects: Pair) -> tuple[Context, Tensor]:
        inside = torch.ones(len(objects), dtype=torch.bool, device=objects.device)
        group = self.stages[0].terminal(objects.space_group)
        return Context(len(inside), inside.device, (group, CompositionState(objects.counts, inside))), inside


class RandomLandscape(Proxy):
    """A fixed random function of group and composition: group, pair and group-element terms, and roughness in counts.

    Args:
        pairs: all objects of the space; sets the scale.
        ratio: of the largest ``exp(-value)`` to the median one.
        seed: of the landscape.
    """

    input_kind: ClassVar[str] = "pairs"
    property_name = "synthetic"
    unit = "1"

    def __init__(self, pairs: Pair, ratio: float, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        n_elements = pairs.counts.shape[1]
        self.group = torch.randn(231, generator=generator, dtype=torch.float64)
        self.pair = 3.0 * torch.randn(n_elements, n_elements, generator=generator, dtype=torch.float64)
        self.mixed = 1.5 * torch.randn(231, n_elements, generator=generator, dtype=torch.float64)
        self.rough = 0.1 * torch.randn(n_elements, 64, generator=generator, dtype=torch.float64)
        self.scale = 1.0
        value = self.predict(pairs)
        self.scale = math.log(ratio) / float(value.median() - value.min())

    def predict(self, batch: Pair) -> Tensor:
        fractions = batch.counts / batch.counts.sum(dim=1, keepdim=True).double()
        smooth = ((fractions @ self.pair) * fractions).sum(dim=1) + (
            self.mixed[batch.space_group] * fractions
        ).sum(1)
        rough = self.rough.gather(1, batch.counts.T).sum(dim=0)
        return self.scale * (smooth + self.group[batch.space_group] + rough)


def train(
    env: Env,
    reward: Reward,
    objective: Objective,
    settings: TrainerSettings,
    seed: int,
    mixture: MixtureSettings | None = None,
    backward: PolicyFactory = UniformPolicy,
    prior: Prior | None = None,
    dataset: Terminals | None = None,
) -> GFlowNet:
    """A model trained by the package's trainer, with its averaged weights where it keeps them."""
    policy = partial(MLPPolicy, n_layers=2, n_hidden=256, activation="silu", seed=seed)
    model = GFlowNet(env, policy, backward, mixture, flow=policy if objective.needs_flows else None)
    training = SamplerTraining(model, reward, objective, settings, seed, dataset, prior=prior)
    take_all_steps(training)
    training.finish()
    return model


def backward_policy(name: str) -> PolicyFactory:
    """The trained backward policy of that name.

    Raises:
        ConfigError: there is none.
    """
    if name not in ("uniform", "learned"):
        raise ConfigError(f"backward is uniform or learned, not {name}")
    return UniformPolicy if name == "uniform" else lambda shapes: MLPPolicy(shapes, 2, 64, "silu", seed=1)


def discrete(iterations: int, batch: int, seed: int) -> dict[str, float]:
    """Train on space group x composition and compare with R/Z."""
    pairs = Pair(*enumerate_space(RULES, GROUPS))
    env = PairSpace(RULES, GROUPS)
    reward = Reward(RandomLandscape(pairs, RATIO), Boltzmann(1.0))
    log_reward = reward(pairs).log_reward
    log_z = float(torch.logsumexp(log_reward, dim=0))
    settings = TrainerSettings(
        iterations=iterations,
        batch_size=batch,
        learning_rate=2e-3,
        learning_rate_log_z=5e-2,
        schedule=ScheduleSettings("cosine", warm_up=50, final_factor=0.002),
        exploration=0.1,
        exploration_final=0.01,
        ema=0.998,
        checkpoint_every=iterations,
    )
    start = time.process_time()
    model = train(env, reward, TrajectoryBalance(), settings, seed)
    seconds = time.process_time() - start
    terminal, probability = terminal_distribution(model)
    target = dict(zip(keys_of(pairs), (log_reward - log_z).exp().tolist(), strict=True))
    made = dict(zip(keys_of(env.objects(terminal)), probability.tolist(), strict=True))
    events = sorted(target.keys() | made.keys())
    columns = [torch.tensor([weights.get(event, 0.0) for event in events]) for weights in (made, target)]
    return {
        "terminals_brute_force": len(target),
        "terminals_of_policy": len(made),
        "terminals_in_one_only": len(target.keys() ^ made.keys()),
        "groups": len(pairs.space_group.unique()),
        "reward_max_over_median": float((log_reward.max() - log_reward.median()).exp()),
        "total_variation": total_variation(*columns),
        "total_variation_untrained": _untrained(env, target),
        "log_z_true": log_z,
        "log_z_error": abs(float(model.log_z.detach()) - log_z),
        "processor_seconds": seconds,
    }


def _untrained(env: Env, target: dict[int, float]) -> float:
    terminal, probability = terminal_distribution(GFlowNet(env, UniformPolicy, UniformPolicy))
    weights = [target[key] for key in keys_of(env.objects(terminal))]
    return total_variation(probability, torch.tensor(weights))


def keys_of(pairs: Pair) -> list[int]:
    """A fingerprint of each object."""
    keys: list[int] = row_hash([pairs.space_group, pairs.counts]).tolist()
    return keys


def main(arguments: list[str]) -> None:
    """Train, measure and print."""
    options = read_options(__doc__, _DEFAULTS, arguments)
    result = discrete(int(options["iterations"]), int(options["batch"]), int(options["seed"]))
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    run(main)
