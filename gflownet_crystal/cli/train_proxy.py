"""Train a proxy's weights on labelled crystals, and write them with a card of what they are.

MP-20's val and a share of all reduced formulas are kept apart; what is trained on holds none of their formulas.
Metrics and checkpoints go to a run folder; a training that was stopped goes on with the same run.dir and resume=true.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from gflownet_crystal.cli.data_tables import paths_of, read_prepared
from gflownet_crystal.cli.weights_run import run_folder, stoppable, weights_file
from gflownet_crystal.common.locks import lock_folder
from gflownet_crystal.config.build import build
from gflownet_crystal.config.compose import resolved
from gflownet_crystal.config.parts import set_threads
from gflownet_crystal.config.run_folder import card_command, latest, open_folder, write_config
from gflownet_crystal.config.values import check_whole, flag
from gflownet_crystal.training.proxies.recipe import Recipe
from gflownet_crystal.training.stepwise import Stepwise
from gflownet_crystal.training.stepwise_run import take_steps


def run(config: DictConfig) -> None:
    """The verb ``train_proxy``."""
    folder = run_folder(config, "proxy", "proxy", config.training.get("seed", 0))
    with lock_folder(folder):
        _run(folder, config)


def _run(folder: Path, config: DictConfig) -> None:
    config, trust = open_folder(folder, config, ("proxy", "training", "record"))
    config = resolved(config)
    _check_values(config)
    paths = paths_of(config.data, "data")
    choice = config.record.choices.get("proxy", "proxy")
    out = weights_file(f"{choice}.safetensors" if config.out is None else config.out)
    set_threads(config.threads)
    recipe = build(config.training, Recipe, "training", trust)
    checkpoint = latest(folder)
    tests = {path.name: read_prepared([path], config.quiet) for path in _tests(config.test)}
    table = read_prepared(paths, config.quiet)

    def take(training: Stepwise) -> None:
        write_config(folder, config)
        with stoppable("train_proxy", folder, config) as should_stop:
            take_steps(training, folder, checkpoint, config.checkpoint_every, config.quiet, should_stop)

    trained = recipe.fit(table, take)
    if tests:
        trained = replace(trained, card={**trained.card, "test": recipe.test(trained, tests)})
    trained.save(out, {"data": [path.name for path in paths], "command": card_command("train_proxy", config)})
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
