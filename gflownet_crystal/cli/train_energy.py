"""Train a network on atoms to predict formation energies, and write its weights with a card of what they are.

MP-20's val and a share of all reduced formulas are kept apart; what is trained on holds none of their formulas. Metrics
and checkpoints go to a run folder; a training that was stopped goes on with the same run.dir and resume=true.
start=FILE begins with earlier weights; with loop.epochs=0 only their uncertainty is calibrated again.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig
from torch import Tensor

from gflownet_crystal.cli.data_tables import paths_of, read_crystals
from gflownet_crystal.cli.train_network import (
    check_number,
    loop_settings,
    open_training,
    still_falling,
    train,
    training_card,
    validation_curve,
)
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.common.run_schema import ENERGY_COLUMN
from gflownet_crystal.config.build import plain
from gflownet_crystal.config.parts import find_device, set_threads
from gflownet_crystal.config.values import path_setting
from gflownet_crystal.models.energies.energy import EnergyModel
from gflownet_crystal.models.energies.trained import KIND, UNCERTAINTY
from gflownet_crystal.models.energies.uncertainty import LatentDistance
from gflownet_crystal.models.registry import build_network, network_entry, settings_from
from gflownet_crystal.training.energies.calibration import Judged, calibrate, judge
from gflownet_crystal.training.energies.labelled import LabelledStructures, Splits, split_labelled
from gflownet_crystal.training.energies.task import EnergyTask, error_figures, figures_of
from gflownet_crystal.training.engine import Engine
from gflownet_crystal.training.networks import NetworkTraining
from gflownet_crystal.weights import load_weights, save_weights


def run(config: DictConfig) -> None:
    """The verb ``train_energy``."""
    with open_training(config, "energy") as (folder, chosen, out):
        _run(folder, chosen, out)


def _run(folder: Path, config: DictConfig, out: Path) -> None:
    paths = paths_of(config.data, "data")
    card = train_weights(
        folder, config, out, lambda: read_crystals(paths, strained=config.strained, seed=config.seed)
    )
    shown = {key: card.get(key) for key in ("validation", "uncertainty", "test")}
    print(json.dumps({"weights": str(out), **shown}, indent=2))


def train_weights(
    folder: Path, config: DictConfig, out: Path, read: Callable[[], LabelledStructures]
) -> dict[str, Any]:
    """Train, or go on with the newest checkpoint of the folder, and write the weights.

    Args:
        folder: folder of the run.
        config: configuration of ``train_energy``, resolved.
        out: weights file.
        read: function that gives the structures; called once the settings are checked.

    Returns:
        The card.

    Raises:
        TrainingStopped: the user interrupted; a checkpoint is there.
    """
    for key in ("legacy_weight", "strained"):
        check_number(config, key, float("inf"))
    half = loop_settings(config).half
    device = find_device(config.device)
    set_threads(config.threads)
    network = build_network(config.model.name, plain(config.model.settings), config.seed)
    paths = paths_of(config.data, "data")
    tests = {} if config.test is None else {path.name: path for path in paths_of(config.test, "test")}
    data = read()
    splits = split_labelled(data, config.holdout, max_atoms=config.max_atoms)
    model = EnergyModel(network).to(device)
    task = EnergyTask(model, splits, config.legacy_weight, half)
    earlier = _start(config, model)
    engine = train(task, config, folder, "train_energy")
    _round(model)
    card = _card(config, engine, paths, earlier)
    validation, holdout = judge(model, splits.validation), judge(model, splits.holdout)
    card["validation"] = _validation(splits, validation, holdout, data)
    uncertainty, card["uncertainty"] = calibrate(model, splits.train, validation, holdout, config.seed)
    if tests:
        card["test"] = {name: error_figures(model, read_crystals([path])) for name, path in tests.items()}
    save_weights(out, _stored(model, uncertainty), card)
    return card


def _start(config: DictConfig, model: EnergyModel) -> dict[str, Any] | None:
    """Give a model the weights of ``start``; returns their card.

    Raises:
        ConfigError: they are of another network.
        WeightsError: they are missing, corrupt or of another kind.
    """
    if config.start is None:
        return None
    tensors, card = load_weights(path_setting(config.start, "start"), KIND)
    name, stored = card["network"]["name"], card["network"]["settings"]
    kind = network_entry(name).settings
    same = name == config.model.name
    if not same or settings_from(kind, stored) != settings_from(kind, plain(config.model.settings)):
        raise ConfigError(
            f"start={config.start} holds a {name} of other settings: give model={name} and what its card says"
        )
    model.load_state_dict({k: v for k, v in tensors.items() if not k.startswith(UNCERTAINTY)})
    return card


def _round(model: EnergyModel) -> None:
    """Round parameters to the half precision that they are stored in, so that figures are those of the file."""
    for parameter in model.parameters():
        parameter.data.copy_(parameter.data.half())


def _stored(model: EnergyModel, uncertainty: LatentDistance | None) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = dict(model.state_dict())
    tensors |= {name: parameter.detach().half() for name, parameter in model.named_parameters()}
    if uncertainty is not None:
        tensors |= {UNCERTAINTY + name: tensor for name, tensor in uncertainty.state_dict().items()}
    return tensors


def _card(
    config: DictConfig, engine: Engine[NetworkTraining], paths: list[Path], earlier: dict[str, Any] | None
) -> dict[str, Any]:
    own = _training_card(config, engine, paths)
    if earlier is None:
        return own
    if config.loop.epochs == 0:
        return {**earlier, "calibrated_by": own["command"]}
    shown = {key: earlier.get(key) for key in ("command", "samples_seen", "training_seconds", "sha256")}
    return {**own, "start": shown}


def _training_card(config: DictConfig, engine: Engine[NetworkTraining], paths: list[Path]) -> dict[str, Any]:
    curve = validation_curve(engine, "mae")
    network = {"name": config.model.name, "settings": plain(config.model.settings)}
    return {
        "kind": KIND,
        "property": ENERGY_COLUMN,
        "unit": "eV/atom",
        **training_card(config, engine, "train_energy", paths, network),
        "validation_curve": curve,
        "curve_still_falling": still_falling(curve),
    }


def _validation(
    splits: Splits, validation: Judged, holdout: Judged, data: LabelledStructures
) -> dict[str, Any]:
    """Errors on what was kept apart, and on validation without the formulas that MP-20's own train shares."""
    error, source = validation.error.numpy(), splits.validation.source
    figures = {"validation": figures_of(error, source)}
    new = ~np.isin(splits.validation.formula, data.formula[data.split == "train"])
    if 0 < new.sum() < len(new):
        figures["validation_formulas_not_in_mp20_train"] = figures_of(error[new], source[new])
    if len(splits.holdout):
        figures["holdout"] = figures_of(holdout.error.numpy(), splits.holdout.source)
    return figures
