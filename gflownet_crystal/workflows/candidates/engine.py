"""The engine of candidates of a run: its settings and its models."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pandas as pd
import torch

from gflownet_crystal.common.arguments import prepared
from gflownet_crystal.common.progress import Progress
from gflownet_crystal.common.run_summary import Quantity
from gflownet_crystal.data.schema import HULL_COLUMN
from gflownet_crystal.evaluation.contacts import Contacts
from gflownet_crystal.generators.base import Generator
from gflownet_crystal.models.energies.potentials import load_energies
from gflownet_crystal.proxies.hull import Hull
from gflownet_crystal.proxies.known_compounds import KnownCompounds
from gflownet_crystal.workflows.candidates.files import with_results
from gflownet_crystal.workflows.candidates.further import by_rank, tables, usual_screening, with_entries
from gflownet_crystal.workflows.candidates.hulls import predicted_above_hull
from gflownet_crystal.workflows.candidates.screening import Outcome, screen
from gflownet_crystal.workflows.candidates.source import CandidateSource
from gflownet_crystal.workflows.placing.placing import Placer
from gflownet_crystal.workflows.settings.candidates import CandidateSettings
from gflownet_crystal.workflows.settings.screening import Screening

CONTACTS = "contacts"


def screening_settings(
    section: Mapping[str, object],
    seeks_discoveries: bool,
    has_hull: bool,
    has_judge: bool,
    k: int,
    **given: object,
) -> Screening:
    """Settings of the engine; values that a configuration leaves open follow from the run.

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
    source: CandidateSource,
    hull: Hull,
    device: torch.device,
) -> tuple[Screening, Placer]:
    """The settings of the engine, and the placer that makes and rates atoms.

    Args:
        settings: settings of ``export`` or ``pipeline``.
        generator: puts atoms into specs.
        source: run that is sampled.
        hull: hull from which energies with atoms are measured.
        device: device of the computation.

    Raises:
        ConfigError: a value is wrong, or the model of ``energies`` is unknown.
        WeightsError: there is no such table of contacts.
    """
    judge = None if settings.energies is None else load_energies(settings.energies).to(device)
    given = {name: getattr(settings, name) for name in ("k", "seed", "batch_size", "choose_from")}
    section = settings.screening
    screening = screening_settings(
        section, source.seeks_discoveries, source.has_hull, judge is not None, **given
    )
    contacts = Contacts.from_weights(str(section[CONTACTS]))
    rates = contacts, settings.tries, screening.promising, screening.seed
    return screening, Placer(generator, hull, judge, *rates, device)


def screen_samples(
    first: pd.DataFrame,
    draw: Callable[[int], pd.DataFrame] | None,
    rules: Screening,
    placer: Placer,
    known: Quantity,
    predicted: tuple[Hull | None, Hull | None],
    quiet: bool,
) -> tuple[Outcome, KnownCompounds]:
    """The best of samples with their atoms.

    Args:
        first: samples at hand.
        draw: function that draws further ones by the number of the draw; None for none.
        rules: settings of the screening.
        placer: makes and rates atoms.
        known: property that the samples' energies are.
        predicted: hulls of :func:`~gflownet_crystal.workflows.candidates.hulls.predicted_hulls`.
        quiet: whether to show no progress.

    Returns:
        The outcome, and the known compounds that it was compared with.
    """

    def prepare(frame: pd.DataFrame) -> pd.DataFrame:
        frame = with_results(frame)
        frame[HULL_COLUMN] = predicted_above_hull(frame, known, *predicted)
        return with_entries(frame, placer.hull)

    compounds = KnownCompounds.from_weights()
    with Progress(rules.target, 0, "placing atoms", quiet) as progress:
        found = tables(first, draw, prepare)
        return screen(found, rules, placer, compounds, tell=progress.advance), compounds
