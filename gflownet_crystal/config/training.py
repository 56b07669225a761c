"""A training of a sampler, ready to run, made from its configuration."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple, cast

import torch
from omegaconf import DictConfig

from gflownet_crystal.common.checkpoint import latest
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.common.values import path_setting
from gflownet_crystal.config.build import Trust, build, plain, plain_section, verb_settings
from gflownet_crystal.config.compose import require_section
from gflownet_crystal.config.parts import NOTHING, Given, Parts, build_model, build_parts, check_fit
from gflownet_crystal.config.request import Request
from gflownet_crystal.config.run_folder import run_folder, training_run
from gflownet_crystal.config.starting import build_prior, starting_policy, with_policy
from gflownet_crystal.gflownet.batch import reward_of
from gflownet_crystal.gflownet.model import GFlowNet
from gflownet_crystal.gflownet.replay import Terminals
from gflownet_crystal.training.distributed import World
from gflownet_crystal.training.engine import Engine
from gflownet_crystal.training.loggers import Logger
from gflownet_crystal.training.samplers.training import SamplerTraining
from gflownet_crystal.workflows.candidates.engine import screening_settings
from gflownet_crystal.workflows.sampling.samples import read_objects
from gflownet_crystal.workflows.settings.training import ExportChoice, SamplesSettings, TrainGfnSettings
from gflownet_crystal.workflows.training.run_folders import TrainingRun, warn

_SECTIONS = ("trainer", "run", "dataset", "samples", "export", "record")


class TrainedSampler(NamedTuple):
    """A sampler whose training has ended.

    Attributes:
        run: the run.
        parts: environment, reward and model with its trained weights.
        training: finished training.
        untrained: function that makes the model as it was before the training.
        oxidation_table: name of the environment's table of oxidation states; None where it has none.
    """

    run: TrainingRun
    parts: Parts
    training: SamplerTraining
    untrained: Callable[[], GFlowNet]
    oxidation_table: object


class PreparedTraining(NamedTuple):
    """A training, ready to run.

    Attributes:
        config: configuration of the run; its section ``policy`` is that of the weights it starts from.
        parts: environment, reward and model.
        engine: training, new or as the newest checkpoint of the folder left it.
        note: warning, or None; see :meth:`~gflownet_crystal.training.engine.Engine.restore`.
    """

    config: DictConfig
    parts: Parts
    engine: Engine[SamplerTraining]
    note: str | None


def sampler_folder(request: Request) -> Path:
    """Run folder of a training of a sampler."""
    return run_folder(request.config, [request.choice("env"), request.choice("proxy")], request.config.seed)


def train_sampler(request: Request, folder: Path, world: World | None = None) -> TrainedSampler:
    """Train, or go on with the newest checkpoint of the folder.

    Args:
        request: request of the run; its section ``policy`` becomes that of the weights it starts from.
        folder: folder of the run; nothing is written there before all of the configuration was found to be right.
        world: processes that train together; None for this one alone.

    Raises:
        ConfigError: anything wrong with the configuration.
        TrainingStopped: the user interrupted; a checkpoint is there.
    """
    world, trust = World() if world is None else world, request.trust
    config, parts, engine, note = prepare_training(request.resolved, folder, trust, world)
    if world.is_main:
        warn(note)
    # nothing is written before everything above was found to be right, by every process
    world.wait()
    run = training_run(folder, "train_gfn", config)
    if world.is_main:
        run.write_config()
    _train(engine, parts, run)
    engine.training.finish()
    untrained = partial(build_model, config, parts.env, parts.device, trust)
    return TrainedSampler(run, parts, engine.training, untrained, plain(config.env.get("oxidation_table")))


def sampler_settings(request: Request) -> TrainGfnSettings:
    """Settings of ``train_gfn`` from its resolved configuration, which gets whole numbers for whole floats.

    Raises:
        ConfigError: a value is wrong, or the proxy does not fit the environment.
    """
    check_fit(request.config, request.trust)
    config = request.resolved
    for key in _SECTIONS:
        require_section(config.get(key), key)
    samples = SamplesSettings(**{key: config.samples.get(key) for key in ("n", "batch_size", "seed")})
    # runs of earlier versions have no such key
    export = ExportChoice(config.export.get("k"), cast(tuple[str, ...], plain(config.export.get("format"))))
    screening = plain_section(config.screening, "screening") if "screening" in config else {}
    settings = verb_settings(TrainGfnSettings, config, samples=samples, export=export, screening=screening)
    if screening:
        screening_settings(screening, True, True, True, k=max(1, export.k))
    config.seed, config.export.k = settings.seed, export.k
    config.samples.update(asdict(samples))
    return settings


def _train(engine: Engine[SamplerTraining], parts: Parts, run: TrainingRun) -> None:
    training = engine.training
    if training.done and not engine.quiet:
        sys.stdout.write(f"resuming {run.folder} after iteration {training.done}\n")
    if training.is_finished:
        return
    if not engine.quiet and (words := parts.reward.function.describe()):
        sys.stdout.write(f"{words}\n")
    with run.stoppable() as should_stop:
        engine.train(should_stop)


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
    engine = Engine(training, folder, every, config.quiet, logger, plain_section(config, "configuration"))
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
