"""Train a network on atoms to predict formation energies, and write its weights with a model card.

MP-20's validation set and a share of all reduced formulas are held out; no training crystal has one of their formulas.
Metrics and checkpoints go to a run folder; a training that was stopped goes on with the same run.dir and resume=true.
start=FILE begins with earlier weights; with loop.epochs=0 only their uncertainty is calibrated again.
"""

from __future__ import annotations

import json

from gflownet_crystal.config.request import Request, open_training
from gflownet_crystal.training.distributed import join_world
from gflownet_crystal.workflows.data.tables import read_crystals
from gflownet_crystal.workflows.settings.training import TrainEnergySettings
from gflownet_crystal.workflows.training.energies import train_energies


def run(request: Request) -> None:
    """The verb ``train_energy``; under ``torchrun`` several processes train together and the first one writes."""
    with (
        join_world() as world,
        open_training(request, settings_of, "energy", world=world) as (folder, chosen, settings, out),
    ):
        card = train_energies(
            chosen.training_run(folder, "train_energy", world),
            settings,
            out,
            lambda: read_crystals(settings.data, strained=settings.strained, seed=settings.seed),
        )
    if card is None:
        return
    shown = {key: card.get(key) for key in ("validation", "uncertainty", "test")}
    print(json.dumps({"weights": str(out), **shown}, indent=2))


def settings_of(request: Request) -> TrainEnergySettings:
    """Settings of ``train_energy``."""
    return request.settings(TrainEnergySettings, model=request.network())
