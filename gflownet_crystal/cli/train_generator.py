"""Train the network of a generator, and write its weights with a card of what they are.

The energies of the crystals are not looked at. MP-20's val is kept apart, and its reduced formulas.
Metrics and checkpoints go to a run folder; a training that was stopped goes on with the same run.dir and resume=true.
"""

from __future__ import annotations

import json
from pathlib import Path

from omegaconf import DictConfig

from gflownet_crystal.cli.data_tables import read_crystals
from gflownet_crystal.cli.trained_generators import TrainedGenerator, trained_generator
from gflownet_crystal.cli.weights_run import open_training
from gflownet_crystal.common.devices import find_device, set_threads
from gflownet_crystal.config.build import Trust, plain_section, verb_settings
from gflownet_crystal.config.run_folder import training_run
from gflownet_crystal.training.energies.labelled import split_labelled
from gflownet_crystal.training.engine import Engine
from gflownet_crystal.training.networks import NetworkTraining
from gflownet_crystal.workflows.training_run import TrainingRun, still_falling, validation_figures
from gflownet_crystal.workflows.training_settings import TrainGeneratorSettings


def run(config: DictConfig) -> None:
    """The verb ``train_generator``."""
    with open_training(config, settings_of, "generator", "generator") as (folder, chosen, settings, out):
        # a run folder that is resumed may name a class and come from somebody else
        trust = Trust(everything=settings.trust or not settings.resume)
        device = find_device(settings.device)
        trained = trained_generator(chosen.generator, settings.seed, device, trust)
        card = _train(training_run(folder, "train_generator", chosen), settings, trained, out)
    print(json.dumps({"weights": str(out), "validation": card["validation"]}, indent=2))


def settings_of(config: DictConfig) -> TrainGeneratorSettings:
    """Settings of ``train_generator`` from its resolved configuration.

    Raises:
        ConfigError: a value is wrong.
    """
    task = plain_section(config.generator.task, "generator.task")
    return verb_settings(TrainGeneratorSettings, config, start=None, name=config.generator.name, task=task)


def _train(
    run: TrainingRun, settings: TrainGeneratorSettings, trained: TrainedGenerator, out: Path
) -> dict[str, object]:
    """Train, and write the weights; their card."""
    set_threads(settings.threads)
    data = read_crystals(settings.data, one_scheme=False)
    splits = split_labelled(data, settings.holdout, max_atoms=settings.max_atoms)
    if not settings.quiet:
        print(f"{len(splits.train)} crystals to learn from, {len(splits.validation)} to validate on")
    engine = run.train_network(trained.task(splits), settings)
    trained.round_weights()
    card = _card(run, settings, trained, engine)
    trained.save(out, card)
    return card


def _card(
    run: TrainingRun,
    settings: TrainGeneratorSettings,
    trained: TrainedGenerator,
    engine: Engine[NetworkTraining],
) -> dict[str, object]:
    curve = validation_figures(engine)
    return {
        "kind": trained.kind,
        "generator": settings.name,
        "unit": trained.unit,
        **trained.card(),
        "task": dict(settings.task),
        "half": trained.half,
        **run.card(settings, engine, trained.network),
        "validation": trained.figures(),
        "validation_curve": curve,
        "curve_still_falling": still_falling([trained.error(figures) for figures in curve]),
    }
