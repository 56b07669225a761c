"""Train a proxy's weights on labelled crystals, and write them with a model card.

MP-20's validation set and a share of all reduced formulas are held out; no training crystal has one of their formulas.
Metrics and checkpoints go to a run folder; a training that was stopped goes on with the same run.dir and resume=true.
"""

from __future__ import annotations

import json

from gflownet_crystal.common.devices import set_threads
from gflownet_crystal.config.request import Request, hold_recipe
from gflownet_crystal.training.proxies.recipe import Recipe
from gflownet_crystal.workflows.settings.training import TrainProxySettings
from gflownet_crystal.workflows.training.proxies import train_proxy


def run(request: Request) -> None:
    """The verb ``train_proxy``."""
    with hold_recipe(request, "proxy", request.choice("proxy"), sections=("proxy",)) as (folder, chosen):
        settings, name = chosen.settings(TrainProxySettings), chosen.choice("proxy")
        set_threads(settings.threads)
        training = chosen.training_run(folder, "train_proxy")
        figures = train_proxy(training, settings, chosen.build("training", Recipe), str(name or "proxy"))
    print(json.dumps(figures, indent=2))
