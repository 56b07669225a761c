"""A refinement, ready to run, made from its configuration."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from omegaconf import DictConfig

from gflownet_crystal.common.devices import find_device
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.config.build import COMMAND_LINE, Trust
from gflownet_crystal.config.priors import stored_policy
from gflownet_crystal.config.refine_engines import VerbEngines, know, proxy_section
from gflownet_crystal.config.request import Request
from gflownet_crystal.config.trained_runs import open_run
from gflownet_crystal.data.schema import PREPARED_COLUMNS
from gflownet_crystal.generators.wyckoff_sampler import WyckoffSampler
from gflownet_crystal.models.energies.trained import KIND as STRUCTURE_ENERGY
from gflownet_crystal.proxies.e_above_hull import load_hull
from gflownet_crystal.proxies.mlp import KIND
from gflownet_crystal.proxies.mlp_placing import KIND as PLACING
from gflownet_crystal.training.proxies.placed_figures import HIGHEST
from gflownet_crystal.training.proxies.placing_labels import KIND as LABELS
from gflownet_crystal.training.proxies.placing_labels import labels_file, read_labels
from gflownet_crystal.weights import load_weights, weights_path
from gflownet_crystal.workflows.data.tables import read_crystals, read_prepared
from gflownet_crystal.workflows.refining.parts import Learned
from gflownet_crystal.workflows.refining.refining import Refinement
from gflownet_crystal.workflows.relaxing.relaxing import load_on
from gflownet_crystal.workflows.settings.refine import RefineSettings

_DECISIVE = (
    "teacher", "energies", "tries", "relax_steps", "relax_best", "hull", "iterations", "known_samples",
    "earlier_labels", "batch_size", "seed", "training", "energy_loop", "prior_loop", "generator_loop",
)  # fmt: skip
_OF_ROUNDS = (
    "n",
    "held_out",
    "replay",
    "own_weight",
    "energy_model",
    "prior",
    "generator_model",
    "stable",
    "volume_tolerance",
)
_TRAINED = (KIND, PLACING)


class Planned(NamedTuple):
    """A refinement, ready to run.

    Attributes:
        refinement: the refinement.
        start: inputs of its first round.
        decisive: settings that determine the results, as JSON values.
    """

    refinement: Refinement
    start: Learned
    decisive: dict[str, object]


def planned(request: Request, settings: RefineSettings, tell: Callable[[str], None]) -> Planned:
    """The refinement of a command.

    Args:
        request: request of the command.
        settings: settings of ``refine``.
        tell: function called with a line about each stage.

    Raises:
        ConfigError: a model is unknown or not installed, or the run's proxy is another than mlp.
        DataError: data cannot be read.
        WeightsError: weights are missing or of another kind.
    """
    engines = _engines(settings, request.resolved.generator)
    start = _start(settings, engines)
    known = read_prepared(settings.data, settings.quiet) if settings.data else None
    earlier = _earlier_labels(settings, start)
    chosen = _decisive(settings, start, engines.section.weights, known)
    chosen |= {"generator": request.value("generator"), "labels": _hash_of(earlier)}
    refinement = Refinement(
        settings.out,
        settings.rounds,
        engines,
        settings.teacher,
        # a card travels, the folders of one machine do not
        Path(settings.labeller).name,
        Path(start.energies).name,
        load_hull(settings.hull),
        tell,
        known,
        earlier,
        request.resolved.training.get("highest", HIGHEST),
        {"data": [path.name for path in settings.data or ()], "command": request.command("refine")},
    )
    return Planned(refinement, start, chosen)


def _engines(settings: RefineSettings, generator_section: DictConfig) -> VerbEngines:
    """Engines of the refinement, from the run's configuration and the settings."""
    trust = COMMAND_LINE if settings.trust else Trust()
    device = str(find_device(settings.device))
    trained = open_run(settings.run, device, settings.threads, trust.everything)
    stored = trained.of_one_distribution().config
    if settings.known_samples:
        know(stored.copy(), [])
    return VerbEngines(settings, generator_section, device, trust, proxy_section(stored, trust))


def _start(settings: RefineSettings, engines: VerbEngines) -> Learned:
    """Inputs of the first round, checked for existence and kind."""
    weights = engines.section.get(engines.learned) if settings.weights is None else settings.weights
    weights = None if weights is None else str(weights)
    load_on(settings.energies, None, engines.device)
    if settings.teacher is not None:
        load_on(settings.teacher, None, engines.device)
    if engines.recipe(weights).kind not in _TRAINED:
        raise ConfigError("training is one of mlp or placing, which learn energies for proxy=mlp")
    engines.proxy(weights)
    generator = engines.generator(Learned("", None, ""))
    if settings.rounds.energy_model:
        load_weights(settings.energies, STRUCTURE_ENERGY)
        if settings.data:
            read_crystals(settings.data)
    if settings.rounds.prior:
        engines.prior_source()
    start = Learned(str(settings.run), weights, settings.energies)
    if not settings.rounds.generator_model:
        return start
    if not isinstance(generator, WyckoffSampler):
        raise ConfigError(
            "generator_model=true trains generator=wyckoff alone: choose it, or leave generator_model out"
        )
    return replace(
        start, generator=engines.generator_section.weights, ranking=engines.generator_section.ranking
    )


def _decisive(
    settings: RefineSettings, start: Learned, weights: str | None, known: pd.DataFrame | None
) -> dict[str, object]:
    """Settings that determine the results, as JSON values."""
    chosen = {key: getattr(settings, key) for key in _DECISIVE}
    chosen |= {key: getattr(settings.rounds, key) for key in _OF_ROUNDS}
    policy = hashlib.sha256()
    for name, tensor in sorted(stored_policy(start.run).tensors.items()):
        policy.update(name.encode() + np.ascontiguousarray(tensor.cpu().numpy()).tobytes())
    return {
        **chosen,
        "run": policy.hexdigest(),
        "data": _hash_of(known),
        "weights": [None if path is None else _digest(path) for path in (start.proxy, weights)],
    }


def _hash_of(table: pd.DataFrame | None) -> str:
    """Of prepared rows."""
    found = hashlib.sha256()
    if table is not None:
        hashes = pd.util.hash_pandas_object(table[list(PREPARED_COLUMNS)], index=False)
        found.update(np.ascontiguousarray(hashes.to_numpy()).tobytes())
    return found.hexdigest()


def _earlier_labels(settings: RefineSettings, start: Learned) -> pd.DataFrame | None:
    """Labelled specs that the weights at hand learned from, else the shipped ones; None where none are wanted."""
    if not settings.earlier_labels or not settings.is_placing:
        return None
    beside = None if start.proxy is None else labels_file(start.proxy)
    return read_labels(LABELS if beside is None or not beside.is_file() else beside)


def _digest(weights: str) -> str:
    """Of a weights file, by name or path."""
    return hashlib.sha256(weights_path(weights).read_bytes()).hexdigest()
