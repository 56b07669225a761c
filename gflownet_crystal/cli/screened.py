"""The engine of candidates as a configuration describes it: its settings, its models, and samples to choose from."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from omegaconf import DictConfig, OmegaConf

from gflownet_crystal.config.build import plain, to_settings
from gflownet_crystal.config.compose import require_section
from gflownet_crystal.config.run_folder import latest
from gflownet_crystal.config.trained_runs import open_run
from gflownet_crystal.evaluation.contacts import Contacts
from gflownet_crystal.generators.base import Generator
from gflownet_crystal.models.energies.potentials import load_energies
from gflownet_crystal.proxies.hull import Hull
from gflownet_crystal.workflows.further import FURTHER, by_rank, further_seed, usual_screening
from gflownet_crystal.workflows.placing import Placer
from gflownet_crystal.workflows.sampling import sample_model
from gflownet_crystal.workflows.settings import Screening

CONTACTS = "contacts"


def screening_settings(
    section: DictConfig, seeks_discoveries: bool, has_hull: bool, has_judge: bool, **given: Any
) -> Screening:
    """Settings of the engine; what a configuration leaves open follows from the run.

    Args:
        section: ``screening`` of a configuration.
        seeks_discoveries: whether the run's reward is the one for discovery.
        has_hull: whether its proxy predicts energies that can be measured from a hull.
        has_judge: whether a model gives energies with atoms.
        given: settings that stand elsewhere in the configuration.

    Raises:
        ConfigError: a value is wrong.
    """
    require_section(section, "screening")
    values = {str(key): plain(value) for key, value in section.items() if key != CONTACTS}
    usual = usual_screening(seeks_discoveries)
    values |= {key: value for key, value in usual.items() if values.get(key) is None}
    settings = to_settings(Screening, OmegaConf.create(values | given), "screening")
    return settings if has_hull and has_judge else by_rank(settings, has_hull)


def make_engine(
    config: DictConfig,
    generator: Generator,
    hull: Hull,
    device: torch.device,
    seeks_discoveries: bool,
    has_hull: bool,
    k: int,
    choose_from: int | None,
) -> tuple[Screening, Placer]:
    """The settings of the engine, and what makes and rates atoms.

    Args:
        config: configuration of ``export`` or ``pipeline``, its numbers checked.
        generator: puts atoms into specs.
        hull: hull from which energies with atoms are measured.
        device: device of the computation.
        seeks_discoveries: whether the run's reward is the one for discovery.
        has_hull: whether its proxy predicts energies that can be measured from a hull.
        k: candidates.
        choose_from: specs that pass, of which the best are the candidates; None for k.

    Raises:
        ConfigError: a value is wrong, or the model of ``energies`` is unknown.
        WeightsError: there is no such table of contacts.
    """
    judge = None if config.energies is None else load_energies(plain(config.energies)).to(device)
    given = {"k": k, "seed": config.seed, "batch_size": config.batch_size, "choose_from": choose_from}
    settings = screening_settings(config.screening, seeks_discoveries, has_hull, judge is not None, **given)
    contacts = Contacts.from_weights(config.screening[CONTACTS])
    placer = Placer(generator, hull, judge, contacts, config.tries, settings.promising, settings.seed, device)
    return settings, placer


def further_samples(
    folder: Path, seed: int, device: str, trust: bool, restrict: dict[str, Any] | None = None
) -> Callable[[int], pd.DataFrame] | None:
    """Draws further samples of a run by the number of the draw, from 1; None where the run has no weights.

    Args:
        folder: folder of the run.
        seed: random seed of the samples at hand; further ones have seeds far from it.
        device: device to sample on.
        trust: build classes from outside this package that the folder names.
        restrict: keyword arguments of the environment's ``restrict``.
    """
    if not folder.is_dir() or latest(folder) is None:
        return None
    opened = functools.cache(lambda: open_run(folder, device, None, trust))

    def draw(number: int) -> pd.DataFrame:
        parts, own = opened().parts, further_seed(seed, number)
        return sample_model(parts.model, parts.reward, FURTHER, own, batch_size=FURTHER, restrict=restrict)

    return draw
