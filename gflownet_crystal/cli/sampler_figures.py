"""Figures of a trained sampler: energies, what it covers, how diverse its best are, and log p against log R."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from gflownet_crystal.cli.data_tables import tell
from gflownet_crystal.cli.summary import QUANTILES
from gflownet_crystal.common.errors import DataError
from gflownet_crystal.common.run_schema import ENERGY, LOG_REWARD
from gflownet_crystal.config.build import Trust
from gflownet_crystal.config.parts import build_model
from gflownet_crystal.config.starting import build_prior
from gflownet_crystal.config.trained_runs import TrainedRun, open_run
from gflownet_crystal.config.values import path_setting
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
from gflownet_crystal.gflownet.prior import Prior
from gflownet_crystal.gflownet.rollout import sample_terminal
from gflownet_crystal.proxies.reward import Reward
from gflownet_crystal.structures.elements import N_ATOMIC_NUMBERS
from gflownet_crystal.structures.spec_io import frame_to_specs
from gflownet_crystal.workflows.evaluate_settings import EvaluateSettings
from gflownet_crystal.workflows.objectives import shares
from gflownet_crystal.workflows.samples import draw_samples


def sampler_figures(settings: EvaluateSettings) -> dict[str, object]:
    """Figures of the run that ``evaluate`` names.

    Raises:
        CheckpointError: no usable run folder.
        ConfigError: a key is out of range.
        DataError: the reference has no labels.
    """
    trust, seed, chosen = Trust(everything=settings.trust), settings.seed, settings.sampler
    folder = path_setting(settings.run, "run")
    trained = open_run(folder, settings.device, settings.threads, settings.trust)
    data = None if settings.reference is None else labels(settings.reference)
    sampled = draw_samples(trained.parts.model, trained.parts.reward, chosen.n, chosen.batch_size, seed)
    figures: dict[str, object] = {
        "n": len(sampled),
        "property": trained.parts.reward.proxy.property_name,
        "energy": _energies(trained, sampled, data, min(chosen.n, chosen.untrained), chosen.batch_size, seed, trust),
    }  # fmt: skip
    if found := shares(sampled):
        figures["shares"] = found
    env = trained.parts.env
    if isinstance(env, Crystal):
        figures |= _crystals(env, sampled, chosen.top)
    prior = build_prior(trained.config, trained.parts, trust)
    figures["log_p_against_log_r"] = _likelihood(trained, prior, chosen.objects, chosen.trajectories, seed)
    discrete = all(isinstance(stage.forward_actions, DiscreteActions) for stage in env.stages)
    if chosen.exact and discrete:
        figures["exact"] = asdict(distance_to_exact(trained.parts.model, trained.parts.reward))
    return figures


def labels(path: Path) -> Tensor:
    """Formation energies of a data file, (n,) float64 eV/atom.

    Raises:
        DataError: it has none.
    """
    left_out = LeftOut()
    frame = read_source(path, left_out=left_out)
    tell(left_out)
    if ENERGY_COLUMN not in frame.columns:
        raise DataError(f"{path} has no column {ENERGY_COLUMN} to compare energies with; leave reference out")
    return torch.from_numpy(
        pd.to_numeric(frame[ENERGY_COLUMN], errors="coerce").to_numpy(dtype="float64", copy=True)
    )


def _energies(
    trained: TrainedRun,
    sampled: pd.DataFrame,
    data: Tensor | None,
    n_untrained: int,
    batch_size: int,
    seed: int,
    trust: Trust,
) -> dict[str, object]:
    parts = trained.parts
    untrained = build_model(trained.config, parts.env, parts.device, trust)
    # an untrained sampler may meet objects that the proxy refuses
    lenient = Reward(parts.reward.proxy, parts.reward.function, invalid="penalise")
    before = draw_samples(untrained, lenient, n_untrained, batch_size, seed)
    energies = {name: torch.from_numpy(frame[ENERGY].to_numpy(dtype="float64").copy())
                for name, frame in (("sampled", sampled), ("untrained", before))}  # fmt: skip
    if data is not None:
        energies["data"] = data
    result: dict[str, object] = {"unit": parts.reward.proxy.unit}
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
    trained: TrainedRun, prior: Prior | None, n: int, trajectories: int, seed: int
) -> dict[str, object]:
    """Log-probabilities of samples against the logarithm of the target: R, or prior^w R where there is a prior.

    R is that of the training at its end: with the costs of a history, where it kept one.
    """
    model, reward = trained.parts.model, trained.parts.reward
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
