"""Train a proxy's weights on labelled crystals, and write them with a card of what they are.

MP-20's val and a share of all reduced formulas are kept apart; what is trained on holds none of their formulas.
Metrics and checkpoints go to a run folder; a training that was stopped goes on with the same run.dir and resume=true.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
from omegaconf import DictConfig

from gflownet_crystal.cli.data_tables import read_prepared
from gflownet_crystal.cli.weights_run import weights_folder
from gflownet_crystal.common.locks import lock_folder
from gflownet_crystal.config.build import Trust, build, verb_settings
from gflownet_crystal.config.compose import resolved
from gflownet_crystal.config.parts import set_threads
from gflownet_crystal.config.run_folder import open_folder, training_run
from gflownet_crystal.config.values import check_writable
from gflownet_crystal.training.base import Training
from gflownet_crystal.training.proxies.recipe import Recipe
from gflownet_crystal.workflows.training_run import TrainingRun
from gflownet_crystal.workflows.training_settings import TrainProxySettings


def run(config: DictConfig) -> None:
    """The verb ``train_proxy``."""
    folder = weights_folder(config, "proxy", "proxy", config.training.get("seed", 0))
    with lock_folder(folder):
        config, trust = open_folder(folder, config, ("proxy", "training", "record"))
        config = resolved(config)
        name = config.record.choices.get("proxy", "proxy")
        settings = verb_settings(TrainProxySettings, config)
        recipe = build_recipe(config, settings, trust)
        train_weights(training_run(folder, "train_proxy", config), settings, recipe, str(name))


def build_recipe(config: DictConfig, settings: TrainProxySettings, trust: Trust) -> Recipe:
    """The recipe of the section ``training``.

    Raises:
        ConfigError: a setting is wrong, or a class is not trusted.
    """
    set_threads(settings.threads)
    return build(config.training, Recipe, "training", trust)


def train_weights(
    run: TrainingRun,
    settings: TrainProxySettings,
    recipe: Recipe,
    name: str,
    change: Callable[[pd.DataFrame], pd.DataFrame] = lambda table: table,
) -> None:
    """Train by a recipe, write the weights, and print their figures.

    Args:
        run: the run.
        settings: settings of the verb.
        recipe: recipe of the training.
        name: name of the weights file where ``out`` gives none.
        change: further columns for the tables that are read.
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
    shown = {key: trained.card.get(key) for key in ("validation", "test")}
    print(json.dumps({"weights": str(out), **shown}, indent=2))
