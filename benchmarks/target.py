"""A trained run against its target R/Z, estimated without the sampler.

    OMP_NUM_THREADS=1 python -m benchmarks.target run=RUN_DIR [particles=2000] [first_sweeps=40] [sweeps=3]
        [last_sweeps=20] [samples=10000] [objects=500] [trajectories=200] [weighted=6000]
        [weighted_trajectories=30] [device=cpu] [seed=0]

Two sequential Monte Carlo populations, from different seeds, are annealed from random trajectories to R/Z by moves on
specs; their distance is the noise floor. Against them: energies (Wasserstein), space groups, lattice systems and
elements (total variation) of samples of the run, and the sampler's log p of their members. Then log p(x) of fresh
samples, by importance sampling, against log R(x), and the energies of samples against the same samples weighted by R /
p, a second estimate of R/Z that is less noisy but is blind to regions that the sampler never visits. Prints one JSON
object.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, cast

import torch
from scipy.stats import wasserstein_distance
from torch import Tensor

from benchmarks.options import read_options, run
from benchmarks.target_chains import CrystalMoves
from gflownet_crystal.common.devices import find_device
from gflownet_crystal.config.trained_runs import open_run
from gflownet_crystal.crystallography.space_groups import crystal_lattice_system_of_group
from gflownet_crystal.envs.crystal import Crystal
from gflownet_crystal.evaluation.agreement import count_variation, fit_log_log, wasserstein
from gflownet_crystal.evaluation.annealing import Annealed, Particles, anneal, score
from gflownet_crystal.gflownet.likelihood import log_prob
from gflownet_crystal.gflownet.model import GFlowNet
from gflownet_crystal.gflownet.rollout import sample_forward
from gflownet_crystal.policies import UniformPolicy
from gflownet_crystal.proxies import Reward
from gflownet_crystal.structures.spec import CrystalSpec

DEFAULTS = {
    "particles": "2000",
    "first_sweeps": "40",
    "sweeps": "3",
    "last_sweeps": "20",
    "samples": "10000",
    "objects": "500",
    "trajectories": "200",
    "weighted": "6000",
    "weighted_trajectories": "30",
    "seed": "0",
}


def sample(model: GFlowNet, n: int, generator: torch.Generator, batch_size: int = 2000) -> CrystalSpec:
    """Objects of the forward policy as it is."""
    sizes = [min(batch_size, n - start) for start in range(0, n, batch_size)]
    parts = [model.env.objects(sample_forward(model, size, generator).terminal) for size in sizes]
    return CrystalSpec.cat(parts)


def estimate(
    env: Crystal, reward: Reward, settings: dict[str, int], seed: int, device: torch.device
) -> Annealed:
    """A population at R/Z."""
    generator = torch.Generator(device).manual_seed(seed)
    untrained = GFlowNet(env, UniformPolicy, UniformPolicy).to(device)
    start = sample(untrained, settings["particles"], generator)
    names = ("sweeps", "first_sweeps", "last_sweeps")
    return anneal(
        start, reward, CrystalMoves(env).all(), generator, **{name: settings[name] for name in names}
    )


def compare(first: Particles, second: Particles) -> dict[str, float | list[float]]:
    """Distances of two populations: energies in the proxy's unit; total variations with the noise of their sizes."""
    systems = torch.from_numpy(crystal_lattice_system_of_group).to(first.value.device)
    groups = [population.objects.space_group for population in (first, second)]
    return {
        "wasserstein": wasserstein(first.value, second.value),
        "space_groups_tv_and_noise": list(count_variation(groups[0], groups[1], 231)),
        "lattice_systems_tv_and_noise": list(count_variation(systems[groups[0]], systems[groups[1]], 9)),
        "elements_tv_and_noise": list(count_variation(_elements(first), _elements(second), 119)),
        "number_of_elements_tv_and_noise": list(count_variation(_n_elements(first), _n_elements(second), 10)),
        "atoms_tv_and_noise": list(count_variation(first.objects.n_atoms, second.objects.n_atoms, 200)),
    }


def _elements(population: Particles) -> Tensor:
    """Atomic number of every element of every object."""
    return population.objects.composition.nonzero(as_tuple=True)[1]


def _n_elements(population: Particles) -> Tensor:
    counts: Tensor = (population.objects.composition > 0).sum(dim=1)
    return counts


def quantiles(values: Tensor) -> list[float]:
    """The 1, 5, 25, 50, 75, 95 and 99 per cent quantiles."""
    levels = torch.tensor([0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99], dtype=values.dtype, device=values.device)
    return [round(value, 4) for value in values.quantile(levels).tolist()]


