"""Training of a prior from its configuration: its space and its policies, new or of earlier weights."""

from __future__ import annotations

from pathlib import Path

from gflownet_crystal.common.devices import find_device, set_threads
from gflownet_crystal.common.progress import announced
from gflownet_crystal.config.parts import build_model
from gflownet_crystal.config.priors import save_prior, stored_policy
from gflownet_crystal.config.request import Request
from gflownet_crystal.config.starting import with_policy
from gflownet_crystal.envs.crystal import Crystal
from gflownet_crystal.training.distributed import World
from gflownet_crystal.workflows.sampling.sampling import BUILDING
from gflownet_crystal.workflows.settings.training import TrainPriorSettings
from gflownet_crystal.workflows.training import priors as prior_training

_OF_THE_START = ("command", "samples", "samples_seen", "started_from")


def train_prior(
    folder: Path, request: Request, settings: TrainPriorSettings, out: Path, world: World | None = None
) -> dict[str, object] | None:
    """Train, or go on with the newest checkpoint of the folder, and write the weights.

    Args:
        folder: folder of the run.
        request: request with the environment and the policies.
        settings: settings of ``train_prior``.
        out: weights file.
        world: processes that train together; None for this one alone.

    Returns:
        The card; None in a process that only helps another one to train.

    Raises:
        TrainingStopped: the user interrupted; a checkpoint is there.
    """
    world = world or World()
    set_threads(settings.threads)
    device = find_device(settings.device)
    with announced(BUILDING, quiet=settings.quiet or not world.is_main):
        env = request.build("env", Crystal).to(device)
    stored = None if settings.start is None else stored_policy(settings.start)
    config = with_policy(request.resolved, stored)
    model = build_model(config, env, device) if stored is None else stored.model(env, device)
    policy, run = request.section("policy"), request.training_run(folder, "train_prior", world)
    trained = prior_training.train_prior(run, settings, model, env, policy, request.section("env"))
    if trained is None:
        return None
    model, policy, card = trained
    if stored is not None:
        card["started_from"] = {name: stored.card[name] for name in _OF_THE_START if name in stored.card}
    save_prior(out, model, policy, card)
    return card
