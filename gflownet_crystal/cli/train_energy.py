"""Train a network on atoms to predict formation energies, and write its weights with a card of what they are.

MP-20's val and a share of all reduced formulas are kept apart; what is trained on holds none of their formulas. Metrics
and checkpoints go to a run folder; a training that was stopped goes on with the same run.dir and resume=true.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from gflownet_crystal.cli.build import to_settings
from gflownet_crystal.cli.compose import resolved
from gflownet_crystal.cli.data_tables import paths_of
from gflownet_crystal.cli.interrupt import stop_on_signal
from gflownet_crystal.cli.parts import find_device, set_threads
from gflownet_crystal.cli.run_folder import latest, open_folder, write_config
from gflownet_crystal.cli.train_proxy import without_folders
from gflownet_crystal.cli.values import check_writable, flag, whole_number
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.common.metrics import read_metrics
from gflownet_crystal.models.energy import EnergyModel
from gflownet_crystal.models.registry import build_network
from gflownet_crystal.training.energy_task import EnergyTask, error_figures
from gflownet_crystal.training.labelled import Splits, read_labelled, split_labelled
from gflownet_crystal.training.loop import METRICS, Loop, TrainingStopped
from gflownet_crystal.training.settings import LoopSettings
from gflownet_crystal.weights import save_weights

KIND = "structure_energy"
_SECTIONS = ("model", "loop", "record")


def run(config: DictConfig) -> None:
    """The verb ``train_energy``."""
    folder = _folder(config)
    config = resolved(open_folder(folder, config, _SECTIONS)[0])
    out = Path(config.out or folder / "weights.safetensors")
    _check_values(config, out)
    loop_settings = to_settings(LoopSettings, config.loop, "loop")
    device = find_device(config.device)
    set_threads(config.threads)
    network = build_network(config.model.name, _plain(config.model.settings), config.seed)
    paths = paths_of(config.data, "data")
    tests = {} if config.test is None else {path.name: path for path in paths_of(config.test, "test")}
    splits = split_labelled(read_labelled(paths), config.holdout, max_atoms=config.max_atoms)
    model = EnergyModel(network).to(device)
    task = EnergyTask(model, splits, config.legacy_weight, half=loop_settings.half)
    loop = Loop(task, loop_settings, folder, config.seed, config.quiet)
    checkpoint = latest(folder)
    if checkpoint is not None:
        loop.restore(checkpoint)
    write_config(folder, config)
    try:
        with stop_on_signal() as should_stop:
            loop.train(should_stop)
    except TrainingStopped as stop:
        raise TrainingStopped(
            f"{stop}, a checkpoint is in {folder}; "
            f"go on with: gflownet-crystal train_energy run.dir={folder} resume=true"
        ) from stop
    loop.finish()
    card = _card(config, loop, splits, [path.name for path in paths])
    card["validation"] = _validation(model, splits)
    if tests:
        card["test"] = {name: error_figures(model, read_labelled([path])) for name, path in tests.items()}
    tensors: dict[str, Tensor] = dict(model.state_dict())
    save_weights(out, tensors, card, half=True)
    shown = {"weights": str(out), "validation": card["validation"], "test": card.get("test")}
    print(json.dumps(shown, indent=2))


def _folder(config: DictConfig) -> Path:
    if config.run.dir is not None:
        return Path(str(config.run.dir))
    return Path("runs") / f"energy_{config.record.choices.get('model')}_{config.seed}"


def _check_values(config: DictConfig, out: Path) -> None:
    whole_number(config.seed, "seed", 0)
    for key in ("resume", "trust", "quiet"):
        flag(config[key], key)
    if config.max_atoms is not None:
        whole_number(config.max_atoms, "max_atoms", 1)
    for key, limit in (("holdout", 1.0), ("legacy_weight", float("inf"))):
        value = config[key]
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value < limit:
            raise ConfigError(f"{key} must be a number from 0 to below {limit}, not {value!r}")
    if out.suffix != ".safetensors":
        raise ConfigError(f"out must end in .safetensors, not {out.name!r}")
    check_writable(out)


def _card(config: DictConfig, loop: Loop, splits: Splits, files: list[str]) -> dict[str, Any]:
    records = [record for record in read_metrics(loop.run_dir / METRICS) if "validation" in record]
    curve = [record["validation"]["mae"] for record in records]
    words = [without_folders(str(word)) for word in config.record.command]
    return {
        "kind": KIND,
        "property": "formation_energy_per_atom",
        "unit": "eV/atom",
        "network": {"name": config.model.name, "settings": _plain(config.model.settings)},
        "loop": _plain(config.loop),
        "seed": config.seed,
        "max_atoms": config.max_atoms,
        "structures": len(splits.train),
        "samples_seen": loop.samples,
        "training_seconds": round(loop.seconds),
        "validation_curve": curve,
        "curve_still_falling": len(curve) > 1 and curve[-1] < min(curve[:-1]),
        "data": files,
        "command": shlex.join(["train_energy", *words]),
    }


def _validation(model: EnergyModel, splits: Splits) -> dict[str, Any]:
    """Errors on what was kept apart, and on validation with and without the formulas that MP-20's train shares."""
    figures = {"validation": error_figures(model, splits.validation)}
    if len(splits.holdout):
        figures["holdout"] = error_figures(model, splits.holdout)
    return figures


def _plain(section: DictConfig) -> Mapping[str, Any]:
    plain: Any = OmegaConf.to_container(section, resolve=True)
    return plain if isinstance(plain, dict) else {}
