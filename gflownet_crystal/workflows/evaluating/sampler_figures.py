"""Figures of a trained sampler: energies, coverage, diversity of the best samples, and log p against log R."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.common.run_schema import ENERGY, LOG_REWARD
from gflownet_crystal.crystallography.space_groups import N_SPACE_GROUPS
from gflownet_crystal.data.left_out import LeftOut
from gflownet_crystal.data.readers import read_source
from gflownet_crystal.data.schema import ENERGY_COLUMN
from gflownet_crystal.envs.base import DiscreteActions
from gflownet_crystal.envs.crystal import Crystal
from gflownet_crystal.evaluation.agreement import fit_log_log
from gflownet_crystal.evaluation.samplers import (
    distance_to_exact,
    effective_sample_size,
    occurrence,
    spearman_error,
    top_diversity,
)
from gflownet_crystal.evaluation.wasserstein import distance_of_finite
from gflownet_crystal.gflownet.likelihood import log_prob
from gflownet_crystal.gflownet.model import GFlowNet
from gflownet_crystal.gflownet.prior import Prior
from gflownet_crystal.gflownet.rollout import sample_terminal
from gflownet_crystal.proxies.reward import Reward
from gflownet_crystal.structures.elements import N_ATOMIC_NUMBERS
from gflownet_crystal.structures.spec_io import frame_to_specs
from gflownet_crystal.workflows.sampling.objectives import shares
from gflownet_crystal.workflows.sampling.samples import draw_samples, draw_untrained
from gflownet_crystal.workflows.sampling.summary import QUANTILES
from gflownet_crystal.workflows.settings.evaluate import EvaluateSettings


def sampler_figures(
    settings: EvaluateSettings,
    model: GFlowNet,
    reward: Reward,
    untrained: Callable[[], GFlowNet],
    prior: Callable[[], Prior | None],
    left_out: LeftOut,
) -> dict[str, object]:
    """Figures of a trained sampler.

    Args:
        settings: settings of ``evaluate``.
        model: trained sampler.
        reward: its reward.
        untrained: function that makes the sampler as it was before the training.
        prior: function that gives its prior, or None where it has none.
        left_out: takes records of the reference that are no crystals.

    Raises:
        ConfigError: a key is out of range.
        DataError: the reference has no labels.
    """
    seed, chosen = settings.seed, settings.sampler
    data = None if settings.reference is None else labels(settings.reference, left_out)
    sampled = draw_samples(model, reward, chosen.n, chosen.batch_size, seed)
    n_untrained = min(chosen.n, chosen.untrained)
    before = draw_untrained(untrained(), reward, n_untrained, chosen.batch_size, seed)
    figures: dict[str, object] = {
        "n": len(sampled),
        "property": reward.proxy.property_name,
        "energy": _energies(reward.proxy.unit, sampled, before, data),
    }
    if found := shares(sampled):
        figures["shares"] = found
    env = model.env
    if isinstance(env, Crystal):
        figures |= _crystals(env, sampled, chosen.top)
    figures["log_p_against_log_r"] = _likelihood(
        model, reward, prior(), chosen.objects, chosen.trajectories, seed
    )
    discrete = all(isinstance(stage.forward_actions, DiscreteActions) for stage in env.stages)
    if chosen.exact and discrete:
        figures["exact"] = asdict(distance_to_exact(model, reward))
    return figures


def labels(path: Path, left_out: LeftOut) -> Tensor:
    """Formation energies of a data file, (n,) float64 eV/atom.

    Raises:
        DataError: the file has no labels.
    """
    frame = read_source(path, left_out=left_out)
    if ENERGY_COLUMN not in frame.columns:
        raise DataError(f"{path} has no column {ENERGY_COLUMN} to compare energies with; leave reference out")
    return torch.from_numpy(
        pd.to_numeric(frame[ENERGY_COLUMN], errors="coerce").to_numpy(dtype="float64", copy=True)
    )


def _energies(
    unit: str, sampled: pd.DataFrame, untrained: pd.DataFrame, data: Tensor | None
) -> dict[str, object]:
    energies = {name: torch.from_numpy(frame[ENERGY].to_numpy(dtype="float64").copy())
                for name, frame in (("sampled", sampled), ("untrained", untrained))}  # fmt: skip
    if data is not None:
        energies["data"] = data
    result: dict[str, object] = {"unit": unit}
    result["quantiles"] = {name: _quantiles(values) for name, values in energies.items()}
    others = {name: values for name, values in energies.items() if name != "sampled"}
    result["wasserstein_from"] = {
        name: distance_of_finite(energies["sampled"], values) for name, values in others.items()
    }
    return result


def _quantiles(values: Tensor) -> Mapping[str, float]:
    finite = values[values.isfinite()]
    # quantiles of torch have a limit on the number of values
    found = pd.Series(finite.numpy()).quantile(list(QUANTILES))
    return {f"{level:g}": float(value) for level, value in zip(QUANTILES, found, strict=True)}


def _crystals(env: Crystal, sampled: pd.DataFrame, top: int) -> dict[str, object]:
    specs = frame_to_specs(sampled)
    elements = torch.zeros(N_ATOMIC_NUMBERS, dtype=torch.bool)
    elements[env.atomic_numbers.cpu()] = True
    groups = torch.bincount(specs.space_group, minlength=N_SPACE_GROUPS + 1)
    reward = torch.from_numpy(sampled[LOG_REWARD].to_numpy(dtype="float64").copy())
    return {
        "elements": asdict(occurrence((specs.composition > 0).sum(0), elements)),
        "space_groups": asdict(occurrence(groups, env.space_group.allowed.cpu())),
        "n_formulas": len(set(specs.reduced_formulas())),
        "best": asdict(top_diversity(specs, reward, top)),
    }


def _likelihood(
    model: GFlowNet, reward: Reward, prior: Prior | None, n: int, trajectories: int, seed: int
) -> dict[str, object]:
    """Log-probabilities of samples against the logarithm of the target: R, or prior^w R where there is a prior.

    R is that of the training at its end: with the costs of a history, where it kept one.
    """
    generator = torch.Generator(model.device).manual_seed(seed)
    terminal = sample_terminal(model, n, generator)
    log_reward = reward.in_training(model.env.objects(terminal)).log_reward.double().cpu()
    found = log_prob(model, terminal, trajectories, generator)
    estimate = found.log_prob.double().cpu()
    log_target = log_reward
    if prior is not None:
        of_prior = log_prob(prior.model, terminal, trajectories, generator)
        log_target = log_reward + prior.weight * of_prior.log_prob.double().cpu()
    effective = effective_sample_size(log_target - estimate)
    figures = {
        "n": n,
        "target": "R" if prior is None else f"prior^{prior.weight:g} R",
        "trajectories_each": trajectories,
        "log_p_error_median": float(found.std_error.median()),
        "effective_sample_size": effective,
        "effective_share": effective / n,
    }
    if float(log_target.std()) == 0.0:
        return figures
    on_cpu = torch.Generator().manual_seed(seed)
    figures |= asdict(fit_log_log(estimate, log_target, on_cpu))
    return figures | {"spearman_error": spearman_error(estimate, log_target, on_cpu)}
