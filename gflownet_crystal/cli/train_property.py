"""Train a property of specs, or of crystals with atoms, on a column of labels; write its weights with a card.

Labels stand beside the crystals (a column of a table, a value of a JSON or extended XYZ file) or in a table of their
own, labels=FILE, with the names of the crystals in material_id. MP-20's val and a share of all reduced formulas are
kept apart. The weights are used as proxy=property proxy.weights=FILE; with training=property_atoms, which reads the
places of the atoms too, as generate properties=FILE.
"""

from __future__ import annotations

import pandas as pd
from omegaconf import DictConfig

from gflownet_crystal.cli.train_proxy import build_recipe, train_weights
from gflownet_crystal.cli.weights_run import weights_folder
from gflownet_crystal.common.locks import lock_folder
from gflownet_crystal.config.build import verb_settings
from gflownet_crystal.config.compose import resolved
from gflownet_crystal.config.run_folder import open_folder, training_run
from gflownet_crystal.data.joined_labels import with_joined_labels
from gflownet_crystal.workflows.training_settings import TrainPropertySettings


def run(config: DictConfig) -> None:
    """The verb ``train_property``."""
    folder = weights_folder(config, str(config.property), "training", config.training.get("seed", 0))
    with lock_folder(folder):
        config, trust = open_folder(folder, config, ("training", "record"))
        config = resolved(config)
        settings = verb_settings(TrainPropertySettings, config)
        labels, name = settings.labels, settings.property

        def joined(table: pd.DataFrame) -> pd.DataFrame:
            return table if labels is None else with_joined_labels(table, labels, name)

        recipe = build_recipe(config, settings, trust)
        train_weights(training_run(folder, "train_property", config), settings, recipe, name, joined)
