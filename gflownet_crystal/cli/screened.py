"""The engine of candidates as a configuration describes it: its settings, its models, and samples to choose from."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd
import torch

from gflownet_crystal.config.build import prepared
from gflownet_crystal.config.run_folder import latest
from gflownet_crystal.config.trained_runs import open_run
from gflownet_crystal.evaluation.contacts import Contacts
from gflownet_crystal.generators.base import Generator
from gflownet_crystal.models.energies.potentials import load_energies
from gflownet_crystal.proxies.hull import Hull
from gflownet_crystal.workflows.candidate_settings import CandidateSettings
from gflownet_crystal.workflows.further import FURTHER, by_rank, further_seed, usual_screening
from gflownet_crystal.workflows.placing import Placer
from gflownet_crystal.workflows.sampling import sample_model
from gflownet_crystal.workflows.settings import Screening

CONTACTS = "contacts"


def screening_settings(
    section: Mapping[str, object],
    seeks_discoveries: bool,
    has_hull: bool,
    has_judge: bool,
    k: int,
    **given: object,
) -> Screening:
    """Settings of the engine; what a configuration leaves open follows from the run.

    Args:
        section: ``screening`` of a configuration.
        seeks_discoveries: whether the run's reward is the one for discovery.
        has_hull: whether its proxy predicts energies that can be measured from a hull.
        has_judge: whether a model gives energies with atoms.
        k: number of candidates.
        given: further settings that stand elsewhere in the configuration.

    Raises:
        ConfigError: a value is wrong.
    """
    values = {key: value for key, value in section.items() if key != CONTACTS}
    usual = usual_screening(seeks_discoveries, k)
    values |= {key: value for key, value in usual.items() if values.get(key) is None}
    settings = prepared(Screening, values | given | {"k": k}, "screening")()
    return by_rank(settings, has_hull, has_judge)


def make_engine(
    settings: CandidateSettings,
    generator: Generator,
    hull: Hull,
    device: torch.device,
    seeks_discoveries: bool,
    has_hull: bool,
) -> tuple[Screening, Placer]:
    """The settings of the engine, and what makes and rates atoms.

    Args:
        settings: settings of ``export`` or ``pipeline``.
        generator: puts atoms into specs.
        hull: hull from which energies with atoms are measured.
        device: device of the computation.
        seeks_discoveries: whether the run's reward is the one for discovery.
        has_hull: whether its proxy predicts energies that can be measured from a hull.

    Raises:
        ConfigError: a value is wrong, or the model of ``energies`` is unknown.
        WeightsError: there is no such table of contacts.
    """
    judge = None if settings.energies is None else load_energies(settings.energies).to(device)
    given = {name: getattr(settings, name) for name in ("k", "seed", "batch_size", "choose_from")}
    section = settings.screening
    screening = screening_settings(section, seeks_discoveries, has_hull, judge is not None, **given)
    contacts = Contacts.from_weights(str(section[CONTACTS]))
    rates = contacts, settings.tries, screening.promising, screening.seed
    return screening, Placer(generator, hull, judge, *rates, device)


def further_samples(
    folder: Path, seed: int, device: str, trust: bool, restrict: Mapping[str, object] | None = None
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
