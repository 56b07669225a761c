"""A lattice policy against the exact conditional distribution of the shipped proxy, at 20 known crystals.

    OMP_NUM_THREADS=1 python -m benchmarks.lattice_fit [iterations=6000] [batch=320] [seed=0] [points=1500]
        [trajectories=32] [beta=5] [axial_ratio=0.2,5]

The reward is exp(-beta E) of the proxy's energy E in the default lattice box with axial ratios of ``axial_ratio``; the
default environment has 0.08,20. One policy, conditional on space group and composition, is trained by trajectory
balance with the package's trainer. KL(exact || policy) of each crystal takes points of the exact distribution
(Gauss-Legendre in one and two dimensions, importance sampling beyond) and log p by importance sampling over backward
trajectories, so that paths of several jumps count in full. Prints one JSON object.
"""

from __future__ import annotations

import json
import time
from dataclasses import replace
from functools import partial
from typing import cast

import torch
from torch import Tensor

from benchmarks.conditionals import ChosenCrystal, Conditional, Exact, LatticeOfList, discrete_states
from benchmarks.exactness_lattice import MIXTURE
from benchmarks.options import read_options, run
from gflownet_crystal.config.compose import compose_config
from gflownet_crystal.config.parts import build_parts
from gflownet_crystal.envs.crystal import Crystal
from gflownet_crystal.gflownet.likelihood import log_prob
from gflownet_crystal.gflownet.model import GFlowNet
from gflownet_crystal.gflownet.objectives import TrajectoryBalance
from gflownet_crystal.policies import MLPPolicy, UniformPolicy
from gflownet_crystal.proxies import Boltzmann, Proxy, Reward
from gflownet_crystal.training.base import take_all_steps
from gflownet_crystal.training.samplers.settings import TrainerSettings
from gflownet_crystal.training.samplers.training import SamplerTraining
from gflownet_crystal.training.schedule import ScheduleSettings

_DEFAULTS = {"iterations": "6000", "batch": "320", "seed": "0", "points": "1500", "trajectories": "32"}
_TARGET = {"beta": "5", "axial_ratio": "0.2,5"}
CRYSTALS = (
    (225, {"Na": 4, "Cl": 4}),
    (225, {"Mg": 4, "O": 4}),
    (225, {"Ca": 4, "F": 8}),
    (216, {"Zn": 4, "S": 4}),
    (221, {"Sr": 1, "Ti": 1, "O": 3}),
    (136, {"Ti": 2, "O": 4}),
    (141, {"Ti": 4, "O": 8}),
    (139, {"K": 4, "Ni": 2, "F": 8}),
    (186, {"Zn": 2, "O": 2}),
    (166, {"Li": 3, "Co": 3, "O": 6}),
    (167, {"Al": 12, "O": 18}),
    (148, {"Fe": 6, "Ti": 6, "O": 18}),
    (62, {"Li": 4, "Fe": 4, "P": 4, "O": 16}),
    (62, {"Ca": 4, "Ti": 4, "O": 12}),
    (63, {"Na": 4, "Fe": 4, "O": 8}),
    (33, {"Na": 4, "Al": 4, "O": 8}),
    (14, {"Zr": 4, "O": 8}),
    (15, {"Cu": 4, "O": 4}),
    (12, {"Na": 4, "Mn": 4, "O": 8}),
    (2, {"Ca": 6, "Si": 6, "O": 18}),
)
"""Space group and counts of the conventional cell; every lattice system is there."""


class ConditionalEnergy(Proxy):
    """The proxy's energy, shifted so that each crystal's rewards integrate to the same.

    Args:
        reward: of specs.
        log_z: (m,) of each crystal.
    """

    input_kind = "chosen_crystals"
    property_name = "energy"
    unit = "1"

    def __init__(self, reward: Reward, log_z: Tensor) -> None:
        self.reward, self.log_z = reward, log_z

    def predict(self, batch: ChosenCrystal) -> Tensor:
        return self.log_z[batch.index] - self.reward(batch.spec).log_reward


def counts_of(crystal: Crystal) -> tuple[Tensor, Tensor]:
    """Groups (m,) and counts (m, E) of the list."""
    place = {symbol: index for index, symbol in enumerate(crystal.rules.elements)}
    counts = torch.zeros(len(CRYSTALS), len(place), dtype=torch.int64)
    for row, (_, formula) in enumerate(CRYSTALS):
        for symbol, count in formula.items():
            counts[row, place[symbol]] = count
    return torch.tensor([group for group, _ in CRYSTALS]), counts


