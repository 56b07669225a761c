"""Train the network of a generator, and write its weights with a card of what they are.

The energies of the crystals are not looked at. MP-20's val is kept apart, and its reduced formulas.
Metrics and checkpoints go to a run folder; a training that was stopped goes on with the same run.dir and resume=true.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from gflownet_crystal.cli.data_tables import paths_of, read_crystals
from gflownet_crystal.cli.train_network import (
    loop_settings,
    open_training,
    still_falling,
    train,
    training_card,
    validation_curve,
)
from gflownet_crystal.cli.trained_generators import TrainedGenerator, trained_generator
from gflownet_crystal.config.build import Trust, plain
from gflownet_crystal.config.parts import find_device, set_threads
from gflownet_crystal.training.energies.labelled import split_labelled
from gflownet_crystal.training.engine import Engine
from gflownet_crystal.training.networks import NetworkTraining


def run(config: DictConfig) -> None:
    """The verb ``train_generator``."""
    with open_training(config, "generator", "generator") as (folder, chosen, out):
        _run(folder, chosen, out)


def _run(folder: Path, config: DictConfig, out: Path) -> None:
    loop_settings(config)
    set_threads(config.threads)
    # a run folder that is resumed may name a class and come from somebody else
    trust = Trust(everything=config.trust or not config.resume)
    trained = trained_generator(config.generator, config.seed, find_device(config.device), trust)
    paths = paths_of(config.data, "data")
    splits = split_labelled(
        read_crystals(paths, one_scheme=False), config.holdout, max_atoms=config.max_atoms
    )
    if not config.quiet:
        print(f"{len(splits.train)} crystals to learn from, {len(splits.validation)} to validate on")
    engine = train(trained.task(splits), config, folder, "train_generator")
    trained.round_weights()
    card = _card(config, trained, engine, paths)
    trained.save(out, card)
    print(json.dumps({"weights": str(out), "validation": card["validation"]}, indent=2))


def _card(
    config: DictConfig, trained: TrainedGenerator, engine: Engine[NetworkTraining], paths: list[Path]
) -> dict[str, Any]:
    curve = validation_curve(engine)
    return {
        "kind": trained.kind,
        "generator": config.generator.name,
        "unit": trained.unit,
        **trained.card(),
        "task": plain(config.generator.task),
        "half": trained.half,
        **training_card(config, engine, "train_generator", paths, trained.network),
        "validation": trained.figures(),
        "validation_curve": curve,
        "curve_still_falling": still_falling([trained.error(figures) for figures in curve]),
    }