def likelihood(
    model: GFlowNet, reward: Reward, settings: dict[str, int], generator: torch.Generator
) -> dict[str, Any]:
    """log p(x) of fresh samples against log R(x)."""
    terminal = sample_forward(model, settings["objects"], generator).terminal
    log_reward = reward(model.env.objects(terminal)).log_reward
    found = log_prob(model, terminal, settings["trajectories"], generator)
    fit = fit_log_log(found.log_prob, log_reward, torch.Generator().manual_seed(0))
    return {
        "objects": settings["objects"],
        "trajectories_each": settings["trajectories"],
        "bootstrap_error_median": float(found.std_error.median()),
        "spearman": fit.spearman,
        "slope": fit.slope,
        "slope_error": fit.slope_error,
        "residual_std": fit.residual,
        "log_z": float(model.log_z.detach()),
        "log_z_of_samples": float((log_reward - found.log_prob).mean()),
        "log_reward_quantiles": quantiles(log_reward),
    }


def weighted_samples(
    model: GFlowNet, reward: Reward, settings: dict[str, int], generator: torch.Generator
) -> dict[str, float]:
    """Energies of fresh samples against the same samples weighted by R / p, and the noise of that."""
    values, log_weights = [], []
    for _ in range(settings["weighted"] // settings["objects"]):
        terminal = sample_forward(model, settings["objects"], generator).terminal
        scored = reward(model.env.objects(terminal))
        found = log_prob(model, terminal, settings["weighted_trajectories"], generator)
        values.append(scored.prediction.value.double())
        log_weights.append(scored.log_reward - found.log_prob)
    value, weight = torch.cat(values), torch.softmax(torch.cat(log_weights), dim=0)
    half = len(value) // 2
    halves = [
        (part.cpu().numpy(), share.cpu().numpy())
        for part, share in zip(value.split(half), weight.split(half), strict=True)
    ]
    (first, first_weight), (second, second_weight) = halves
    energies = value.cpu().numpy()
    return {
        "samples": len(value),
        "effective_share": float(1.0 / weight.square().sum() / len(value)),
        "largest_weight": float(weight.max()),
        "wasserstein": float(wasserstein_distance(energies, energies, None, weight.cpu().numpy())),
        "wasserstein_of_halves": float(wasserstein_distance(first, second, first_weight, second_weight)),
    }


def coverage(
    model: GFlowNet, particles: Particles, settings: dict[str, int], generator: torch.Generator
) -> dict[str, Any]:
    """log R(x) - log p(x) - log Z of members of the estimate: large where the sampler misses mass of R/Z."""
    rows = torch.randperm(len(particles.objects), generator=generator, device=generator.device)
    rows = rows[: settings["objects"]]
    terminal, inside = model.env.encode(particles.objects[rows])
    found = log_prob(model, terminal, settings["trajectories"], generator)
    missing = particles.log_reward[rows][inside] - found.log_prob - float(model.log_z.detach())
    return {"outside": int((~inside).sum()), "mean": float(missing.mean()), "quantiles": quantiles(missing)}


def main(arguments: list[str]) -> None:
    """Estimate, compare and print."""
    options = read_options(__doc__, DEFAULTS | {"device": "cpu"}, arguments, required=["run"])
    folder, device = Path(options["run"]), find_device(options["device"])
    settings = {name: int(options[name]) for name in DEFAULTS}
    opened = open_run(folder, str(device))
    env, reward, model = cast(Crystal, opened.parts.env), opened.parts.reward, opened.parts.model
    generator = torch.Generator(device).manual_seed(settings["seed"])
    result: dict[str, Any] = {"run": str(folder), "settings": settings}
    result["log_p_against_log_R"] = likelihood(model, reward, settings, generator)
    result["weighted_samples"] = weighted_samples(model, reward, settings, generator)
    samples = score(sample(model, settings["samples"], generator), reward)
    result["sample_energy_quantiles"] = quantiles(samples.value)
    start = time.perf_counter()
    one, two = (estimate(env, reward, settings, settings["seed"] + place, device) for place in (1, 2))
    both = _join(one.particles, two.particles)
    result |= {
        "seconds_of_estimate": time.perf_counter() - start,
        "exponents": len(one.exponents),
        "acceptance": [round(share, 4) for share in one.acceptance],
        "log_mean_reward": [one.log_mean_reward, two.log_mean_reward],
        "target_energy_quantiles": quantiles(both.value),
        "log_R_over_p_and_Z_of_estimate": coverage(model, both, settings, generator),
        "two_estimates": compare(one.particles, two.particles),
        "samples_against_estimate": compare(samples, both),
    }
    print(json.dumps(result, indent=2))


def _join(first: Particles, second: Particles) -> Particles:
    return Particles(
        CrystalSpec.cat([first.objects, second.objects]),
        torch.cat([first.log_reward, second.log_reward]),
        torch.cat([first.value, second.value]),
    )


if __name__ == "__main__":
    run(main)
