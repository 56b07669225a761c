"""Train the network of a generator, and write its weights with a model card.

The energies of the crystals are not read. The validation set of MP-20 and all crystals with its reduced formulas are
never trained on. Metrics and checkpoints go to a run folder; a training that was stopped goes on with the same run.dir
and resume=true. start=FILE begins with earlier weights of the same network; generator=assignments keeps its table of
prototypes and adds those of the crystals.
"""

from __future__ import annotations

import json

from gflownet_crystal.config.request import Request, open_training
from gflownet_crystal.config.trained_generators import generator_settings, trained_generator
from gflownet_crystal.workflows.data.tables import read_crystals
from gflownet_crystal.workflows.training.generators import train_generator


def run(request: Request) -> None:
    """The verb ``train_generator``."""
    with open_training(request, generator_settings, "generator", "generator") as (
        folder,
        chosen,
        settings,
        out,
    ):
        trained = trained_generator(chosen, settings)
        card = train_generator(
            chosen.training_run(folder, "train_generator"),
            settings,
            trained,
            out,
            lambda: read_crystals(settings.data, one_scheme=False),
        )
    print(json.dumps({"weights": str(out), "validation": card["validation"]}, indent=2))
