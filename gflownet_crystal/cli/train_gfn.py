"""Train a GFlowNet against a proxy, sample from it, and write the best candidates.

Everything goes to one run folder: configuration, metrics, checkpoints, samples, figures and a summary. A training that
was stopped goes on with the same run.dir and resume=true.

Several properties at once are a list of proxies and a wish for each, as in proxy=[mlp,band_gap]
reward.band_gap.window=[1.2,1.6]; the help of a command with a list shows the keys of each.
"""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from gflownet_crystal.cli.results import write_results
from gflownet_crystal.cli.screened import screening_settings
from gflownet_crystal.cli.weights_run import stoppable
from gflownet_crystal.common.locks import lock_folder
from gflownet_crystal.config.build import Trust, plain_section
from gflownet_crystal.config.compose import require_section, resolved
from gflownet_crystal.config.parts import Parts, check_fit
from gflownet_crystal.config.run_folder import default_folder, open_folder, write_config
from gflownet_crystal.config.training import prepare_training
from gflownet_crystal.config.values import check_whole, flag, formats_setting, seed_number
from gflownet_crystal.training.base import Training
from gflownet_crystal.training.distributed import World, join_world
from gflownet_crystal.training.engine import Engine
from gflownet_crystal.training.samplers.training import SamplerTraining

_SECTIONS = ("trainer", "run", "dataset", "samples", "export", "record")


def run(config: DictConfig) -> None:
    """The verb ``train_gfn``; under ``torchrun`` several processes train together and the first one writes."""
    folder = default_folder(config)
    with join_world() as world, lock_folder(folder) if world.is_main else nullcontext():
        _run(config, folder, world)


def _run(config: DictConfig, folder: Path, world: World) -> None:
    config, trust = open_folder(folder, config)
    check_fit(config, trust)
    config = resolved(config)
    _check_values(config)
    parts, training = train_sampler(config, folder, trust, world)
    if world.is_main:
        write_results(folder, config, parts, training, trust)


def train_sampler(
    config: DictConfig, folder: Path, trust: Trust, world: World | None = None
) -> tuple[Parts, Training]:
    """Train, or go on with the newest checkpoint of the folder.

    Args:
        config: configuration of the run, resolved; its section ``policy`` becomes that of the weights it starts from.
        folder: folder of the run; nothing is written there before all of the configuration was found to be right.
        trust: classes from outside the package that may be imported.
        world: processes that train together; None for this one alone.

    Returns:
        The parts, with trained weights, and the finished training.

    Raises:
        TrainingStopped: the user interrupted; a checkpoint is there.
    """
    world = World() if world is None else world
    config, parts, engine, note = prepare_training(config, folder, trust, world)
    if note is not None and world.is_main:
        print(f"warning: {note}", file=sys.stderr)
    # nothing is written before everything above was found to be right, by every process
    world.wait()
    if world.is_main:
        write_config(folder, config)
    _train(engine, parts, folder, config)
    engine.training.finish()
    return parts, engine.training


def _train(engine: Engine[SamplerTraining], parts: Parts, folder: Path, config: DictConfig) -> None:
    training = engine.training
    if training.done and not engine.quiet:
        print(f"resuming {folder} after iteration {training.done}")
    if training.is_finished:
        return
    if not engine.quiet and (words := parts.reward.function.describe()):
        print(words)
    with stoppable("train_gfn", folder, config) as should_stop:
        engine.train(should_stop)


def _check_values(config: DictConfig) -> None:
    for key in ("resume", "trust", "quiet"):
        flag(config[key], key)
    for key in _SECTIONS:
        require_section(config.get(key), key)
    for key in ("seed", "samples.seed"):
        OmegaConf.update(config, key, seed_number(OmegaConf.select(config, key), key))
    check_whole(config, "export.k", 0)
    formats_setting(config.export.get("format"), "export.format")
    if "screening" in config:
        screening_settings(
            plain_section(config.screening, "screening"), True, True, True, k=max(1, config.export.k)
        )
    for key in ("samples.n", "samples.batch_size"):
        check_whole(config, key, 1)
