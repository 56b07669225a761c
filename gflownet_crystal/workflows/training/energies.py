"""Training of networks on atoms for formation energies: structures in, weights and their model card out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from torch import Tensor

from gflownet_crystal.common.devices import find_device, set_threads
from gflownet_crystal.common.run_schema import ENERGY_COLUMN
from gflownet_crystal.models.energies.energy import EnergyModel
from gflownet_crystal.models.energies.trained import KIND, UNCERTAINTY
from gflownet_crystal.models.energies.uncertainty import LatentDistance
from gflownet_crystal.models.registry import build_network
from gflownet_crystal.training.energies.calibration import Judged, calibrate, judge
from gflownet_crystal.training.energies.labelled import LabelledStructures, Splits, split_labelled
from gflownet_crystal.training.energies.task import EnergyTask, error_figures, figures_of
from gflownet_crystal.training.engine import Engine
from gflownet_crystal.training.networks import NetworkTraining
from gflownet_crystal.weights import half_tensors, round_to_half, save_weights
from gflownet_crystal.workflows.data.tables import read_crystals
from gflownet_crystal.workflows.settings.training import TrainEnergySettings
from gflownet_crystal.workflows.training.run_folders import (
    TrainingRun,
    begin_with,
    start_entry,
    still_falling,
    validation_figures,
)


def train_energies(
    run: TrainingRun, settings: TrainEnergySettings, out: Path, read: Callable[[], LabelledStructures]
) -> dict[str, object] | None:
    """Train, or go on with the newest checkpoint of the folder, and write the weights.

    Args:
        run: the run.
        settings: settings of ``train_energy``.
        out: weights file.
        read: function that gives the structures; called once the settings are checked.

    Returns:
        The card; None in a process that only helps another one to train.

    Raises:
        TrainingStopped: the user interrupted; a checkpoint is there.
    """
    device = find_device(settings.device)
    set_threads(settings.threads)
    network = build_network(settings.model.name, settings.model.settings, settings.seed)
    data = read()
    splits = split_labelled(data, settings.holdout, max_atoms=settings.max_atoms)
    model = EnergyModel(network).to(device)
    task = EnergyTask(model, splits, settings.legacy_weight, settings.loop.half)
    earlier = _start(settings, model)
    engine = run.train_network(task, settings)
    if not run.world.is_main:
        return None
    round_to_half(model)
    card = _card(run, settings, engine, earlier)
    validation, holdout = judge(model, splits.validation), judge(model, splits.holdout)
    card["validation"] = _validation(splits, validation, holdout, data)
    uncertainty, card["uncertainty"] = calibrate(model, splits.train, validation, holdout, settings.seed)
    if settings.test:
        card["test"] = {path.name: error_figures(model, read_crystals([path])) for path in settings.test}
    save_weights(out, _stored(model, uncertainty), card)
    return card


def _start(settings: TrainEnergySettings, model: EnergyModel) -> Mapping[str, object] | None:
    """Give a model the weights of ``start``; returns their card."""
    if settings.start is None:
        return None
    return begin_with(model, settings.start, KIND, settings.model, apart=(UNCERTAINTY,))


def _stored(model: EnergyModel, uncertainty: LatentDistance | None) -> dict[str, Tensor]:
    state = {} if uncertainty is None else uncertainty.state_dict()
    return half_tensors(model) | {UNCERTAINTY + name: tensor for name, tensor in state.items()}


def _card(
    run: TrainingRun,
    settings: TrainEnergySettings,
    engine: Engine[NetworkTraining],
    earlier: Mapping[str, object] | None,
) -> dict[str, object]:
    if earlier is not None and settings.loop.epochs == 0:
        return {**earlier, "calibrated_by": run.command}
    curve = [figures["mae"] for figures in validation_figures(engine, "mae")]
    own = {
        "kind": KIND,
        "property": ENERGY_COLUMN,
        "unit": "eV/atom",
        **run.card(settings, engine, settings.model.entry),
        "validation_curve": curve,
        "curve_still_falling": still_falling(curve),
    }
    if earlier is None:
        return own
    return {**own, "start": start_entry(earlier)}


def _validation(
    splits: Splits, validation: Judged, holdout: Judged, data: LabelledStructures
) -> dict[str, object]:
    """Errors on the held-out crystals, and on validation without the formulas in MP-20's training set."""
    error, source = validation.error.numpy(), splits.validation.source
    figures: dict[str, object] = {"validation": figures_of(error, source)}
    new = ~np.isin(splits.validation.formula, data.formula[data.split == "train"])
    if 0 < new.sum() < len(new):
        figures["validation_formulas_not_in_mp20_train"] = figures_of(error[new], source[new])
    if len(splits.holdout):
        figures["holdout"] = figures_of(holdout.error.numpy(), splits.holdout.source)
    return figures
