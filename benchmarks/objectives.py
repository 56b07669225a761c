"""All objectives at equal budget on spaces that can be enumerated: distance of the exact distribution from R/Z, speed.

    OMP_NUM_THREADS=1 python -m benchmarks.objectives [space=discrete|grid] [objectives=all] [backward=uniform|learned]
        [iterations=1000] [batch=256] [replay=0.0] [near=0.0] [seed=0]

`discrete`: the 736 pairs of space group and composition of `benchmarks.exactness_prior`, without a prior; `grid`: the
hypergrid of 2 dimensions and 8 cells. `objectives` are names of configs, comma-separated. Maximum likelihood learns
from a million draws of R/Z. `replay` and `near` are the shares of the batch that the replay buffer and the local search
give; `scored` counts the objects that the reward has scored. Times are of the processor. Prints one JSON object a line.
"""

from __future__ import annotations

import json
import time
from dataclasses import replace

import torch
from torch import Tensor

from benchmarks.brute_force import enumerate_space
from benchmarks.exactness import Pair, PairSpace, RandomLandscape, train
from benchmarks.exactness_prior import (
    GROUPS,
    RATIO,
    RULES,
    backward_policy,
    log_probabilities,
    trainer_settings,
)
from benchmarks.options import read_options, run
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.config.build import build
from gflownet_crystal.config.compose import compose_config
from gflownet_crystal.envs.base import Context, Env
from gflownet_crystal.envs.hypergrid import Hypergrid
from gflownet_crystal.evaluation.agreement import total_variation
from gflownet_crystal.evaluation.exact import terminal_distribution
from gflownet_crystal.gflownet.model import GFlowNet
from gflownet_crystal.gflownet.objectives import Objective
from gflownet_crystal.gflownet.replay import Terminals
from gflownet_crystal.proxies import Boltzmann, Reward
from gflownet_crystal.proxies.reward import LogValue
from gflownet_crystal.proxies.toy import GridCorners
from gflownet_crystal.training.samplers.settings import LocalSearchSettings

_DEFAULTS = {
    "space": "discrete",
    "objectives": "all",
    "backward": "uniform",
    "iterations": "1000",
    "batch": "256",
    "replay": "0.0",
    "near": "0.0",
    "seed": "0",
}
NAMES = (
    "trajectory_balance",
    "log_variance",
    "detailed_balance",
    "subtrajectory_balance",
    "forward_looking",
    "policy_gradient",
    "maximum_likelihood",
)
LENGTH = 8
DRAWS = 1_000_000


class Space:
    """A space with all its objects.

    Args:
        name: `discrete` or `grid`.

    Raises:
        ConfigError: another name.
    """

    def __init__(self, name: str) -> None:
        if name not in ("discrete", "grid"):
            raise ConfigError(f"space is discrete or grid, not {name}")
        self.is_grid = name == "grid"
        self.env: Env
        if self.is_grid:
            self.env = Hypergrid(2, LENGTH)
            self.objects = self.env.cells()
            self.reward = Reward(GridCorners(LENGTH), LogValue())
        else:
            self.env = PairSpace(RULES, GROUPS)
            self.objects = Pair(*enumerate_space(RULES, GROUPS))
            self.reward = Reward(RandomLandscape(self.objects, RATIO), Boltzmann(1.0))
        self.log_reward: Tensor = self.reward(self.objects).log_reward
        self.terminal: Context = self.env.encode(self.objects)[0]

    def probabilities(self, model: GFlowNet) -> Tensor:
        """(k,) exact probability of each object under the forward policy, summed over all trajectories."""
        if not self.is_grid:
            return log_probabilities(model, self.objects).exp()
        terminal, probability = terminal_distribution(model)
        cells = model.env.objects(terminal)
        return torch.zeros(len(self.objects), dtype=torch.float64).index_put(
            (cells[:, 0] * LENGTH + cells[:, 1],), probability
        )


def measure(space: Space, name: str, options: dict[str, str]) -> dict[str, float]:
    """Train with one objective and compare with R/Z."""
    objective = build(compose_config("train_gfn", [f"objective={name}"]).objective, Objective, "objective")
    settings, dataset = trainer_settings(options), None
    search = LocalSearchSettings(float(options["near"]))
    settings = replace(settings, replay_fraction=float(options["replay"]), local_search=search)
    log_z = float(torch.logsumexp(space.log_reward, dim=0))
    target = (space.log_reward - log_z).exp()
    if objective.on_policy:
        settings = replace(settings, exploration=0.0)
    if objective.needs_data:
        settings = replace(settings, dataset_fraction=0.9)
        rows = torch.multinomial(target, DRAWS, True, generator=torch.Generator().manual_seed(1))
        dataset = Terminals(space.terminal[rows], space.log_reward[rows])
    start = time.process_time()
    model = train(
        space.env,
        space.reward,
        objective,
        settings,
        int(options["seed"]),
        backward=backward_policy(options["backward"]),
        dataset=dataset,
    )
    seconds = time.process_time() - start
    return {
        "total_variation": round(total_variation(space.probabilities(model), target), 4),
        "log_z_error": round(float(model.log_z.detach()) - log_z, 4),
        "scored": settings.iterations * (settings.n_policy + settings.n_local * search.rounds),
        "trajectories_per_s": round(settings.iterations * settings.batch_size / seconds),
        "processor_seconds": round(seconds, 1),
    }


def main(arguments: list[str]) -> None:
    """Measure each objective and print it."""
    options = read_options(__doc__, _DEFAULTS, arguments)
    space, asked = Space(options["space"]), options["objectives"]
    # only the grid has rewards of unfinished objects
    names = [name for name in NAMES if space.is_grid or name != "forward_looking"]
    chosen = names if asked == "all" else asked.split(",")
    for name in chosen:
        print(json.dumps({"objective": name, **measure(space, name, options)}), flush=True)


if __name__ == "__main__":
    run(main)
