"""A training of an energy network that ends in time and loses nothing: for minutes on a borrowed GPU.

    python -m benchmarks.gpu_training out=DIR data=FILE.parquet[,FILE.parquet...] [model=alignn] [minutes=7.0]
        [width=192] [atoms=4096] [strained=1.5] [max_atoms=20] [compile=true] [device=cuda] [seed=0]

FILEs are tables for ``train_energy data=``. The number of epochs fits the minutes at the rate of the first
steps, after the data are read and the kernels compiled. DIR/MODEL.safetensors, averaged weights in half precision
without their optimiser, is written again each minute with a card, so that whatever ends the program leaves weights; the
metrics are in DIR/run. Their uncertainty is calibrated afterwards, on any machine:

    gflownet-crystal train_energy start=DIR/MODEL.safetensors model=MODEL loop.epochs=0 data=... out=FILE

with the settings of the network that the card names. ALIGNN of width 192 (1.2 million parameters) took 47 ms for a step
of 4,096 atoms on an H100 (2026-11-27): 5.6 million crystals in ten minutes.
"""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from benchmarks.options import read_options, run
from gflownet_crystal.common.checkpoint import TrainingStopped
from gflownet_crystal.common.devices import find_device
from gflownet_crystal.config.build import plain
from gflownet_crystal.config.compose import compose_config
from gflownet_crystal.models.energies.energy import EnergyModel
from gflownet_crystal.models.energies.trained import KIND
from gflownet_crystal.models.registry import build_network
from gflownet_crystal.training.energies.labelled import read_labelled, split_labelled
from gflownet_crystal.training.energies.task import EnergyTask
from gflownet_crystal.training.engine import Engine
from gflownet_crystal.training.networks import NetworkTraining
from gflownet_crystal.training.settings import LoopSettings
from gflownet_crystal.weights import save_weights

_DEFAULTS = {"model": "alignn", "minutes": "7.0", "width": "192", "atoms": "4096", "strained": "1.5", "max_atoms": "20",
             "compile": "true", "device": "cuda", "seed": "0"}  # fmt: skip
_WARM_UP, _TIMED = 30, 60
# of the time, for validation and for steps slower than the first ones
_SPARE = 0.85
_SAVE_EVERY = 60.0


def main(arguments: list[str]) -> None:
    """Train, and print one JSON object."""
    begun = time.monotonic()
    options = read_options(__doc__, _DEFAULTS, arguments, required=["out", "data"])
    out, seed, end = Path(options["out"]), int(options["seed"]), begun + 60.0 * float(options["minutes"])
    config = compose_config("train_energy", [f"model={options['model']}", "data=none"])
    task, network = _task(options, config, seed)
    settings = _settings(options, 1)
    rate = _rate(task, settings, seed)
    epochs = max(1, int(_SPARE * (end - time.monotonic()) * rate / len(task.sizes)))
    settings = _settings(options, epochs)
    training = NetworkTraining(task, settings, seed)
    engine = Engine(training, out / "run", settings.checkpoint_every, quiet=True)
    card = {
        "kind": KIND,
        "property": "formation_energy_per_atom",
        "unit": "eV/atom",
        "network": network,
        "settings": {"epochs": epochs, "atoms": int(options["atoms"])},
        "structures": len(task.sizes),
    }
    try:
        engine.train(_watch(training, out / f"{options['model']}.safetensors", card, end))
    except TrainingStopped as stop:
        print(stop)
    path = _save(training, out / f"{options['model']}.safetensors", card)
    print(
        json.dumps({"weights": str(path), "crystals_per_s": round(rate), **card, "samples": training.samples})
    )


def _task(options: dict[str, str], config: DictConfig, seed: int) -> tuple[EnergyTask, dict[str, Any]]:
    """The task, and the name and settings of its network."""
    settings = dict(plain(config.model.settings))
    if "width" in settings:
        settings["width"] = int(options["width"])
    paths = [Path(path) for path in options["data"].split(",")]
    data = read_labelled(paths, strained=float(options["strained"]), seed=seed)
    splits = split_labelled(data, config.holdout, max_atoms=int(options["max_atoms"]))
    model = EnergyModel(build_network(options["model"], settings, seed)).to(find_device(options["device"]))
    return EnergyTask(model, splits, half=True), {"name": options["model"], "settings": settings}


def _settings(options: dict[str, str], epochs: int) -> LoopSettings:
    return LoopSettings(
        epochs=epochs,
        atoms=int(options["atoms"]),
        compile=options["compile"] == "true",
        validate_every=max(1, epochs // 10),
        checkpoint_every=1_000_000,
    )


def _rate(task: EnergyTask, settings: LoopSettings, seed: int) -> float:
    """Crystals a second of some steps of a copy of the model."""
    trial = copy.copy(task)
    trial.model = copy.deepcopy(task.model)
    training = NetworkTraining(trial, settings, seed)
    n_steps = min(_WARM_UP + _TIMED, training.steps)
    crystals, start = 0, time.monotonic()
    for step in range(n_steps):
        if step == min(_WARM_UP, n_steps // 3):
            crystals, start = 0, time.monotonic()
        # a step ends with a transfer of its figures, so the clock sees all of it
        training.take_step()
        crystals += training.n_items
    return crystals / (time.monotonic() - start)


def _watch(training: NetworkTraining, path: Path, card: dict[str, Any], end: float) -> Callable[[], bool]:
    """Function that saves weights now and then, and says whether the time is up."""
    saved = time.monotonic()

    def should_stop() -> bool:
        nonlocal saved
        now = time.monotonic()
        if now - saved > _SAVE_EVERY:
            _save(training, path, card)
            saved = now
        return now > end

    return should_stop


def _save(training: NetworkTraining, path: Path, card: dict[str, Any]) -> Path:
    tensors = dict(training.model.state_dict()) | training.optimizer.state()["average"]
    halved = {name: tensors[name].detach().half() for name in training.optimizer.named}
    save_weights(path, tensors | halved, {**card, "samples_seen": training.samples})
    return path


if __name__ == "__main__":
    run(main)
