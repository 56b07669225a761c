"""Train the network of a generator, and write its weights with a model card.

The energies of the crystals are not looked at. MP-20's val is kept apart, and its reduced formulas.
Metrics and checkpoints go to a run folder; a training that was stopped goes on with the same run.dir and resume=true.
start=FILE begins with earlier weights of the same network; a ranking keeps its table, to which the crystals are added.
"""

from __future__ import annotations

import json

from gflownet_crystal.config.request import Request, open_training
from gflownet_crystal.config.trained_generators import trained_generator
from gflownet_crystal.training.generators.trained import part
from gflownet_crystal.workflows.data_tables import read_crystals
from gflownet_crystal.workflows.generator_training import train_generator
from gflownet_crystal.workflows.training_settings import TrainGeneratorSettings


def run(request: Request) -> None:
    """The verb ``train_generator``."""
    with open_training(request, settings_of, "generator", "generator") as (folder, chosen, settings, out):
        trained = trained_generator(chosen, settings)
        card = train_generator(
            chosen.training_run(folder, "train_generator"),
            settings,
            trained,
            out,
            lambda: read_crystals(settings.data, one_scheme=False),
        )
    print(json.dumps({"weights": str(out), "validation": card["validation"]}, indent=2))


def settings_of(request: Request) -> TrainGeneratorSettings:
    """Settings of ``train_generator``.

    Raises:
        ConfigError: a value is wrong.
    """
    section = request.section("generator")
    # run folders of earlier versions have no such key
    start = request.value("start")
    name, task = str(section.get("name")), part(section, "task")
    return request.settings(TrainGeneratorSettings, start=start, name=name, task=task)
