"""Train a GFlowNet against a proxy, sample from it, and write the best candidates.

Everything goes to one run folder: configuration, metrics, checkpoints, samples, figures and a summary. A training that
was stopped goes on with the same run.dir and resume=true.
"""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from gflownet_crystal.cli.build import Trust, build
from gflownet_crystal.cli.compose import require_section, resolved
from gflownet_crystal.cli.parts import Parts, build_parts, check_fit
from gflownet_crystal.cli.results import write_results
from gflownet_crystal.cli.run_folder import default_folder, latest, open_folder, write_config
from gflownet_crystal.cli.samples import read_objects
from gflownet_crystal.cli.screened import screening_settings
from gflownet_crystal.cli.starting import build_prior, starting_policy, with_policy
from gflownet_crystal.cli.values import check_whole, flag, formats_setting, path_setting, seed_number
from gflownet_crystal.cli.weights_run import stoppable
from gflownet_crystal.common.checkpoint import newest_checkpoint
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.common.locks import lock_folder
from gflownet_crystal.gflownet.distributed import World, join_world
from gflownet_crystal.gflownet.loggers import Logger
from gflownet_crystal.gflownet.replay import Terminals
from gflownet_crystal.gflownet.trainer import Trainer, load_weights

_SECTIONS = ("trainer", "run", "dataset", "samples", "export", "record")


def run(config: DictConfig) -> None:
    """The verb ``train_gfn``; under ``torchrun`` several processes train together and the first one writes."""
    folder = default_folder(config)
    with join_world() as world, lock_folder(folder) if world.is_main else nullcontext():
        _run(config, folder, world)


def _run(config: DictConfig, folder: Path, world: World) -> None:
    config, trust = open_folder(folder, config)
    check_fit(config, trust)
    config = resolved(config)
    _check_values(config)
    parts, trainer = train_sampler(config, folder, trust, world)
    if world.is_main:
        write_results(folder, config, parts, trainer, trust)


def train_sampler(
    config: DictConfig, folder: Path, trust: Trust, world: World | None = None
) -> tuple[Parts, Trainer]:
    """Train, or go on with the newest checkpoint of the folder.

    Args:
        config: of the run, resolved; its section ``policy`` becomes that of the weights it starts from.
        folder: of the run; nothing is written there before all of the configuration was found to be right.
        trust: classes from outside the package that may be imported.
        world: processes that train together; None for this one alone.

    Returns:
        The parts, with trained weights, and the trainer.

    Raises:
        TrainingStopped: the user interrupted; a checkpoint is there.
    """
    world = World() if world is None else world
    stored = starting_policy(config)
    config = with_policy(config, stored)
    parts = build_parts(config, trust)
    prior = build_prior(config, parts, Trust(everything=config.trust))
    logger = build(config.logger, Logger, "logger", trust)
    trainer = Trainer(
        parts.model,
        parts.reward,
        parts.objective,
        parts.settings,
        folder,
        config.seed,
        dataset=_dataset(config, parts),
        logger=logger,
        quiet=config.quiet,
        world=world,
        prior=prior,
    )
    checkpoint = latest(folder)
    if checkpoint is None and stored is not None:
        stored.start(parts.model)
    if checkpoint is not None:
        note = trainer.restore(checkpoint)
        if note is not None and world.is_main:
            print(f"warning: {note}", file=sys.stderr)
    # nothing is written before everything above was found to be right, by every process
    world.wait()
    if world.is_main:
        write_config(folder, config)
    _train(trainer, folder, config)
    if world.is_main:
        trained, _ = newest_checkpoint(folder)
        if trained is not None:
            load_weights(parts.model, trained)
    return parts, trainer


def _train(trainer: Trainer, folder: Path, config: DictConfig) -> None:
    if trainer.iteration and not trainer.quiet:
        print(f"resuming {folder} after iteration {trainer.iteration}")
    if trainer.iteration >= trainer.settings.iterations:
        return
    if not trainer.quiet and (words := trainer.reward.function.describe()):
        print(words)
    settings: Any = OmegaConf.to_container(config)
    if trainer.world.is_main:
        trainer.logger.start(folder, settings)
    try:
        with stoppable("train_gfn", folder, config) as should_stop:
            trainer.train(should_stop)
    finally:
        trainer.logger.close()


def _check_values(config: DictConfig) -> None:
    for key in ("resume", "trust", "quiet"):
        flag(config[key], key)
    for key in _SECTIONS:
        require_section(config.get(key), key)
    for key in ("seed", "samples.seed"):
        OmegaConf.update(config, key, seed_number(OmegaConf.select(config, key), key))
    check_whole(config, "export.k", 0)
    formats_setting(config.export.get("format"), "export.format")
    if "screening" in config:
        screening_settings(config.screening, True, True, True, k=max(1, config.export.k))
    for key in ("samples.n", "samples.batch_size"):
        check_whole(config, key, 1)


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
    return Terminals(terminal, parts.reward(parts.env.objects(terminal)).log_reward)
