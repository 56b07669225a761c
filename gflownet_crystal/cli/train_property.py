"""Train a predictor of a property, of specs or of crystals with atoms, on a column of labels; write its weights.

Labels stand beside the crystals (a column of a table, a value of a JSON or extended XYZ file) or in a table of their
own, labels=FILE, with the names of the crystals in material_id. MP-20's validation set and a share of all reduced
formulas are held out. The weights are used as proxy=property proxy.weights=FILE; those of training=property_atoms,
which reads the positions of the atoms too, as generate properties=FILE.
"""

from __future__ import annotations

import json

import pandas as pd

from gflownet_crystal.common.devices import set_threads
from gflownet_crystal.config.request import Request, hold_recipe
from gflownet_crystal.data.joined_labels import with_joined_labels
from gflownet_crystal.training.proxies.recipe import Recipe
from gflownet_crystal.workflows.settings.training import TrainPropertySettings
from gflownet_crystal.workflows.training.proxies import train_proxy


def run(request: Request) -> None:
    """The verb ``train_property``."""
    with hold_recipe(request, request.stated("property"), request.choice("training")) as (folder, chosen):
        settings = chosen.settings(TrainPropertySettings)
        labels, name = settings.labels, settings.property

        def joined(table: pd.DataFrame) -> pd.DataFrame:
            return table if labels is None else with_joined_labels(table, labels, name)

        set_threads(settings.threads)
        training = chosen.training_run(folder, "train_property")
        figures = train_proxy(training, settings, chosen.build("training", Recipe), name, joined)
    print(json.dumps(figures, indent=2))
