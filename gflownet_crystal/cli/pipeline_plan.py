"""Plan of ``pipeline``: its settings, checked, and its models, loaded, before anything is written."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from omegaconf import DictConfig, OmegaConf

from gflownet_crystal.cli.export import (
    hulls_of_run,
    judged_hull,
    seeks_discoveries,
    summary_of_run,
)
from gflownet_crystal.cli.relax import chosen_model
from gflownet_crystal.cli.restricting import conditioning_of, restrictions
from gflownet_crystal.cli.screened import make_engine
from gflownet_crystal.common.checkpoint import FOLDER
from gflownet_crystal.common.errors import CheckpointError, ConfigError
from gflownet_crystal.config.build import build, plain, to_settings
from gflownet_crystal.config.parts import find_device
from gflownet_crystal.config.run_folder import CONFIG
from gflownet_crystal.config.values import (
    check_whole,
    flag,
    formats_setting,
    path_setting,
    seed_number,
    thread_count,
    whole_number,
)
from gflownet_crystal.generators.base import Generator
from gflownet_crystal.models.energies.choice import read_choice
from gflownet_crystal.proxies.hull import Hull
from gflownet_crystal.relaxation.run import Loader
from gflownet_crystal.relaxation.settings import RelaxationSettings
from gflownet_crystal.structures.writing import CIF
from gflownet_crystal.workflows.conditioning import Conditioning
from gflownet_crystal.workflows.hulls import ENERGIES
from gflownet_crystal.workflows.placing import Placer
from gflownet_crystal.workflows.relaxing import load_on
from gflownet_crystal.workflows.settings import Screening

_SAMPLES_A_CANDIDATE = 100
_DECISIVE = (
    "k",
    "n",
    "choose_from",
    "tries",
    "energies",
    "hull",
    "batch_size",
    "seed",
)


@dataclass(frozen=True)
class Plan:
    """A pipeline, ready to run.

    Attributes:
        config: resolved.
        run: folder to sample from.
        out: folder to fill.
        k: candidates.
        n: samples.
        device: device of all models.
        screening: selection of the candidates among the samples.
        placer: makes and rates structures.
        hull: hull from which rated energies are measured.
        predicted: property of the run's proxy and its unit; the hulls of
            :func:`~gflownet_crystal.cli.export.hulls_of_run`.
        n_relaxed: candidates to relax.
        load: makes the model that relaxes; None if none are.
        relaxation: its settings.
        restrict: restriction of the sampled space.
        exact: conditioning of the sampler's distribution on the restriction; None for its policy under tighter masks.
        quiet: show no progress.
        formats: file formats of the structures.
    """

    config: DictConfig
    run: Path
    out: Path
    k: int
    n: int
    device: torch.device
    screening: Screening
    placer: Placer
    hull: Hull
    predicted: tuple[tuple[Any, Any], Hull | None, Hull | None]
    n_relaxed: int
    load: Loader | None
    relaxation: RelaxationSettings
    restrict: dict[str, Any]
    exact: Conditioning | None
    quiet: bool
    formats: tuple[str, ...]

    @classmethod
    def of(cls, config: DictConfig) -> Self:
        """From a resolved configuration.

        Raises:
            ConfigError: a setting is wrong, or a model is not there.
            CheckpointError: ``run`` is no finished run.
        """
        folder = path_setting(config.run, "run")
        k = whole_number(config.k, "k", 1)
        n = _SAMPLES_A_CANDIDATE * k if config.n is None else whole_number(config.n, "n", 1)
        for key in ("batch_size", "processes", "tries"):
            check_whole(config, key, 1)
        seed_number(config.seed, "seed")
        thread_count(config.processes, "processes")
        device = find_device(config.device)
        n_relaxed = whole_number(config.relax or 0, "relax", 0)
        quiet = flag(config.quiet, "quiet")
        if n_relaxed:
            config = config.copy()
            model = chosen_model(plain(config.relax_model), config.relax_version, "relax_model", quiet)
            OmegaConf.update(config, "relax_model", model, merge=False)
        known = _known(folder)
        hull = judged_hull(config.hull, known, folder)
        generator = build(config.generator, Generator, "generator")
        chosen = _choose_from(config, k)
        screening, placer = make_engine(
            config, generator, hull, device, seeks_discoveries(folder), known in ENERGIES, k, chosen
        )
        return cls(
            config=_named(config),
            run=folder,
            out=path_setting(config.out, "out"),
            k=k,
            n=n,
            device=device,
            screening=screening,
            placer=placer,
            hull=hull,
            predicted=(known, *_predicted_hulls(config.hull, known, folder)),
            n_relaxed=n_relaxed,
            load=_loader(config, device) if n_relaxed else None,
            relaxation=to_settings(RelaxationSettings, config.relaxation, "relaxation"),
            restrict=restrictions(config.restrict),
            exact=conditioning_of(config.restrict),
            quiet=quiet,
            formats=formats_setting(config.format, always=[CIF]),
        )

    def decisive(self) -> dict[str, Any]:
        """Settings that determine the structures, as JSON values; a resumed run must have the same."""
        sections = {
            name: OmegaConf.to_container(self.config[name]) for name in ("generator", "restrict", "screening")
        }
        return {name: self.config[name] for name in _DECISIVE} | sections | {"run": _fingerprint(self.run)}

    @property
    def energy_source(self) -> str | None:
        """Name of the model that gives candidates their energies; None for none."""
        judge, relaxer = self.config.energies, self.config.relax_model if self.n_relaxed else None
        return relaxer if judge is None else judge

    @property
    def model(self) -> dict[str, Any]:
        """Name and version of the model that relaxes."""
        return {"model": self.config.relax_model, "version": self.config.relax_version}


def _named(config: DictConfig) -> DictConfig:
    """The configuration with names in the places of models that are calculators' classes with arguments."""
    named = config.copy()
    for key in ("energies", "relax_model"):
        if OmegaConf.is_config(named[key]):
            OmegaConf.update(named, key, read_choice(plain(named[key])).described, merge=False)
    return named


def _choose_from(config: DictConfig, k: int) -> int | None:
    if config.choose_from is None:
        return None
    if config.energies is None:
        raise ConfigError("choose_from needs energies to choose by: set energies=alignn, or choose_from=null")
    return whole_number(config.choose_from, "choose_from", k)


def _known(folder: Path) -> tuple[Any, Any]:
    """Property of a run's proxy, and its unit."""
    summary = summary_of_run(folder)
    return summary.get("property"), summary.get("unit")


def _predicted_hulls(path: Any, known: tuple[Any, Any], folder: Path) -> tuple[Hull | None, Hull | None]:
    """The hulls of what the run's proxy predicts; none where that is no energy."""
    return hulls_of_run(path if known in ENERGIES else None, known, folder)


def _loader(config: DictConfig, device: torch.device) -> Loader:
    """Makes the model that relaxes; it is loaded once here, as it may be unknown, not installed, or without forces."""
    load = functools.partial(load_on, plain(config.relax_model), config.relax_version, str(device))
    energies = load()
    energies.calculator()
    return load if config.processes > 1 else lambda: energies


def _fingerprint(folder: Path) -> str:
    """A digest of a run's settings and of which checkpoints it has.

    Raises:
        CheckpointError: the folder is no run folder.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise CheckpointError(f"{folder} is not a run folder (no {CONFIG}); give the run.dir of a training")
    checkpoints = sorted(entry.name for entry in (folder / FOLDER).glob("*.safetensors"))
    return hashlib.sha256(path.read_bytes() + "".join(checkpoints).encode()).hexdigest()
