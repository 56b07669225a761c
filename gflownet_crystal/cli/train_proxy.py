"""Train a proxy's weights on labelled crystals, and write them with a card of what they are.

MP-20's val and a share of all reduced formulas are kept apart; what is trained on holds none of their formulas.
Metrics and checkpoints go to a run folder; a training that was stopped goes on with the same run.dir and resume=true.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
from omegaconf import DictConfig

from gflownet_crystal.cli.data_tables import paths_of, read_prepared
from gflownet_crystal.cli.weights_run import run_folder, train_in_folder, weights_file
from gflownet_crystal.common.locks import lock_folder
from gflownet_crystal.config.build import Trust, build
from gflownet_crystal.config.compose import resolved
from gflownet_crystal.config.parts import set_threads
from gflownet_crystal.config.run_folder import card_command, open_folder
from gflownet_crystal.config.values import check_whole, flag
from gflownet_crystal.training.base import Training
from gflownet_crystal.training.proxies.recipe import Recipe


def run(config: DictConfig) -> None:
    """The verb ``train_proxy``."""
    folder = run_folder(config, "proxy", "proxy", config.training.get("seed", 0))
    with lock_folder(folder):
        config, trust = open_folder(folder, config, ("proxy", "training", "record"))
        name = config.record.choices.get("proxy", "proxy")
        train_weights("train_proxy", folder, resolved(config), trust, str(name))


def train_weights(
    verb: str,
    folder: Path,
    config: DictConfig,
    trust: Trust,
    name: str,
    change: Callable[[pd.DataFrame], pd.DataFrame] = lambda table: table,
) -> None:
    """Train by the recipe of the section ``training``, write the weights, and print their figures.

    Args:
        verb: verb that trains.
        folder: locked folder of the run.
        config: configuration of the run, resolved.
        trust: classes that may be built.
        name: name of the weights file where ``out`` gives none.
        change: further columns for the tables that are read.
    """
    _check_values(config)
    paths = paths_of(config.data, "data")
    out = weights_file(f"{name}.safetensors" if config.out is None else config.out)
    set_threads(config.threads)
    recipe = build(config.training, Recipe, "training", trust)

    def read(sources: list[Path]) -> pd.DataFrame:
        return change(read_prepared(sources, config.quiet, labels=recipe.labels))

    tests = {path.name: read([path]) for path in _tests(config.test)}
    table = read(paths)

    def take(training: Training) -> None:
        train_in_folder(training, folder, verb, config, config.checkpoint_every)

    trained = recipe.fit(table, take)
    if tests:
        trained = replace(trained, card={**trained.card, "test": recipe.test(trained, tests)})
    trained.save(out, {"data": [path.name for path in paths], "command": card_command(verb, config)})
    card = trained.card
    print(
        json.dumps(
            {"weights": str(out), "validation": card.get("validation"), "test": card.get("test")}, indent=2
        )
    )


def _check_values(config: DictConfig) -> None:
    for key in ("resume", "trust", "quiet"):
        flag(config[key], key)
    check_whole(config, "checkpoint_every", 1, may_be_none=True)


def _tests(value: Any) -> list[Path]:
    return [] if value is None else paths_of(value, "test")
