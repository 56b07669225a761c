"""Train a network to make crystals again from noisy positions without a lattice, and write its weights with a card.

With task=lattice positions are clean and only the lattice is made. MP-20's val is kept apart, and its reduced formulas.
Metrics and checkpoints go to a run folder; a training that was stopped goes on with the same run.dir and resume=true.
"""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from gflownet_crystal.cli.data_tables import read_crystals
from gflownet_crystal.cli.weights_run import network_choice, open_training
from gflownet_crystal.common.devices import find_device, set_threads
from gflownet_crystal.config.build import to_settings, verb_settings
from gflownet_crystal.config.run_folder import training_run
from gflownet_crystal.models.denoiser import KIND, Denoiser
from gflownet_crystal.models.registry import build_network
from gflownet_crystal.training.energies.denoising_task import (
    VALIDATION_SEED,
    DenoisingSettings,
    DenoisingTask,
    Puzzles,
    reconstruction_figures,
)
from gflownet_crystal.training.energies.labelled import split_labelled
from gflownet_crystal.training.engine import Engine
from gflownet_crystal.training.networks import NetworkTraining
from gflownet_crystal.weights import save_weights
from gflownet_crystal.workflows.training_run import TrainingRun, still_falling, validation_figures
from gflownet_crystal.workflows.training_settings import TrainDenoiserSettings


def run(config: DictConfig) -> None:
    """The verb ``train_denoiser``."""
    with open_training(config, settings_of, "denoiser") as (folder, chosen, settings, out):
        card = _train(training_run(folder, "train_denoiser", chosen), settings, out)
    shown = {"weights": str(out), "validation": card["validation"], "test": card.get("test")}
    print(json.dumps(shown, indent=2))


def settings_of(config: DictConfig) -> TrainDenoiserSettings:
    """Settings of ``train_denoiser`` from its resolved configuration.

    Raises:
        ConfigError: a value is wrong.
    """
    chosen = OmegaConf.create({"task": config.task, **config.denoising})
    denoising, model = to_settings(DenoisingSettings, chosen, "denoising"), network_choice(config.model)
    if denoising.task == "lattice" and "displacement" in model.settings:
        # heads that nothing is asked of would learn nothing
        model = replace(model, settings={**model.settings, "displacement": False})
    parts = {"denoising": denoising, "model": model, "volumes": config.model.volumes}
    return verb_settings(TrainDenoiserSettings, config, start=None, **parts)


def _train(run: TrainingRun, settings: TrainDenoiserSettings, out: Path) -> dict[str, object]:
    """Train, and write the weights; their card."""
    device, sigma = find_device(settings.device), settings.denoising.sigma
    set_threads(settings.threads)
    network = build_network(settings.model.name, settings.model.settings, settings.seed)
    model = Denoiser(network, settings.volumes).to(device)
    splits = split_labelled(read_crystals(settings.data), settings.holdout, max_atoms=settings.max_atoms)
    task = DenoisingTask(model, splits, settings.denoising, settings.loop.half)
    engine = run.train_network(task, settings)
    card = _card(run, settings, engine)
    puzzles = Puzzles.of(splits.validation.structures, sigma)
    card["validation"] = {
        "n": len(splits.validation),
        "noise_seed": VALIDATION_SEED,
        **reconstruction_figures(model, puzzles),
        "without_a_network": task.baselines(puzzles),
    }
    tests: dict[str, object] = {}
    for path in settings.test or ():
        puzzles = Puzzles.of(read_crystals([path]).structures, sigma)
        tests[path.name] = {"n": len(puzzles.clean), **reconstruction_figures(model, puzzles)}
    if tests:
        card["test"] = tests
    tensors: dict[str, Tensor] = dict(model.state_dict())
    save_weights(out, tensors, card, half=True)
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
        "volumes": settings.volumes,
        "unit": "lengths Å, angles degrees, pos fractional, pos_angstrom Å",
        **run.card(settings, engine, settings.model.entry),
        "validation_curve": curve,
        "curve_still_falling": still_falling([figures["lengths"] for figures in curve]),
    }
