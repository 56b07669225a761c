"""Trained samplers, opened for sampling: run folders, and priors that no run folder belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from omegaconf import DictConfig, OmegaConf

from gflownet_crystal.common.checkpoint import latest, load_weights
from gflownet_crystal.common.errors import CheckpointError, ConfigError, WeightsError
from gflownet_crystal.common.run_schema import WEIGHTS
from gflownet_crystal.config.build import Trust
from gflownet_crystal.config.compose import compose_config, resolved
from gflownet_crystal.config.parts import NOTHING, Given, Parts, build_model, build_parts
from gflownet_crystal.config.priors import stored_policy
from gflownet_crystal.config.run_folder import SECTIONS, read_config
from gflownet_crystal.config.starting import build_prior
from gflownet_crystal.gflownet.model import GFlowNet
from gflownet_crystal.gflownet.prior import Prior
from gflownet_crystal.training.samplers.training import load_history
from gflownet_crystal.weights import weights_path


@dataclass(frozen=True)
class TrainedRun:
    """A trained sampler.

    Attributes:
        folder: the run folder, or the name or file of a prior.
        config: stored configuration, resolved.
        parts: environment, reward with its history, and the model with its trained weights.
    """

    folder: Path
    config: DictConfig
    parts: Parts

    def untrained(self, trust: bool) -> GFlowNet:
        """The sampler as it was before the training."""
        return build_model(self.config, self.parts.env, self.parts.device, Trust(everything=trust))

    def prior(self, trust: bool) -> Prior | None:
        """The prior of the training in the sampler's space; None where it has none."""
        return build_prior(self.config, self.parts, Trust(everything=trust))

    def of_one_distribution(self) -> TrainedRun:
        """The sampler itself, for a use that knows no conditions.

        Raises:
            ConfigError: it was trained for a range of conditions.
        """
        conditions = self.parts.model.conditions
        if conditions is not None:
            raise ConfigError(
                f"{self.folder} was trained for a range of conditions, {', '.join(conditions.ranges)}, which this verb "
                "does not take; give a sampler that was trained without"
            )
        return self

    def at(self, condition: Mapping[str, float]) -> TrainedRun:
        """The sampler with conditions held at values.

        Args:
            condition: values by name; the others are drawn for each sample.

        Raises:
            ConfigError: the sampler has no such condition, or was trained for another range.
        """
        if not condition:
            return self
        model = self.parts.model.at(condition)
        values = {name: torch.tensor(value, dtype=torch.float64) for name, value in condition.items()}
        return replace(self, parts=replace(self.parts, model=model, reward=self.parts.reward.at(values)))


def open_run(
    folder: Path,
    device: str = "auto",
    threads: int | None = None,
    trust: bool = False,
    given: Given = NOTHING,
    quiet: bool = False,
) -> TrainedRun:
    """A trained sampler, ready to sample.

    Args:
        folder: run folder of ``train_gfn`` or ``train_prior``, or a prior: the name of shipped weights (``prior``) or a
            ``.safetensors`` file.
        device: device to sample on.
        threads: CPU threads, or None.
        trust: build classes from outside this package that the folder names.
        given: objects in place of those that the folder names; of a prior, proxy and reward function only.
        quiet: whether to say nothing while the environment is built.

    Raises:
        CheckpointError: no run folder, no checkpoint, or one that does not fit.
        WeightsError: a prior that is missing, corrupt or of another kind.
        ConfigError: a foreign class without ``trust``.
    """
    if _is_prior(folder):
        return _open_prior(folder, device, threads, given)
    config = read_config(folder, SECTIONS)
    config.device, config.threads = device, threads
    config.quiet = quiet or bool(config.get("quiet", False))
    parts = build_parts(config, Trust(everything=trust), given)
    checkpoint = latest(folder)
    if checkpoint is None:
        raise CheckpointError(f"{folder} has no checkpoint yet; train it with resume=true first")
    load_weights(parts.model, checkpoint)
    load_history(parts.reward, checkpoint)
    return TrainedRun(folder, config, parts)


def _is_prior(source: Path) -> bool:
    if source.is_dir():
        return (source / WEIGHTS).is_file()
    try:
        return weights_path(source).is_file()
    except WeightsError:
        return False


def _open_prior(source: Path, device: str, threads: int | None, given: Given) -> TrainedRun:
    """The prior in the space that it was trained in; its samples are scored as those of a training at its defaults."""
    stored = stored_policy(source)
    config = resolved(compose_config("train_gfn", []))
    config.device, config.threads, config.quiet = device, threads, True
    env = stored.card["env"]
    config.env = OmegaConf.create(dict(env) if isinstance(env, Mapping) else {})
    config.policy = OmegaConf.create(stored.policy)
    # a card travels: only classes of this package are built from it
    parts = build_parts(config, Trust(), replace(given, env=None))
    stored.start(parts.model)
    return TrainedRun(source, config, parts)
