"""Train a GFlowNet against a proxy, sample from it, and write the best candidates.

Everything goes to one run folder: configuration, metrics, checkpoints, samples, figures and a summary. A training that
was stopped goes on with the same run.dir and resume=true.

Several properties at once are a list of proxies and a wish for each, as in proxy=[mlp,band_gap]
reward.band_gap.window=[1.2,1.6]; the help of a command with a list shows the keys of each.
"""

from __future__ import annotations

import sys
from contextlib import nullcontext
from dataclasses import asdict
from functools import partial
from pathlib import Path

from omegaconf import DictConfig

from gflownet_crystal.cli.results import write_results
from gflownet_crystal.common.locks import lock_folder
from gflownet_crystal.config.build import Trust, plain, plain_section, verb_settings
from gflownet_crystal.config.compose import require_section, resolved
from gflownet_crystal.config.parts import Parts, build_model, check_fit
from gflownet_crystal.config.run_folder import open_folder, run_folder, training_run
from gflownet_crystal.config.training import prepare_training
from gflownet_crystal.training.base import Training
from gflownet_crystal.training.distributed import World, join_world
from gflownet_crystal.training.engine import Engine
from gflownet_crystal.training.samplers.training import SamplerTraining
from gflownet_crystal.workflows.candidate_engine import screening_settings
from gflownet_crystal.workflows.training_run import TrainingRun
from gflownet_crystal.workflows.training_settings import ExportChoice, SamplesSettings, TrainGfnSettings

_SECTIONS = ("trainer", "run", "dataset", "samples", "export", "record")


def run(config: DictConfig) -> None:
    """The verb ``train_gfn``; under ``torchrun`` several processes train together and the first one writes."""
    choices = config.record.choices
    folder = run_folder(config, [choices.get("env"), choices.get("proxy")], config.seed)
    with join_world() as world, lock_folder(folder) if world.is_main else nullcontext():
        _run(config, folder, world)


def _run(config: DictConfig, folder: Path, world: World) -> None:
    config, trust = open_folder(folder, config)
    check_fit(config, trust)
    config = resolved(config)
    settings = settings_of(config)
    parts, training = train_sampler(config, folder, trust, world)
    if world.is_main:
        untrained = partial(build_model, config, parts.env, parts.device, trust)
        table = plain(config.env.get("oxidation_table"))
        write_results(training_run(folder, "train_gfn", config), settings, parts, training, untrained, table)


def settings_of(config: DictConfig) -> TrainGfnSettings:
    """Settings of ``train_gfn`` from its resolved configuration, which gets whole numbers for whole floats.

    Raises:
        ConfigError: a value is wrong.
    """
    for key in _SECTIONS:
        require_section(config.get(key), key)
    samples = SamplesSettings(**{key: config.samples.get(key) for key in ("n", "batch_size", "seed")})
    # runs of earlier versions have no such key
    export = ExportChoice(config.export.get("k"), plain(config.export.get("format")))
    screening = plain_section(config.screening, "screening") if "screening" in config else {}
    settings = verb_settings(TrainGfnSettings, config, samples=samples, export=export, screening=screening)
    if screening:
        screening_settings(screening, True, True, True, k=max(1, export.k))
    config.seed, config.export.k = settings.seed, export.k
    config.samples.update(asdict(samples))
    return settings


def train_sampler(
    config: DictConfig, folder: Path, trust: Trust, world: World | None = None
) -> tuple[Parts, Training]:
    """Train, or go on with the newest checkpoint of the folder.

    Args:
        config: configuration of the run, resolved; its section ``policy`` becomes that of the weights it starts from.
        folder: folder of the run; nothing is written there before all of the configuration was found to be right.
        trust: classes from outside the package that may be imported.
        world: processes that train together; None for this one alone.

    Returns:
        The parts, with trained weights, and the finished training.

    Raises:
        TrainingStopped: the user interrupted; a checkpoint is there.
    """
    world = World() if world is None else world
    config, parts, engine, note = prepare_training(config, folder, trust, world)
    if note is not None and world.is_main:
        print(f"warning: {note}", file=sys.stderr)
    # nothing is written before everything above was found to be right, by every process
    world.wait()
    run = training_run(folder, "train_gfn", config)
    if world.is_main:
        run.write_config()
    _train(engine, parts, run)
    engine.training.finish()
    return parts, engine.training


def _train(engine: Engine[SamplerTraining], parts: Parts, run: TrainingRun) -> None:
    training = engine.training
    if training.done and not engine.quiet:
        print(f"resuming {run.folder} after iteration {training.done}")
    if training.is_finished:
        return
    if not engine.quiet and (words := parts.reward.function.describe()):
        print(words)
    with run.stoppable() as should_stop:
        engine.train(should_stop)
