"""Train a property of specs on a column of labels, and write its weights with a card.

Labels stand beside the crystals (a column of a table, a value of a JSON or extended XYZ file) or in a table of their
own, labels=FILE, with the names of the crystals in material_id. MP-20's val and a share of all reduced formulas are
kept apart. The weights are used as proxy=property proxy.weights=FILE.
"""

from __future__ import annotations

import pandas as pd
from omegaconf import DictConfig

from gflownet_crystal.cli.train_proxy import train_weights
from gflownet_crystal.cli.weights_run import run_folder
from gflownet_crystal.common.locks import lock_folder
from gflownet_crystal.config.compose import resolved
from gflownet_crystal.config.run_folder import open_folder
from gflownet_crystal.config.values import path_setting
from gflownet_crystal.data.joined_labels import with_joined_labels


def run(config: DictConfig) -> None:
    """The verb ``train_property``."""
    folder = run_folder(config, str(config.property), "training", config.training.get("seed", 0))
    with lock_folder(folder):
        config, trust = open_folder(folder, config, ("training", "record"))
        config = resolved(config)
        labels = None if config.labels is None else path_setting(config.labels, "labels")

        def joined(table: pd.DataFrame) -> pd.DataFrame:
            return table if labels is None else with_joined_labels(table, labels, str(config.property))

        train_weights("train_property", folder, config, trust, str(config.property), joined)
