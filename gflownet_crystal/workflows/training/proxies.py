"""Training of a proxy's weights by a recipe: labelled crystals in, weights and their model card out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from gflownet_crystal.common.outputs import check_writable
from gflownet_crystal.training.base import Training
from gflownet_crystal.training.proxies.recipe import Recipe
from gflownet_crystal.workflows.data.tables import read_prepared
from gflownet_crystal.workflows.settings.training import TrainProxySettings
from gflownet_crystal.workflows.training.run_folders import TrainingRun


def train_proxy(
    run: TrainingRun,
    settings: TrainProxySettings,
    recipe: Recipe,
    name: str,
    change: Callable[[pd.DataFrame], pd.DataFrame] = lambda table: table,
) -> dict[str, object]:
    """Train by a recipe and write the weights.

    Args:
        run: the run.
        settings: settings of the verb.
        recipe: recipe of the training.
        name: name of the weights file where ``out`` gives none.
        change: function that adds further columns to the tables that are read.

    Returns:
        The weights file, and the figures of validation and tests.

    Raises:
        TrainingStopped: the user interrupted; a checkpoint is there.
    """
    out = Path(f"{name}.safetensors") if settings.out is None else settings.out
    check_writable(out)

    def read(sources: Sequence[Path]) -> pd.DataFrame:
        return change(read_prepared(sources, settings.quiet, labels=recipe.labels, atoms=recipe.atoms))

    tests = {path.name: read([path]) for path in settings.test or ()}

    def take(training: Training) -> None:
        run.train(training, settings.checkpoint_every)

    trained = recipe.fit(read(settings.data), take)
    if tests:
        trained = replace(trained, card={**trained.card, "test": recipe.test(trained, tests)})
    trained.save(out, {"data": [path.name for path in settings.data], "command": run.command})
    return {"weights": str(out), **{key: trained.card.get(key) for key in ("validation", "test")}}
