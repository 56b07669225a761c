"""The engine of candidates as a configuration describes it: its settings, its models, and samples to choose from."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from omegaconf import DictConfig, OmegaConf

from gflownet_crystal.cli.build import plain, to_settings
from gflownet_crystal.cli.run_folder import latest
from gflownet_crystal.cli.sample import sample_trained
from gflownet_crystal.cli.trained_runs import open_run
from gflownet_crystal.cli.values import HIGHEST_SEED
from gflownet_crystal.evaluation.contacts import Contacts
from gflownet_crystal.generators.base import Generator
from gflownet_crystal.models.potentials import load_energies
from gflownet_crystal.proxies.hull import Hull
from gflownet_crystal.proxies.reference_hull import ReferenceHull
from gflownet_crystal.structures.spec_io import frame_to_specs
from gflownet_crystal.workflows.placing import Placer
from gflownet_crystal.workflows.settings import KEEP, Screening

CONTACTS = "contacts"
FURTHER = 2048
"""Samples that are drawn at a time where those at hand do not suffice."""
MOST_DRAWS = 20
"""Times that they are."""

_SEEDS_APART = 2**16
_OF_DISCOVERY = {"known": "formula", "max_per_formula": 1, "max_per_system": 3, "fill": False}
_OF_OTHERS = {"known": KEEP, "fill": True}


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
    values = {str(key): plain(value) for key, value in section.items() if key != CONTACTS}
    usual = _OF_DISCOVERY if seeks_discoveries else _OF_OTHERS
    values |= {key: value for key, value in usual.items() if values.get(key) is None}
    settings = to_settings(Screening, OmegaConf.create(values | given), "screening")
    if has_hull and has_judge:
        return settings
    # a ranking is all that there is to go by
    return replace(settings, better=1.0, order="best", within=None, by_reward=not has_hull)


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
        config: of ``export`` or ``pipeline``, its numbers checked.
        generator: puts atoms into specs.
        hull: from which energies with atoms are measured.
        device: where.
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
        folder: of the run.
        seed: of the samples at hand; further ones have seeds far from it.
        device: where to sample.
        trust: build classes from outside this package that the folder names.
        restrict: keyword arguments of the environment's ``restrict``.
    """
    if not folder.is_dir() or latest(folder) is None:
        return None
    opened = functools.cache(lambda: open_run(folder, device, None, trust))

    def draw(number: int) -> pd.DataFrame:
        other = (seed + number * _SEEDS_APART) % (HIGHEST_SEED + 1)
        return sample_trained(opened(), FURTHER, other, batch_size=FURTHER, restrict=restrict)

    return draw


def tables(
    first: pd.DataFrame,
    draw: Callable[[int], pd.DataFrame] | None,
    prepare: Callable[[pd.DataFrame], pd.DataFrame],
) -> Iterator[pd.DataFrame]:
    """The samples at hand, then further ones, each with what the engine needs to know of them."""
    yield prepare(first)
    if draw is not None:
        yield from (prepare(draw(number)) for number in range(1, MOST_DRAWS + 1))


def with_entries(frame: pd.DataFrame, hull: Hull) -> pd.DataFrame:
    """Samples with the numbers of known crystals that the hull rests on there, where it knows them."""
    entries = hull.entries if isinstance(hull, ReferenceHull) else None
    if entries is None:
        return frame
    return frame.assign(hull_entries=entries.within(frame_to_specs(frame).composition).numpy())
