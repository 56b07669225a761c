"""Train a prior: policies that make known crystals likely, to sample from and to start other trainings with.

Trajectories to known crystals are sampled backward and made likely forward. MP-20's val is kept apart, and its reduced
formulas. Metrics and checkpoints go to a run folder; a training that was stopped goes on with the same run.dir and
resume=true.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path

from omegaconf import DictConfig

from gflownet_crystal.cli.data_tables import read_prepared
from gflownet_crystal.cli.weights_run import open_training
from gflownet_crystal.common.devices import find_device, set_threads
from gflownet_crystal.common.progress import announced
from gflownet_crystal.config.build import build, plain_section, verb_settings
from gflownet_crystal.config.parts import build_model
from gflownet_crystal.config.priors import save_prior, stored_policy
from gflownet_crystal.config.run_folder import training_run
from gflownet_crystal.config.starting import with_policy
from gflownet_crystal.envs.crystal import Crystal
from gflownet_crystal.gflownet.model import GFlowNet
from gflownet_crystal.policies.residual import ResidualPolicy
from gflownet_crystal.structures.distributions import distributions
from gflownet_crystal.training.engine import Engine
from gflownet_crystal.training.networks import NetworkTraining
from gflownet_crystal.training.priors.data import PriorSplits, split_known
from gflownet_crystal.training.priors.matching import match_sizes
from gflownet_crystal.training.priors.task import PriorTask
from gflownet_crystal.workflows.sampling import BUILDING
from gflownet_crystal.workflows.training_run import TrainingRun, still_falling, validation_figures
from gflownet_crystal.workflows.training_settings import TrainPriorSettings


def run(config: DictConfig) -> None:
    """The verb ``train_prior``."""
    with open_training(config, partial(verb_settings, TrainPriorSettings), "prior", "policy") as (
        folder,
        chosen,
        settings,
        out,
    ):
        card = train_weights(folder, chosen, settings, out)
    print(json.dumps({"weights": str(out), "validation": card["validation"]}, indent=2))


def train_weights(
    folder: Path, config: DictConfig, settings: TrainPriorSettings, out: Path
) -> dict[str, object]:
    """Train, or go on with the newest checkpoint of the folder, and write the weights.

    Args:
        folder: folder of the run.
        config: configuration of ``train_prior``, resolved: its environment and policies.
        settings: its settings.
        out: weights file.

    Returns:
        The card.

    Raises:
        TrainingStopped: the user interrupted; a checkpoint is there.
    """
    set_threads(settings.threads)
    device = find_device(settings.device)
    with announced(BUILDING, quiet=settings.quiet):
        env = build(config.env, Crystal, "env").to(device)
    stored = None if settings.start is None else stored_policy(settings.start)
    config = with_policy(config, stored)
    model = build_model(config, env, device) if stored is None else stored.model(env, device)
    splits = _read(settings, env)
    task = PriorTask(model, splits, settings.task)
    run = training_run(folder, "train_prior", config)
    engine = run.train_network(task, settings)
    model, policy = folded(model, plain_section(config.policy, "policy"))
    task.model = model
    for number, iterations in enumerate(settings.task.matching):
        match_sizes(model, env.objects(splits.train.own), iterations, settings.seed + number, settings.quiet)
    card = _card(run, settings, plain_section(config.env, "env"), task, splits, engine)
    if stored is not None:
        kept = ("command", "samples", "samples_seen", "started_from")
        card["started_from"] = {name: stored.card[name] for name in kept if name in stored.card}
    save_prior(out, model, policy, card)
    return card


def _read(settings: TrainPriorSettings, env: Crystal) -> PriorSplits:
    table = read_prepared(settings.data, settings.quiet)
    more = None if settings.more is None else read_prepared(settings.more, settings.quiet)
    splits = split_known(table, more, env, settings.task.limit, settings.holdout, settings.seed)
    if not settings.quiet:
        for purpose, known in (("learn from", splits.train), ("validate on", splits.validation)):
            print(f"{known.terminal.n} of {known.n_read} crystals to {purpose} lie in the space")
    return splits


def folded(model: GFlowNet, policy: Mapping[str, object]) -> tuple[GFlowNet, dict[str, object]]:
    """The model without descriptors and dropout, and the section ``policy`` that describes it."""
    forward, section = model.forward_policy, policy.get("forward")
    if isinstance(forward, ResidualPolicy) and isinstance(section, Mapping):
        model.forward_policy = forward.folded()
        policy = {**policy, "forward": {**section, "descriptors": False, "dropout": 0.0}}
    return model.eval(), dict(policy)


def _card(
    run: TrainingRun,
    settings: TrainPriorSettings,
    env: Mapping[str, object],
    task: PriorTask,
    splits: PriorSplits,
    engine: Engine[NetworkTraining],
) -> dict[str, object]:
    curve = validation_figures(engine)
    return {
        "unit": "nats",
        **run.card(settings, engine, {"name": "policy"}),
        "data": [path.name for path in (*settings.data, *(settings.more or ()))],
        "env": env,
        "task": asdict(settings.task),
        "crystals": {"train": splits.train.terminal.n, "validation": splits.validation.terminal.n},
        "validation": task.figures(),
        "distributions": {
            "train": distributions(task.model.env.objects(splits.train.own)),
            "validation": distributions(task.model.env.objects(splits.validation.terminal)),
        },
        "validation_curve": curve,
        "curve_still_falling": still_falling([record["val_nll"] for record in curve]),
    }
