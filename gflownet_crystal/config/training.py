"""A training of a sampler, ready to run, made from its configuration."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch
from omegaconf import DictConfig

from gflownet_crystal.common.checkpoint import latest
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.common.values import path_setting
from gflownet_crystal.config.build import Trust, build, plain
from gflownet_crystal.config.parts import NOTHING, Given, Parts, build_parts
from gflownet_crystal.config.starting import build_prior, starting_policy, with_policy
from gflownet_crystal.gflownet.batch import reward_of
from gflownet_crystal.gflownet.replay import Terminals
from gflownet_crystal.training.distributed import World
from gflownet_crystal.training.engine import Engine
from gflownet_crystal.training.loggers import Logger
from gflownet_crystal.training.samplers.training import SamplerTraining
from gflownet_crystal.workflows.samples import read_objects


class PreparedTraining(NamedTuple):
    """A training, ready to run.

    Attributes:
        config: configuration of the run; its section ``policy`` is that of the weights it starts from.
        parts: environment, reward and model.
        engine: training, new or as the newest checkpoint of the folder left it.
        note: words on a new stream of random numbers, or None; see
            :meth:`~gflownet_crystal.training.base.Training.restore`.
    """

    config: DictConfig
    parts: Parts
    engine: Engine[SamplerTraining]
    note: str | None


def prepare_training(
    config: DictConfig, folder: Path, trust: Trust, world: World | None = None, given: Given = NOTHING
) -> PreparedTraining:
    """All that a training needs; nothing is written.

    Args:
        config: configuration of ``train_gfn``, resolved.
        folder: folder of the run, which is resumed from its newest checkpoint.
        trust: classes from outside the package that may be imported.
        world: processes that train together; None for this one alone.
        given: objects that are there already.

    Raises:
        ConfigError: anything wrong with the configuration.
        CheckpointError: a checkpoint that does not fit it.
    """
    stored = starting_policy(config)
    config = with_policy(config, stored)
    parts = build_parts(config, trust, given)
    prior = build_prior(config, parts, Trust(everything=config.trust))
    logger = build(config.logger, Logger, "logger", trust)
    training = SamplerTraining(
        parts.model,
        parts.reward,
        parts.objective,
        parts.settings,
        config.seed,
        dataset=_dataset(config, parts),
        world=world,
        prior=prior,
    )
    every = parts.settings.checkpoint_every
    engine = Engine(training, folder, every, config.quiet, logger, plain(config))
    checkpoint = latest(folder)
    if checkpoint is None and stored is not None:
        stored.start(parts.model)
    return PreparedTraining(config, parts, engine, engine.restore(checkpoint))


def _dataset(config: DictConfig, parts: Parts) -> Terminals | None:
    """The objects of ``dataset.path`` that lie in the space, scored."""
    if not parts.settings.n_dataset:
        return None
    if config.dataset.path is None:
        raise ConfigError("trainer.dataset_fraction is above 0: give dataset.path=FILE, or set it to 0")
    objects = read_objects(
        path_setting(config.dataset.path, "dataset.path"), parts.env.produces, parts.device
    )
    terminal, _ = parts.env.encode(objects)
    if terminal.n == 0:
        raise ConfigError(
            f"none of the {len(objects)} objects of {config.dataset.path} lies in the environment's space"
        )
    if parts.model.conditions is not None:
        # each object has a condition of its own, throughout the training
        drawn = parts.model.conditions.draw(
            terminal.n, torch.Generator(parts.device).manual_seed(config.seed)
        )
        terminal = replace(terminal, condition=drawn)
    reward = reward_of(parts.model, parts.reward, terminal)
    return Terminals(terminal, reward(parts.env.objects(terminal)).log_reward)
