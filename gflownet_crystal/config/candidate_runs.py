"""Trained runs as sources of candidates, by their folders."""

from __future__ import annotations

import functools
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from gflownet_crystal.common.checkpoint import latest
from gflownet_crystal.common.errors import CheckpointError
from gflownet_crystal.common.run_schema import CONFIG, SUMMARY
from gflownet_crystal.common.run_summary import Quantity, RunSummary, read_summary
from gflownet_crystal.config.compose import TARGET, compose_config
from gflownet_crystal.config.request import Request
from gflownet_crystal.config.run_folder import read_config
from gflownet_crystal.config.trained_runs import open_run
from gflownet_crystal.proxies.discovery import Discovery
from gflownet_crystal.proxies.e_above_hull import REFERENCE, EnergyAboveHull, load_hull
from gflownet_crystal.proxies.hull import Hull
from gflownet_crystal.proxies.product import STABILITY, Product
from gflownet_crystal.proxies.several import SeveralProxies
from gflownet_crystal.workflows.candidates.source import CandidateSource
from gflownet_crystal.workflows.sampling.sampling import Parts
from gflownet_crystal.workflows.settings.candidates import CandidateSettings
from gflownet_crystal.workflows.settings.training import TrainGfnSettings


def candidate_source(settings: CandidateSettings) -> CandidateSource:
    """The run that settings of ``export`` or ``pipeline`` name.

    Raises:
        CheckpointError: the folder is not that of a finished run.
    """
    folder, known = settings.run, quantity_of_run(settings.run)

    @functools.cache
    def parts() -> Parts:
        trained = open_run(folder, settings.device, settings.threads, settings.trust)
        return trained.at(settings.condition).parts

    return CandidateSource(
        folder,
        known,
        _discovery(folder) is not None,
        functools.partial(own_hull, folder),
        functools.partial(reward_hull, folder),
        parts,
        settings.seed,
        folder.is_dir() and latest(folder) is not None,
    )


def export_request(folder: Path, out: Path, settings: TrainGfnSettings) -> Request:
    """Request of ``export`` for the candidates at the end of a training.

    Args:
        folder: run folder.
        out: folder of the candidates.
        settings: settings of the training.
    """
    config = compose_config("export", [])
    config.run, config.out, config.k = str(folder), str(out), settings.export.k
    config.format, config.overwrite = list(settings.export.format), True
    # runs of earlier versions have no such section, or as much of it as was given when they went on
    config.screening = OmegaConf.merge(config.screening, dict(settings.screening))
    config.device, config.trust, config.quiet = settings.device, settings.trust, settings.quiet
    return Request(config)


def own_hull(folder: Path) -> Hull | None:
    """The hull from which a run's proxy measures energies; None where it has none that is known."""
    proxy = read_config(folder, ["proxy"]).proxy
    several = _is(proxy, SeveralProxies)
    sections = (
        [section for section in proxy.values() if isinstance(section, DictConfig)] if several else [proxy]
    )
    found = next((section for section in sections if _is(section, EnergyAboveHull)), None)
    return None if found is None else load_hull(found.hull, found.hull_weights)


def _is(section: object, kind: type) -> bool:
    """Whether a section of a stored configuration names a class."""
    return isinstance(section, DictConfig) and section.get(TARGET) == f"{kind.__module__}.{kind.__name__}"


def reward_hull(folder: Path) -> Hull | None:
    """The hull that a run's reward subtracts from formation energies; None where it subtracts none."""
    reward = _discovery(folder)
    return None if reward is None else load_hull(str(reward.get("hull", REFERENCE)))


def _discovery(folder: Path) -> DictConfig | None:
    """The section of a run's reward for discovery, alone or in a product; None where its reward is another."""
    if not (folder / CONFIG).is_file():
        return None
    reward = read_config(folder, ["proxy"]).get("reward")
    if isinstance(reward, DictConfig) and _is(reward, Product):
        reward = reward.get(STABILITY)
    return reward if isinstance(reward, DictConfig) and _is(reward, Discovery) else None


def quantity_of_run(folder: Path) -> Quantity:
    """The property that a finished run's proxy predicts.

    Raises:
        CheckpointError: the folder is not that of a finished run.
    """
    path = folder / SUMMARY
    if not path.is_file():
        raise CheckpointError(
            f"{folder} is not the folder of a finished run (no {path.name}); train it, or go on with resume=true"
        )
    return RunSummary.of(read_summary(folder)).quantity