def fit(env: LatticeOfList, reward: Reward, iterations: int, batch: int, seed: int) -> GFlowNet:
    """One policy for all crystals, trained by trajectory balance."""
    settings = TrainerSettings(
        iterations=iterations,
        batch_size=batch,
        learning_rate=2e-3,
        schedule=ScheduleSettings("cosine", warm_up=50, final_factor=0.005),
        exploration=0.05,
        exploration_final=0.0,
        behaviour_iterations=iterations // 2,
        ema=0.99,
        checkpoint_every=iterations,
    )
    policy = partial(MLPPolicy, n_layers=2, n_hidden=256, activation="silu", seed=seed)
    model = GFlowNet(env, policy, UniformPolicy, replace(MIXTURE, n_components=8))
    training = SamplerTraining(model, reward, TrajectoryBalance(), settings, seed)
    take_all_steps(training)
    training.finish()
    return model


def divergence(
    model: GFlowNet, reward: Reward, index: int, exact: Exact, settings: dict[str, int]
) -> dict[str, float]:
    """KL(exact || policy) of one crystal from points drawn from the exact distribution.

    Args:
        model: trained in a :class:`LatticeOfList`.
        reward: of specs.
        index: of the crystal.
        exact: its distribution.
        settings: ``points``, and backward ``trajectories`` of each.
    """
    env, points = cast(LatticeOfList, model.env), settings["points"]
    generator = torch.Generator().manual_seed(index)
    rows = torch.multinomial(exact.log_mass.exp(), points, replacement=True, generator=generator)
    terminal = env.at(torch.full((points,), index), exact.position[rows])
    found = log_prob(model, terminal, settings["trajectories"], generator, n_bootstrap=50)
    log_conditional = found.log_prob - _log_choice(model)[index]
    log_exact = reward(env.objects(terminal).spec).log_reward - exact.log_z
    ratio = log_exact - log_conditional
    return {
        "kl": float(ratio.mean()),
        "kl_error": float(ratio.std() / points**0.5),
        "log_p_bootstrap_error": float(found.std_error.median()),
    }


def _log_choice(model: GFlowNet) -> Tensor:
    """(m,) log-probability of each crystal in the choice stage."""
    context = model.env.empty_context(1, model.device)
    parameters = model.forward_parameters(0, model.env.stages[0].source(context), context)
    return torch.log_softmax(parameters.detach().double(), dim=1)[0]


def main(arguments: list[str]) -> None:
    """Train, measure and print."""
    options = read_options(__doc__, {**_DEFAULTS, **_TARGET}, arguments)
    settings = {key: int(options[key]) for key in _DEFAULTS}
    elements = ",".join(dict.fromkeys(symbol for _, formula in CRYSTALS for symbol in formula))
    words = [f"env.elements=[{elements}]", "env.space_groups=null", "reward=boltzmann"]
    words += [f"reward.beta={options['beta']}", f"env.lattice.axial_ratio=[{options['axial_ratio']}]"]
    parts = build_parts(compose_config("train_gfn", ["env=crystal", "proxy=mlp", "device=cpu", *words]))
    crystal, reward = cast(Crystal, parts.env), parts.reward
    groups, counts = counts_of(crystal)
    admitted = crystal.composition.reached(counts, groups)
    discrete = discrete_states(crystal, groups, counts)
    generator = torch.Generator().manual_seed(settings["seed"])
    start = time.perf_counter()
    conditionals = [Conditional(crystal, reward, discrete[torch.tensor([row])]) for row in range(len(groups))]
    exacts = [conditional.exact(generator) for conditional in conditionals]
    check = [
        c.by_importance_sampling(generator, 20_000).log_z - e.log_z
        for c, e in zip(conditionals, exacts, strict=True)
        if c.dimensions == 2
    ]
    seconds_exact = time.perf_counter() - start
    env = LatticeOfList(crystal, discrete)
    shifted = Reward(
        ConditionalEnergy(reward, torch.tensor([exact.log_z for exact in exacts]).double()), Boltzmann(1.0)
    )
    start = time.perf_counter()
    model = fit(env, shifted, settings["iterations"], settings["batch"], settings["seed"])
    seconds_fit = time.perf_counter() - start
    rows = []
    for row, exact in enumerate(exacts):
        figures = divergence(model, reward, row, exact, settings)
        name = "".join(f"{symbol}{count}" for symbol, count in CRYSTALS[row][1].items())
        rows.append(
            {
                "crystal": f"{int(groups[row])} {name}",
                "dimensions": conditionals[row].dimensions,
                "effective_points": round(exact.effective, 1),
                **{key: round(value, 4) for key, value in figures.items()},
            }
        )
    print(
        json.dumps(
            {
                "settings": settings,
                "beta": getattr(reward.function, "beta", None),
                "admitted_by_the_space": int(admitted.sum()),
                "importance_sampling_less_quadrature_log_z": [round(value, 4) for value in check],
                "kl_max": max(row["kl"] for row in rows),
                "kl_mean": sum(row["kl"] for row in rows) / len(rows),
                "log_z_error": abs(float(model.log_z.detach()) - float(torch.tensor(float(len(rows))).log())),
                "seconds_exact": seconds_exact,
                "seconds_fit": seconds_fit,
                "crystals": rows,
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    run(main)
