"""Train a network to restore crystals from noisy positions without a lattice, and write its weights with a card.

With task=lattice positions are clean and only the lattice is restored. The validation set of MP-20 and all crystals
with its reduced formulas are never trained on. Metrics and checkpoints go to a run folder; a training that was stopped
goes on with the same run.dir and resume=true. start=FILE begins with earlier weights.
"""

from __future__ import annotations

import json
from dataclasses import fields, replace

from gflownet_crystal.common.arguments import settings_from
from gflownet_crystal.config.request import Request, open_training
from gflownet_crystal.models.denoiser import DenoiserSettings
from gflownet_crystal.training.energies.denoising_task import DenoisingSettings
from gflownet_crystal.workflows.settings.training import TrainDenoiserSettings
from gflownet_crystal.workflows.training.denoisers import train_denoiser


def run(request: Request) -> None:
    """The verb ``train_denoiser``."""
    with open_training(request, settings_of, "denoiser") as (folder, chosen, settings, out):
        card = train_denoiser(chosen.training_run(folder, "train_denoiser"), settings, out)
    shown = {"weights": str(out), "validation": card["validation"], "test": card.get("test")}
    print(json.dumps(shown, indent=2))


def settings_of(request: Request) -> TrainDenoiserSettings:
    """Settings of ``train_denoiser``."""
    chosen = {"task": request.value("task"), **request.section("denoising")}
    denoising, model = settings_from(DenoisingSettings, chosen, "denoising"), request.network()
    if denoising.task == "lattice" and "displacement" in model.settings:
        # heads that nothing is asked of would learn nothing
        model = replace(model, settings={**model.settings, "displacement": False})
    section = request.section("model")
    passing = {one.name: section[one.name] for one in fields(DenoiserSettings) if one.name in section}
    parts: dict[str, object] = {
        "denoising": denoising,
        "model": model,
        "passing": settings_from(DenoiserSettings, passing, "model"),
    }
    if "cells" not in request.config:
        # a run folder of before the setting goes on with the cells it began with
        parts["cells"] = "stored"
    return request.settings(TrainDenoiserSettings, **parts)
