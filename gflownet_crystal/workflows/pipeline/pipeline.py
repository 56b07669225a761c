"""From a trained run to judged crystals: stages that are kept on disk, each done where the folder lacks it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import asdict

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.common.files import write_json
from gflownet_crystal.common.interrupt import stop_on_signal
from gflownet_crystal.common.progress import Progress
from gflownet_crystal.common.run_schema import SUMMARY
from gflownet_crystal.data.schema import ENERGY_COLUMN, JUDGED_HULL
from gflownet_crystal.proxies.known_compounds import KnownCompounds
from gflownet_crystal.relaxation.records import Record
from gflownet_crystal.structures.frames import frame_to_structures
from gflownet_crystal.workflows.candidates.files import (
    Candidates,
    with_properties,
    with_results,
    write_candidates,
)
from gflownet_crystal.workflows.candidates.further import FURTHER, SHORTAGE
from gflownet_crystal.workflows.candidates.screening import Outcome, Search
from gflownet_crystal.workflows.output_folder import open_output
from gflownet_crystal.workflows.pipeline.plan import Plan
from gflownet_crystal.workflows.pipeline.stages import Stopwatch, growing_samples, kept_samples, relax_best
from gflownet_crystal.workflows.pipeline.table import (
    Ended,
    best_first,
    candidates_table,
    ended,
    judged,
    repeated,
    summarise,
    whole_table,
)
from gflownet_crystal.workflows.placing.placing import judged_energies
from gflownet_crystal.workflows.placing.shared import shared
from gflownet_crystal.workflows.sampling.sampling import sample_model
from gflownet_crystal.workflows.sampling.summary import hardware


def run_pipeline(plan: Plan) -> dict[str, object]:
    """Go through the stages that the folder lacks; returns the summary that was written.

    Raises:
        ConfigError: the folder holds something else, or a pipeline of other settings.
        DataError: no spec that was tried is a candidate.
        KeyboardInterrupt: a stop was requested; finished work is kept.
    """
    with open_output(plan.settings.out, plan.decisive(), plan.settings.resume):
        return _fill(plan)


def _fill(plan: Plan) -> dict[str, object]:
    watch, known = Stopwatch(plan.settings.out), KnownCompounds.from_weights()
    first = _first_samples(plan, watch)
    search = _search(plan, first, known)
    with watch.time("generating"):
        _trying(plan, search, plan.screening.target, search.run)
    if search.queue.empty:
        outcome = search.outcome()
        raise DataError(
            f"none of {len(outcome.left_out)} specs that were tried is a candidate ({_reasons(outcome)}): {SHORTAGE}"
        )
    doubles, records = _relaxed(plan, search, watch)
    outcome = search.outcome(doubles)
    candidates = _candidates(plan, outcome, known, records, watch)
    write_candidates(plan.settings.out, whole_table(candidates), plan.settings.format, plan.energy_source)
    summary = _about(plan, outcome) | summarise(candidates, plan.settings.k, watch.seconds)
    write_json(plan.settings.out / SUMMARY, summary)
    return summary


def _reasons(outcome: Outcome) -> str:
    """Number of specs left out for each reason."""
    counts = outcome.left_out["status"].value_counts()
    return ", ".join(f"{count} {status}" for status, count in counts.items()) or "none was new and distinct"


def _first_samples(plan: Plan, watch: Stopwatch) -> pd.DataFrame:
    """Samples of the run that the folder holds, drawn if it has none."""
    settings, n = plan.settings, plan.settings.n_samples

    def draw() -> pd.DataFrame:
        parts = plan.source.parts()
        drawn = sample_model(
            parts.model,
            parts.reward,
            n,
            settings.seed,
            batch_size=min(FURTHER, n),
            restrict=settings.restrict,
            exact=settings.exact,
            quiet=settings.quiet,
            shown=True,
        )
        return with_results(drawn)

    with watch.time("sampling"):
        return kept_samples(settings.out, draw)


def _search(plan: Plan, first: pd.DataFrame, known: KnownCompounds) -> Search:
    """The screening of the samples, and of further ones where they do not suffice."""
    settings = plan.settings
    # samples under an exact restriction have weights that hold for all of them together
    draw = plan.source.draw_further(settings.restrict) if settings.exact is None else None
    samples = map(plan.prepare, growing_samples(settings.out, first, settings.n_samples, draw))
    return Search(samples, plan.screening, plan.placer, known, settings.out)


def _trying(plan: Plan, search: Search, n: int, work: Callable[[], None]) -> None:
    """Let a screening work towards n candidates, with progress, until a signal asks for a stop."""
    with (
        shared(plan.placer, plan.settings.executor) as placer,
        stop_on_signal() as should_stop,
        Progress(n, 0, "generating", plan.settings.quiet) as progress,
    ):

        def tell(words: str, gained: int) -> None:
            progress.advance(words, gained)
            if should_stop():
                raise KeyboardInterrupt("finished work is kept; go on with the same command and resume=true")

        search.tell, search.placer = tell, placer
        work()


def _relaxed(plan: Plan, search: Search, watch: Stopwatch) -> tuple[set[int], dict[int, Record]]:
    """Relax the best candidates; of those that end as one crystal all but one give way to the next, until none do.

    Returns:
        Rows of the samples that gave way, and records of relaxations by row of the sample.
    """
    settings, doubles = plan.settings, set[int]()
    while plan.load is not None:
        wanted = settings.k + len(doubles)
        if wanted > len(search.queue):
            with watch.time("generating"):
                _trying(plan, search, wanted, functools.partial(search.supply, wanted))
        rows = search.queue["row"].to_numpy(dtype=np.int64)
        structures = frame_to_structures(search.queue)
        places = np.flatnonzero(~np.isin(rows, list(doubles)))[: settings.k]
        best = places[best_first(search.queue[JUDGED_HULL].iloc[places])[: settings.relax]].tolist()
        with watch.time("relaxing"):
            records = relax_best(
                settings.out,
                structures,
                best,
                plan.load,
                {"model": plan.relax_model, "version": settings.relax_version},
                settings.relaxation,
                settings.executor,
                settings.quiet,
            )
        final = ended(structures, records, settings.relaxation.symprec)
        found = repeated(final, places)
        if not found:
            return doubles, {int(rows[place]): record for place, record in records.items()}
        doubles |= {int(rows[place]) for place in found}
    return doubles, {}


def _candidates(
    plan: Plan, outcome: Outcome, known: KnownCompounds, records: dict[int, Record], watch: Stopwatch
) -> Candidates:
    symprec, placed, made = (
        plan.settings.relaxation.symprec,
        outcome.placed,
        frame_to_structures(outcome.placed),
    )
    before = placed[ENERGY_COLUMN].to_numpy(dtype=np.float64)
    records = {place: records[row] for place, row in enumerate(placed["row"].tolist()) if row in records}
    with watch.time("judging"):
        final = ended(made, records, symprec)
        before, after = _energies(plan, before, final, records)
        energies = judged(before, after, final.structures, plan.placer.hull, plan.judge)
        candidates = candidates_table(outcome, known, final, records, energies, symprec)
        return with_properties(candidates, plan.properties)


def _energies(
    plan: Plan, before: NDArray[np.float64], final: Ended, records: dict[int, Record]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Energies (n,) eV/atom as generated and after relaxation: by the judge, else by the relaxing model."""
    before, after = before.copy(), np.full_like(before, np.nan)
    moved = np.flatnonzero(final.moved)
    if plan.placer.judge is not None and len(moved):
        structures = final.structures[torch.from_numpy(moved)].to(plan.device)
        after[moved] = judged_energies(structures, plan.placer.judge)[0].cpu().numpy()
    elif len(moved):
        before[moved] = [records[row].energy_before for row in moved.tolist()]
        after[moved] = [records[row].energy_after for row in moved.tolist()]
    return before, after


def _about(plan: Plan, outcome: Outcome) -> dict[str, object]:
    """Settings of the run, as JSON values."""
    settings = plan.settings
    return {
        "run": str(settings.run),
        "out": str(settings.out),
        "k": settings.k,
        "samples": len(outcome.frame),
        "choose_from": plan.screening.target,
        "screening": asdict(plan.screening),
        "funnel": outcome.funnel,
        "tries": settings.tries,
        "generator": plan.sections["generator"],
        "energies": plan.judge,
        "relax": settings.relax,
        "relax_model": plan.relax_model,
        "hardware": hardware(plan.device),
    }
