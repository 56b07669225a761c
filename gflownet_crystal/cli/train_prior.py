"""Train a prior: a sampler of known crystals, to sample from and to start other trainings with.

Trajectories to known crystals are sampled backward, and the policy learns to make them likely forward. The validation
set of MP-20 and all crystals with its reduced formulas are never trained on. Metrics and checkpoints go to a run
folder; a training that was stopped goes on with the same run.dir and resume=true.
"""

from __future__ import annotations

import json

from gflownet_crystal.config.prior_training import train_prior
from gflownet_crystal.config.request import Request, open_training
from gflownet_crystal.training.distributed import join_world
from gflownet_crystal.workflows.settings.training import TrainPriorSettings


def run(request: Request) -> None:
    """The verb ``train_prior``; under ``torchrun`` several processes train together and the first one writes."""
    with (
        join_world() as world,
        open_training(request, settings_of, "prior", "policy", world) as (folder, chosen, settings, out),
    ):
        card = train_prior(folder, chosen, settings, out, world)
    if card is not None:
        print(json.dumps({"weights": str(out), "validation": card["validation"]}, indent=2))


def settings_of(request: Request) -> TrainPriorSettings:
    """Settings of ``train_prior``."""
    return request.settings(TrainPriorSettings)
