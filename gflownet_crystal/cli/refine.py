"""Learn from samples in rounds: place atoms, label them, train the spec proxy on them, and the sampler with it.

A round draws distinct samples of the sampler, places atoms, labels them by an energy network or a potential, measures
the spec proxy on the share that is never trained on, trains its weights on the others (and on known crystals), then the
sampler with the new weights. Each stage is kept on disk: a refinement that was stopped goes on with the same settings
and resume=true. The last round's run folder is a sampler as any other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from omegaconf import DictConfig

from gflownet_crystal.cli.data_tables import paths_of, read_crystals, read_prepared
from gflownet_crystal.cli.refine_engines import VerbEngines, know, named_energies, proxy_section
from gflownet_crystal.common.checkpoint import TrainingStopped
from gflownet_crystal.common.commands import setting_word
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.common.files import write_json
from gflownet_crystal.common.run_schema import SUMMARY, WEIGHTS
from gflownet_crystal.config.build import COMMAND_LINE, Trust, build, plain
from gflownet_crystal.config.compose import resolved
from gflownet_crystal.config.parts import find_device, set_threads
from gflownet_crystal.config.priors import stored_policy
from gflownet_crystal.config.run_folder import card_command
from gflownet_crystal.config.trained_runs import open_run
from gflownet_crystal.config.values import check_whole, flag, path_setting, seed_number, thread_count
from gflownet_crystal.data.schema import PREPARED_COLUMNS
from gflownet_crystal.generators.base import Generator
from gflownet_crystal.models.energies.trained import KIND as STRUCTURE_ENERGY
from gflownet_crystal.proxies.e_above_hull import load_hull
from gflownet_crystal.proxies.mlp import KIND
from gflownet_crystal.proxies.mlp_placing import KIND as PLACING
from gflownet_crystal.training.proxies.placed_figures import HIGHEST
from gflownet_crystal.training.proxies.placing_labels import KIND as LABELS
from gflownet_crystal.training.proxies.placing_labels import labels_file, read_labels
from gflownet_crystal.weights import load_weights, weights_path
from gflownet_crystal.workflows.output_folder import open_output
from gflownet_crystal.workflows.refining import ENERGIES, RUN, Refinement
from gflownet_crystal.workflows.refining_figures import RoundFigures, rounds_table
from gflownet_crystal.workflows.refining_parts import Learned, Refining

_DECISIVE = (
    "n", "held_out", "replay", "teacher", "energies", "tries", "relax_steps", "relax_best", "hull", "iterations",
    "known_samples", "earlier_labels", "energy_model", "prior", "stable", "volume_tolerance", "batch_size", "seed",
)  # fmt: skip
_TRAINED = (KIND, PLACING)
_SECTIONS = ("generator", "training", "energy_loop", "prior_loop")


def run(config: DictConfig) -> None:
    """The verb ``refine``."""
    config = resolved(config)
    settings = _settings(config)
    set_threads(config.threads)
    folder, engines = path_setting(config.out, "out"), _engines(config)
    start = _start(config, engines)
    known = read_prepared(engines.paths, config.quiet) if engines.paths else None
    earlier = _earlier_labels(config, engines, start)
    chosen = _decisive(config, start, engines.section, known) | {"labels": _hash_of(earlier)}
    teacher = None if config.teacher is None else str(config.teacher)
    refinement = Refinement(
        folder,
        settings,
        engines,
        teacher,
        # a card travels, the folders of one machine do not
        Path(start.energies if teacher is None else teacher).name,
        Path(start.energies).name,
        load_hull(str(config.hull)),
        (lambda line: None) if config.quiet else print,
        known,
        earlier,
        config.training.get("highest", HIGHEST),
        {"data": [path.name for path in engines.paths], "command": card_command("refine", config)},
    )
    with open_output(folder, chosen, flag(config.resume, "resume")):
        try:
            rounds = refinement.go(start)
        except TrainingStopped as stop:
            raise TrainingStopped(
                "what is done is kept; go on with the same command and resume=true"
            ) from stop
        last = refinement.folder(settings.rounds)
        write_json(folder / SUMMARY, _summary(last, rounds, settings))
    print(rounds_table(rounds))
    print(f"sampler {last / RUN}, spec proxy {last / WEIGHTS}; figures of each round in {folder / SUMMARY}")
    print(f"its candidates: gflownet-crystal train_gfn {setting_word('run.dir', last / RUN)} resume=true")


def _settings(config: DictConfig) -> Refining:
    """The settings of the rounds.

    Raises:
        ConfigError: a value is out of range.
    """
    for key, least in (
        ("tries", 1),
        ("batch_size", 1),
        ("relax_steps", 0),
        ("relax_best", 1),
        ("iterations", 1),
    ):
        check_whole(config, key, least, may_be_none=key in ("relax_best", "iterations"))
    for key in ("known_samples", "trust", "quiet"):
        flag(config[key], key)
    seed_number(config.seed, "seed")
    thread_count(config.processes, "processes")
    if config.prior and config.data is None:
        raise ConfigError("prior=true needs known crystals: give data=FILE, or leave prior out")
    if not config.relax_steps and "ensemble" not in config.training:
        raise ConfigError(
            "training=mlp learns from relaxed crystals, not from samples as they were placed: give relax_steps= above "
            "0 for relaxed ones, or leave training=placing"
        )
    names = (
        "rounds",
        "n",
        "held_out",
        "replay",
        "energy_model",
        "prior",
        "stable",
        "volume_tolerance",
        "seed",
    )
    best = config.n if config.relax_best is None else config.relax_best
    return Refining(**{name: config[name] for name in names}, relax=best if config.relax_steps else 0)


def _engines(config: DictConfig) -> VerbEngines:
    """Engines of the refinement, from the run's configuration and this one.

    Raises:
        ConfigError: the run's proxy is another than mlp, or a setting is wrong.
    """
    paths = [] if config.data is None else paths_of(config.data, "data")
    trust = COMMAND_LINE if config.trust else Trust()
    generator, device = build(config.generator, Generator, "generator"), str(find_device(config.device))
    stored = open_run(path_setting(config.run, "run"), device, config.threads, trust.everything).config
    if config.known_samples:
        know(stored.copy(), [])
    return VerbEngines(config, generator, device, trust, paths, proxy_section(stored, trust))


def _start(config: DictConfig, engines: VerbEngines) -> Learned:
    """Inputs of the first round, checked for existence and kind.

    Raises:
        ConfigError: a model is unknown or not installed, or the proxy is trained in a way that does not fit.
        WeightsError: weights are missing or of another kind.
    """
    if config.training.get("start") is not None:
        raise ConfigError(
            "training.start has no effect, as each round starts from the last: give weights= instead"
        )
    weights = engines.section.get(engines.learned)
    if config.weights is not None:
        weights = path_setting(config.weights, "weights")
    weights, energies = None if weights is None else str(weights), str(config.energies)
    named_energies(energies, engines.device)
    if config.teacher is not None:
        named_energies(str(config.teacher), engines.device)
    if engines.recipe(weights).kind not in _TRAINED:
        raise ConfigError("training is one of mlp or placing, which learn energies for proxy=mlp")
    engines.proxy(weights)
    if config.energy_model:
        load_weights(energies, STRUCTURE_ENERGY)
        if engines.paths:
            read_crystals(engines.paths)
    if config.prior:
        engines.prior_source()
    return Learned(str(path_setting(config.run, "run")), weights, energies)


def _decisive(
    config: DictConfig, start: Learned, section: DictConfig, known: pd.DataFrame | None
) -> dict[str, Any]:
    """Settings that determine the results, as JSON values."""
    chosen = {key: config[key] for key in _DECISIVE} | {key: plain(config[key]) for key in _SECTIONS}
    policy = hashlib.sha256()
    for name, tensor in sorted(stored_policy(start.run).tensors.items()):
        policy.update(name.encode() + np.ascontiguousarray(tensor.cpu().numpy()).tobytes())
    return {
        **chosen,
        "run": policy.hexdigest(),
        "data": _hash_of(known),
        "weights": [None if path is None else _digest(path) for path in (start.proxy, section.weights)],
    }


def _hash_of(table: pd.DataFrame | None) -> str:
    """Of prepared rows."""
    found = hashlib.sha256()
    if table is not None:
        hashes = pd.util.hash_pandas_object(table[list(PREPARED_COLUMNS)], index=False)
        found.update(np.ascontiguousarray(hashes.to_numpy()).tobytes())
    return found.hexdigest()


def _earlier_labels(config: DictConfig, engines: VerbEngines, start: Learned) -> pd.DataFrame | None:
    """Labelled specs that the weights at hand learned from, else the shipped ones; None where none are wanted.

    Raises:
        ConfigError: ``earlier_labels`` is neither true nor false.
        WeightsError: the labels beside the weights are damaged.
    """
    if not flag(config.earlier_labels, "earlier_labels") or engines.learned != PLACING:
        return None
    beside = None if start.proxy is None else labels_file(start.proxy)
    return read_labels(LABELS if beside is None or not beside.is_file() else beside)


def _digest(weights: str) -> str:
    """Of a weights file, by name or path."""
    return hashlib.sha256(weights_path(weights).read_bytes()).hexdigest()


def _summary(last: Path, rounds: Sequence[RoundFigures], settings: Refining) -> Mapping[str, object]:
    made = {"run": str(last / RUN), "weights": str(last / WEIGHTS)}
    if settings.energy_model:
        made["energies"] = str(last / ENERGIES)
    return {**made, "rounds": rounds}
