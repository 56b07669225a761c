"""Train a network to make crystals again from noisy positions without a lattice, and write its weights with a card.

With task=lattice positions are clean and only the lattice is made. MP-20's val is kept apart, and its reduced formulas.
Metrics and checkpoints go to a run folder; a training that was stopped goes on with the same run.dir and resume=true.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from gflownet_crystal.cli.data_tables import paths_of, read_crystals
from gflownet_crystal.cli.train_network import (
    loop_settings,
    open_training,
    still_falling,
    train,
    training_card,
    validation_curve,
)
from gflownet_crystal.config.build import plain, to_settings
from gflownet_crystal.config.parts import find_device, set_threads
from gflownet_crystal.config.values import flag
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


def run(config: DictConfig) -> None:
    """The verb ``train_denoiser``."""
    with open_training(config, "denoiser") as (folder, chosen, out):
        _run(folder, chosen, out)


def _run(folder: Path, config: DictConfig, out: Path) -> None:
    chosen = OmegaConf.create({"task": config.task, **config.denoising})
    settings = to_settings(DenoisingSettings, chosen, "denoising")
    half = loop_settings(config).half
    device = find_device(config.device)
    set_threads(config.threads)
    network_settings = dict(plain(config.model.settings))
    if settings.task == "lattice" and "displacement" in network_settings:
        # heads that nothing is asked of would learn nothing
        network_settings["displacement"] = False
    network = build_network(config.model.name, network_settings, config.seed)
    model = Denoiser(network, flag(config.model.volumes, "model.volumes")).to(device)
    paths = paths_of(config.data, "data")
    tests = [] if config.test is None else paths_of(config.test, "test")
    splits = split_labelled(read_crystals(paths), config.holdout, max_atoms=config.max_atoms)
    task = DenoisingTask(model, splits, settings, half)
    engine = train(task, config, folder, "train_denoiser")
    card = _card(config, engine, paths, network_settings)
    puzzles = Puzzles.of(splits.validation.structures, settings.sigma)
    card["validation"] = {
        "n": len(splits.validation),
        "noise_seed": VALIDATION_SEED,
        **reconstruction_figures(model, puzzles),
        "without_a_network": task.baselines(puzzles),
    }
    for path in tests:
        puzzles = Puzzles.of(read_crystals([path]).structures, settings.sigma)
        figures = {"n": len(puzzles.clean), **reconstruction_figures(model, puzzles)}
        card.setdefault("test", {})[path.name] = figures
    tensors: dict[str, Tensor] = dict(model.state_dict())
    save_weights(out, tensors, card, half=True)
    shown = {"weights": str(out), "validation": card["validation"], "test": card.get("test")}
    print(json.dumps(shown, indent=2))


def _card(
    config: DictConfig, engine: Engine[NetworkTraining], paths: list[Path], network_settings: dict[str, Any]
) -> dict[str, Any]:
    curve = validation_curve(engine, "lengths", "angles", "pos")
    network = {"name": config.model.name, "settings": network_settings}
    return {
        "kind": KIND,
        "task": config.task,
        "denoising": plain(config.denoising),
        "volumes": config.model.volumes,
        "unit": "lengths Å, angles degrees, pos fractional, pos_angstrom Å",
        **training_card(config, engine, "train_denoiser", paths, network),
        "validation_curve": curve,
        "curve_still_falling": still_falling([figures["lengths"] for figures in curve]),
    }
