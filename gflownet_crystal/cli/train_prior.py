"""Train a prior: policies that make known crystals likely, to sample from and to start other trainings with.

Trajectories to known crystals are sampled backward and made likely forward. MP-20's val is kept apart, and its reduced
formulas. Metrics and checkpoints go to a run folder; a training that was stopped goes on with the same run.dir and
resume=true.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
from omegaconf import DictConfig

from gflownet_crystal.cli.data_tables import paths_of, read_prepared
from gflownet_crystal.cli.train_network import (
    loop_settings,
    open_training,
    still_falling,
    train,
    training_card,
    validation_curve,
)
from gflownet_crystal.common.progress import announced
from gflownet_crystal.config.build import build, plain, to_settings
from gflownet_crystal.config.parts import build_model, find_device, set_threads
from gflownet_crystal.config.priors import save_prior, stored_policy
from gflownet_crystal.config.starting import with_policy
from gflownet_crystal.config.values import path_setting
from gflownet_crystal.envs.crystal import Crystal
from gflownet_crystal.gflownet.model import GFlowNet
from gflownet_crystal.policies.residual import ResidualPolicy
from gflownet_crystal.structures.distributions import distributions
from gflownet_crystal.training.engine import Engine
from gflownet_crystal.training.networks import NetworkTraining
from gflownet_crystal.training.priors.data import PriorSplits, split_known
from gflownet_crystal.training.priors.matching import match_sizes
from gflownet_crystal.training.priors.task import PriorSettings, PriorTask
from gflownet_crystal.workflows.sampling import BUILDING


def run(config: DictConfig) -> None:
    """The verb ``train_prior``."""
    with open_training(config, "prior", "policy") as (folder, chosen, out):
        _run(folder, chosen, out)


def _run(folder: Path, config: DictConfig, out: Path) -> None:
    card = train_weights(folder, config, out)
    print(json.dumps({"weights": str(out), "validation": card["validation"]}, indent=2))


def train_weights(folder: Path, config: DictConfig, out: Path) -> dict[str, Any]:
    """Train, or go on with the newest checkpoint of the folder, and write the weights.

    Args:
        folder: folder of the run.
        config: configuration of ``train_prior``, resolved.
        out: weights file.

    Returns:
        The card.

    Raises:
        TrainingStopped: the user interrupted; a checkpoint is there.
    """
    loop_settings(config)
    settings = to_settings(PriorSettings, config.task, "task")
    set_threads(config.threads)
    device = find_device(config.device)
    with announced(BUILDING, quiet=config.quiet):
        env = build(config.env, Crystal, "env").to(device)
    stored = None if config.start is None else stored_policy(path_setting(config.start, "start"))
    config = with_policy(config, stored)
    model = build_model(config, env, device) if stored is None else stored.model(env, device)
    splits = _read(config, env, settings)
    task = PriorTask(model, splits, settings)
    engine = train(task, config, folder, "train_prior")
    model, policy = folded(model, plain(config.policy))
    task.model = model
    for number, iterations in enumerate(settings.matching):
        match_sizes(model, env.objects(splits.train.own), iterations, config.seed + number, config.quiet)
    card = _card(config, task, splits, engine)
    if stored is not None:
        kept = ("command", "samples", "samples_seen", "started_from")
        card["started_from"] = {name: stored.card[name] for name in kept if name in stored.card}
    save_prior(out, model, policy, card)
    return card


def _read(config: DictConfig, env: Crystal, settings: PriorSettings) -> PriorSplits:
    table = read_prepared(paths_of(config.data, "data"), config.quiet)
    more: pd.DataFrame | None = None
    if config.more is not None:
        more = read_prepared(paths_of(config.more, "more"), config.quiet)
    splits = split_known(table, more, env, settings.limit, config.holdout, config.seed)
    if not config.quiet:
        for purpose, known in (("learn from", splits.train), ("validate on", splits.validation)):
            print(f"{known.terminal.n} of {known.n_read} crystals to {purpose} lie in the space")
    return splits


def folded(model: GFlowNet, policy: dict[str, Any]) -> tuple[GFlowNet, dict[str, Any]]:
    """The model without descriptors and dropout, and the section ``policy`` that describes it."""
    forward = model.forward_policy
    if isinstance(forward, ResidualPolicy):
        model.forward_policy = forward.folded()
        policy = {**policy, "forward": {**policy["forward"], "descriptors": False, "dropout": 0.0}}
    return model.eval(), policy


def _card(
    config: DictConfig, task: PriorTask, splits: PriorSplits, engine: Engine[NetworkTraining]
) -> dict[str, Any]:
    curve = validation_curve(engine)
    paths = [
        path for key in ("data", "more") if config[key] is not None for path in paths_of(config[key], key)
    ]
    figures = task.figures()
    return {
        "unit": "nats",
        **training_card(config, engine, "train_prior", paths, {"name": "policy"}),
        "env": plain(config.env),
        "task": plain(config.task),
        "crystals": {"train": splits.train.terminal.n, "validation": splits.validation.terminal.n},
        "validation": figures,
        "distributions": {
            "train": distributions(task.model.env.objects(splits.train.own)),
            "validation": distributions(task.model.env.objects(splits.validation.terminal)),
        },
        "validation_curve": curve,
        "curve_still_falling": still_falling([record["val_nll"] for record in curve]),
    }
