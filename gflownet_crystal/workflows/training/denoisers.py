"""Training of networks that make crystals again from noisy positions: weights and their model card."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from gflownet_crystal.common.devices import find_device, set_threads
from gflownet_crystal.models.denoiser import KIND, Denoiser
from gflownet_crystal.models.registry import build_network
from gflownet_crystal.training.energies.denoising_task import (
    VALIDATION_SEED,
    DenoisingTask,
    Puzzles,
    reconstruction_figures,
)
from gflownet_crystal.training.energies.labelled import split_labelled
from gflownet_crystal.training.engine import Engine
from gflownet_crystal.training.networks import NetworkTraining
from gflownet_crystal.weights import save_weights
from gflownet_crystal.workflows.data.standard_cells import in_standard_cells
from gflownet_crystal.workflows.data.tables import read_crystals
from gflownet_crystal.workflows.settings.training import TrainDenoiserSettings
from gflownet_crystal.workflows.training.run_folders import (
    TrainingRun,
    begin_with,
    start_entry,
    still_falling,
    validation_figures,
)


def train_denoiser(run: TrainingRun, settings: TrainDenoiserSettings, out: Path) -> dict[str, object]:
    """Train, or go on with the newest checkpoint of the folder, and write the weights; returns the card.

    Args:
        run: the run.
        settings: settings of ``train_denoiser``.
        out: weights file.

    Raises:
        ConfigError: the weights to start from are of another network.
        TrainingStopped: the user interrupted; a checkpoint is there.
    """
    device, sigma = find_device(settings.device), settings.denoising.sigma
    set_threads(settings.threads)
    network = build_network(settings.model.name, settings.model.settings, settings.seed)
    model = Denoiser(network, settings.passing).to(device)
    data = read_crystals(settings.data)
    if settings.cells == "standard":
        data = in_standard_cells(data, settings.processes, settings.quiet)
    splits = split_labelled(data, settings.holdout, max_atoms=settings.max_atoms)
    earlier = None
    if settings.start is not None:
        earlier = begin_with(model, settings.start, KIND, settings.model)
    task = DenoisingTask(model, splits, settings.denoising, settings.loop.half)
    engine = run.train_network(task, settings)
    card = _card(run, settings, engine)
    if earlier is not None:
        card["start"] = start_entry(earlier)
    puzzles = Puzzles.of(splits.validation.structures, sigma)
    found: dict[str, object] = {
        "n": len(splits.validation),
        "noise_seed": VALIDATION_SEED,
        **reconstruction_figures(model, puzzles),
        "without_a_network": task.baselines(puzzles),
    }
    if sigma > 0.0:
        clean = Puzzles.of(splits.validation.structures, 0.0)
        found["from_clean_positions"] = reconstruction_figures(model, clean)
    card["validation"] = found
    tests: dict[str, object] = {}
    for path in settings.test or ():
        puzzles = Puzzles.of(read_crystals([path]).structures, sigma)
        tests[path.name] = {"n": len(puzzles.clean), **reconstruction_figures(model, puzzles)}
    if tests:
        card["test"] = tests
    save_weights(out, dict(model.state_dict()), card, half=True)
    return card


def _card(
    run: TrainingRun, settings: TrainDenoiserSettings, engine: Engine[NetworkTraining]
) -> dict[str, object]:
    curve = validation_figures(engine, "lengths", "angles", "pos")
    chosen = asdict(settings.denoising)
    return {
        "kind": KIND,
        "task": chosen.pop("task"),
        "denoising": chosen,
        "cells": settings.cells,
        "passing": asdict(settings.passing),
        "unit": "lengths Å, angles degrees, pos fractional, pos_angstrom Å",
        **run.card(settings, engine, settings.model.entry),
        "validation_curve": curve,
        "curve_still_falling": still_falling([figures["lengths"] for figures in curve]),
    }
