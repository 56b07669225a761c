"""Training of the network of a generator: data in, weights and their model card out."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from gflownet_crystal.common.devices import set_threads
from gflownet_crystal.training.energies.labelled import LabelledStructures, split_labelled
from gflownet_crystal.training.engine import Engine
from gflownet_crystal.training.generators.trained import TrainedGenerator
from gflownet_crystal.training.networks import NetworkTraining
from gflownet_crystal.workflows.settings.training import TrainGeneratorSettings
from gflownet_crystal.workflows.training.run_folders import (
    TrainingRun,
    start_entry,
    still_falling,
    validation_figures,
)


def train_generator(
    run: TrainingRun,
    settings: TrainGeneratorSettings,
    trained: TrainedGenerator,
    out: Path,
    read: Callable[[], LabelledStructures],
) -> dict[str, object]:
    """Train, or go on with the newest checkpoint of the folder, and write the weights.

    Args:
        run: the run.
        settings: settings of ``train_generator``.
        trained: generator with its network.
        out: weights file.
        read: function that gives the crystals; called once the weights to start from are read.

    Returns:
        The card; with ``start``, it has the figures of those weights on the same validation crystals.

    Raises:
        ConfigError: the weights to start from are of another network.
        TrainingStopped: the user interrupted; a checkpoint is there.
    """
    set_threads(settings.threads)
    earlier = None if settings.start is None else start_entry(trained.begin_with(settings.start))
    splits = split_labelled(read(), settings.holdout, max_atoms=settings.max_atoms)
    if not settings.quiet:
        sys.stdout.write(
            f"{len(splits.train)} crystals to learn from, {len(splits.validation)} to validate on\n"
        )
    task = trained.task(splits)
    if earlier is not None:
        earlier["validation"] = trained.figures()
    engine = run.train_network(task, settings)
    trained.round_weights()
    card = _card(run, settings, trained, engine)
    if earlier is not None:
        card["start"] = earlier
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
