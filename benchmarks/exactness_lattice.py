"""log Z with the lattice stage: the trained sampler against a sum over compositions of integrals over cells.

    OMP_NUM_THREADS=1 python -m benchmarks.exactness_lattice [backward=uniform|learned] [iterations=1500]
        [batch=256] [seed=0]

A cubic, a tetragonal and an orthorhombic group with a few compositions; the reward is an anharmonic well in volume and
shape whose depth and place depend on group and composition. The integrals are Gauss-Legendre sums in log volume and log
ratios, over the box as it is documented; no map or Jacobian of the environment enters. Prints one JSON object.
"""

from __future__ import annotations

import json
import math
import time

import torch
from torch import Tensor

from benchmarks.brute_force import enumerate_space
from benchmarks.exactness import backward_policy, train
from benchmarks.options import read_options, run
from gflownet_crystal.crystallography.space_groups import lattice_system_of_group
from gflownet_crystal.envs.composition.rules import CompositionRules
from gflownet_crystal.envs.crystal import Crystal
from gflownet_crystal.envs.lattice.reference_volume import reference_volume
from gflownet_crystal.evaluation.quadrature import unit_box_nodes
from gflownet_crystal.gflownet.objectives import TrajectoryBalance
from gflownet_crystal.policies import MixtureSettings
from gflownet_crystal.proxies import Boltzmann, Proxy, Reward
from gflownet_crystal.structures.spec import CrystalSpec
from gflownet_crystal.training.samplers.settings import TrainerSettings
from gflownet_crystal.training.schedule import ScheduleSettings

_DEFAULTS = {"backward": "uniform", "iterations": "1500", "batch": "256", "seed": "0"}
GROUPS = (33, 139, 225)
ELEMENTS = ("Li", "Mg", "O", "F")
LOG_VOLUME, AXIAL_RATIO = (-0.5, 0.8), (0.08, 20.0)
FREE_RATIOS = {2: (0, 1), 3: (1,), 5: ()}
"""Free ones of log(b / a), log(c / a) by lattice system: orthorhombic, tetragonal, cubic."""
NODES = 48
MIXTURE = MixtureSettings(concentration_low=1.0, initial_stop=0.9, initial_back_to_source=0.99)
"""As in ``policy=uniform_backward``."""


class SyntheticWell(Proxy):
    """A well with its minimum at a volume and shape of each composition's own."""

    property_name = "synthetic"
    unit = "1"

    def predict(self, batch: CrystalSpec) -> Tensor:
        fractions = batch.fractions
        strain = (batch.volume / reference_volume(batch.composition)).log() - 0.3 * fractions[:, 9] + 0.1
        ratios = (batch.lengths[:, 1:] / batch.lengths[:, :1]).log()
        shape = 8.0 * (ratios[:, 1] - fractions[:, 3]).square() + 6.0 * (ratios[:, 0] - 0.2).square()
        depth = torch.sin(2.0 * batch.space_group.double()) + 3.0 * fractions[:, 8] + 2.0 * fractions[:, 12]
        return 20.0 * strain.square() - 10.0 * strain**3 + shape - depth


def quadrature(reward: Reward, groups: Tensor, counts: Tensor, atomic_numbers: Tensor) -> float:
    """log Z, the sum over pairs of integrals over log volume and the free log ratios."""
    parts = []
    for group, row in zip(groups, counts, strict=True):
        specs, log_weight = box_nodes(group, row, atomic_numbers, NODES)
        parts.append(torch.logsumexp(reward(specs).log_reward + log_weight, dim=0))
    return float(torch.logsumexp(torch.stack(parts), dim=0))


def box_nodes(
    group: Tensor, counts: Tensor, atomic_numbers: Tensor, n_nodes: int
) -> tuple[CrystalSpec, Tensor]:
    """Gauss-Legendre nodes in log volume and the free log ratios of one pair, and the logarithms of their weights."""
    free = FREE_RATIOS[int(lattice_system_of_group[int(group)])]
    points, log_weight = unit_box_nodes(1 + len(free), n_nodes)
    low, high = (math.log(end) for end in AXIAL_RATIO)
    log_volume = LOG_VOLUME[0] + (LOG_VOLUME[1] - LOG_VOLUME[0]) * points[:, 0]
    log_ratios = torch.zeros(len(points), 3, dtype=torch.float64)
    for column, ratio in enumerate(free):
        log_ratios[:, 1 + ratio] = low + (high - low) * points[:, 1 + column]
    composition = torch.zeros(len(points), 119, dtype=torch.int64)
    composition[:, atomic_numbers] = counts
    volume = reference_volume(composition) * log_volume.exp()
    lengths = log_ratios.exp() * (volume / log_ratios.sum(dim=1).exp())[:, None] ** (1.0 / 3.0)
    angles = torch.full_like(lengths, 90.0)
    specs = CrystalSpec(group.expand(len(points)), composition, lengths, angles)
    return specs, log_weight + math.log(LOG_VOLUME[1] - LOG_VOLUME[0]) + len(free) * math.log(high - low)


def main(arguments: list[str]) -> None:
    """Train, integrate and print."""
    options = read_options(__doc__, _DEFAULTS, arguments)
    backward = backward_policy(options["backward"])
    iterations, batch, seed = (int(options[key]) for key in ("iterations", "batch", "seed"))
    rules = CompositionRules(elements=ELEMENTS, max_count=8, n_elements=(2, 3), n_atoms=(2, 20))
    # the integrals are over the whole box, short edges too
    box = {"log_volume": LOG_VOLUME, "axial_ratio": AXIAL_RATIO, "shortest": 0.0}
    env = Crystal(ELEMENTS, GROUPS, max_count=8, n_elements=(2, 3), n_atoms=(2, 20), lattice=box)
    reward = Reward(SyntheticWell(), Boltzmann(1.0))
    groups, counts = enumerate_space(rules, GROUPS)
    exact = quadrature(reward, groups, counts, env.atomic_numbers)
    trainer = TrainerSettings(
        iterations=iterations,
        batch_size=batch,
        learning_rate=3e-3,
        schedule=ScheduleSettings("cosine", warm_up=50, final_factor=0.005),
        exploration=0.05,
        exploration_final=0.0,
        behaviour_iterations=iterations // 2,
        checkpoint_every=iterations,
    )
    start = time.process_time()
    model = train(env, reward, TrajectoryBalance(), trainer, seed, MIXTURE, backward)
    log_z = float(model.log_z.detach())
    result = {
        "settings": options,
        "pairs": len(groups),
        "log_z_quadrature": exact,
        "log_z": log_z,
        "log_z_error": abs(log_z - exact),
        "processor_seconds": time.process_time() - start,
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    run(main)
