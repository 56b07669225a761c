"""Training of a prior: policies that make known crystals likely, and their model card."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict

from gflownet_crystal.envs.crystal import Crystal
from gflownet_crystal.gflownet.model import GFlowNet
from gflownet_crystal.policies.residual import ResidualPolicy
from gflownet_crystal.structures.distributions import distributions
from gflownet_crystal.training.engine import Engine
from gflownet_crystal.training.networks import NetworkTraining
from gflownet_crystal.training.priors.data import PriorSplits, split_known
from gflownet_crystal.training.priors.matching import match_sizes
from gflownet_crystal.training.priors.task import PriorTask
from gflownet_crystal.workflows.data.tables import read_prepared
from gflownet_crystal.workflows.settings.training import TrainPriorSettings
from gflownet_crystal.workflows.training.run_folders import TrainingRun, still_falling, validation_figures


def train_prior(
    run: TrainingRun,
    settings: TrainPriorSettings,
    model: GFlowNet,
    space: Crystal,
    policy: Mapping[str, object],
    env: Mapping[str, object],
) -> tuple[GFlowNet, dict[str, object], dict[str, object]] | None:
    """Train policies of crystals, or go on with the newest checkpoint of the folder.

    Args:
        run: the run.
        settings: settings of ``train_prior``.
        model: policies before the training.
        space: their environment.
        policy: section of the configuration that describes the policies.
        env: section of the configuration that describes the environment.

    Returns:
        The trained policies, the section that describes them, and the card; None in a process that only helps another
        one to train.

    Raises:
        DataError: the data cannot be read, or none of their crystals lies in the space.
        TrainingStopped: the user interrupted; a checkpoint is there.
    """
    splits = _read(settings, space, run.quiet or not run.world.is_main)
    task = PriorTask(model, splits, settings.task)
    engine = run.train_network(task, settings)
    if not run.world.is_main:
        return None
    model, policy = folded(model, policy)
    task.model = model
    for number, iterations in enumerate(settings.task.matching):
        match_sizes(
            model, space.objects(splits.train.own), iterations, settings.seed + number, settings.quiet
        )
    return model, policy, _card(run, settings, env, task, splits, engine)


def _read(settings: TrainPriorSettings, env: Crystal, quiet: bool) -> PriorSplits:
    table = read_prepared(settings.data, quiet)
    more = None if settings.more is None else read_prepared(settings.more, quiet)
    splits = split_known(table, more, env, settings.task.limit, settings.holdout, settings.seed)
    if not quiet:
        for purpose, known in (("learn from", splits.train), ("validate on", splits.validation)):
            sys.stdout.write(f"{known.terminal.n} of {known.n_read} crystals to {purpose} lie in the space\n")
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
