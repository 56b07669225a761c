"""The engine of candidates of a run: its settings and its models."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pandas as pd
import torch

from gflownet_crystal.common.arguments import prepared
from gflownet_crystal.common.progress import Progress
from gflownet_crystal.common.run_summary import FunnelStage
from gflownet_crystal.data.schema import HULL_COLUMN
from gflownet_crystal.evaluation.contacts import Contacts
from gflownet_crystal.generators.base import Generator
from gflownet_crystal.models.energies.potentials import load_energies
from gflownet_crystal.models.energies.structure_energies import StructureEnergies
from gflownet_crystal.proxies.hull import Hull
from gflownet_crystal.proxies.known_compounds import KnownCompounds
from gflownet_crystal.workflows.candidates.files import Candidates, candidates_of, with_results
from gflownet_crystal.workflows.candidates.further import by_rank, tables, usual_screening, with_entries
from gflownet_crystal.workflows.candidates.hulls import predicted_above_hull
from gflownet_crystal.workflows.candidates.screening import screen
from gflownet_crystal.workflows.candidates.source import CandidateSource
from gflownet_crystal.workflows.placing.placing import Placer
from gflownet_crystal.workflows.settings.candidates import CandidateSettings
from gflownet_crystal.workflows.settings.screening import Screening

CONTACTS = "contacts"

Prepare = Callable[[pd.DataFrame], pd.DataFrame]
"""Prepares a table of samples for the engine."""


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
    """
    values = {key: value for key, value in section.items() if key != CONTACTS}
    usual = usual_screening(seeks_discoveries, k)
    values |= {key: value for key, value in usual.items() if values.get(key) is None}
    settings = prepared(Screening, values | given | {"k": k}, "screening")()
    return by_rank(settings, has_hull, has_judge)


def make_engine(
    source: CandidateSource,
    generator: Generator,
    hull: Hull,
    judge: StructureEnergies | None,
    tries: int,
    device: torch.device,
    section: Mapping[str, object],
    k: int,
    **given: object,
) -> tuple[Screening, Placer]:
    """The settings of the engine, and the placer that makes and rates atoms.

    Args:
        source: run that is sampled.
        generator: puts atoms into specs.
        hull: hull from which energies with atoms are measured.
        judge: model that rates structures; None for none.
        tries: number of structures of a promising spec.
        device: device of the computation.
        section: ``screening`` of a configuration, see :func:`screening_settings`.
        k: number of candidates.
        given: further settings of the screening.

    Raises:
        ConfigError: a value is wrong.
        WeightsError: there is no such table of contacts.
    """
    screening = screening_settings(
        section, source.seeks_discoveries, source.has_hull, judge is not None, k, **given
    )
    contacts = Contacts.from_weights(str(section.get(CONTACTS, CONTACTS)))
    placer = Placer(
        generator,
        hull,
        judge,
        contacts,
        tries,
        screening.promising,
        screening.seed,
        device,
        screening.agreeing,
    )
    return screening, placer


def engine_of(
    settings: CandidateSettings, generator: Generator, source: CandidateSource, device: torch.device
) -> tuple[Screening, Placer]:
    """The engine of ``export`` or ``pipeline``; see :func:`make_engine`."""
    judge = None if settings.energies is None else load_energies(settings.energies).to(device)
    given = {name: getattr(settings, name) for name in ("seed", "batch_size", "choose_from")}
    hull = source.judged_hull(settings.hull)
    return make_engine(
        source, generator, hull, judge, settings.tries, device, settings.screening, settings.k, **given
    )


def preparation(source: CandidateSource, path: str | None, hull: Hull) -> Prepare:
    """Gives samples their results as numbers, energies above the hull by the proxy, and the known crystals there.

    Args:
        source: run of the samples.
        path: name or file of the hull of the proxy's energies; see :meth:`CandidateSource.predicted_hulls`.
        hull: hull from which energies with atoms are measured.
    """
    predicted = source.predicted_hulls(path)

    def prepare(frame: pd.DataFrame) -> pd.DataFrame:
        frame = with_results(frame)
        frame[HULL_COLUMN] = predicted_above_hull(frame, source.known, *predicted)
        return with_entries(frame, hull)

    return prepare


def screen_samples(
    first: pd.DataFrame,
    draw: Callable[[int], pd.DataFrame] | None,
    rules: Screening,
    placer: Placer,
    prepare: Prepare,
    quiet: bool,
) -> tuple[Candidates, list[FunnelStage]]:
    """The best of samples with their atoms, and the number of specs after each stage.

    Args:
        first: samples at hand.
        draw: function that draws further ones by the number of the draw; None for none.
        rules: settings of the screening.
        placer: makes and rates atoms.
        prepare: function of :func:`preparation`.
        quiet: whether to show no progress.
    """
    compounds = KnownCompounds.from_weights()
    with Progress(rules.target, 0, "placing atoms", quiet) as progress:
        found = tables(first, draw, prepare)
        outcome = screen(found, rules, placer, compounds, tell=progress.advance)
    return candidates_of(outcome, compounds), outcome.funnel
