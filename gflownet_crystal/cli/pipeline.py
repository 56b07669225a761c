"""From a trained run to judged crystals: sample, rank, place atoms, relax, judge again; a table and one CIF each.

New and distinct specs of the better half by the proxy get atoms until k of them hold: possible contacts, near the hull
by an energy model, distinct; of some tries each the one of lowest energy is kept. The nearest to the hull can
be relaxed. candidates.csv has every spec that was tried, with what became of it and why it failed. Each stage is kept
on disk: a pipeline that was stopped goes on with the same settings and resume=true.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from omegaconf import DictConfig, OmegaConf

from gflownet_crystal.cli.export import SHORTAGE
from gflownet_crystal.cli.pipeline_plan import Plan
from gflownet_crystal.cli.pipeline_stages import Stopwatch, growing_samples, kept_samples, relax_best
from gflownet_crystal.cli.pipeline_table import (
    Ended,
    best_first,
    candidates_table,
    ended,
    judged,
    repeated,
    summarise,
    whole_table,
)
from gflownet_crystal.cli.sample import sample_run
from gflownet_crystal.cli.screened import further_samples
from gflownet_crystal.cli.summary import hardware
from gflownet_crystal.common.errors import DataError
from gflownet_crystal.common.files import write_json
from gflownet_crystal.common.interrupt import stop_on_signal
from gflownet_crystal.common.progress import Progress
from gflownet_crystal.config.compose import resolved
from gflownet_crystal.config.parts import set_threads
from gflownet_crystal.config.values import flag
from gflownet_crystal.data.schema import ENERGY_COLUMN, HULL_COLUMN, JUDGED_HULL
from gflownet_crystal.proxies.known_compounds import KnownCompounds
from gflownet_crystal.structures.frames import frame_to_structures
from gflownet_crystal.workflows.candidates import Candidates, with_results, write_candidates
from gflownet_crystal.workflows.further import FURTHER, with_entries
from gflownet_crystal.workflows.hulls import predicted_above_hull
from gflownet_crystal.workflows.output_folder import open_output
from gflownet_crystal.workflows.placing import judged_energies
from gflownet_crystal.workflows.screening import Outcome, Search

SUMMARY = "summary.json"


def run(config: DictConfig) -> None:
    """The verb ``pipeline``."""
    config = resolved(config)
    set_threads(config.threads)
    plan = Plan.of(config)
    with open_output(plan.out, plan.decisive(), flag(config.resume, "resume")):
        summary = _fill(plan)
    print(json.dumps(summary, indent=2))


def _fill(plan: Plan) -> dict[str, Any]:
    """Go through the stages that the folder lacks; the summary."""
    watch, known = Stopwatch(plan.out), KnownCompounds.from_weights()
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
    write_candidates(plan.out, whole_table(candidates), plan.formats, plan.energy_source)
    summary = _about(plan, outcome) | summarise(candidates, plan.k, watch.seconds)
    write_json(plan.out / SUMMARY, summary)
    return summary


def _reasons(outcome: Outcome) -> str:
    """Number of specs left out for each reason."""
    counts = outcome.left_out["status"].value_counts()
    return ", ".join(f"{count} {status}" for status, count in counts.items()) or "none was new and distinct"


def _first_samples(plan: Plan, watch: Stopwatch) -> pd.DataFrame:
    """Samples of the run that the folder holds, drawn if it has none."""
    config = plan.config

    def draw() -> pd.DataFrame:
        with Progress(plan.n, 0, "sampling", plan.quiet) as progress:
            return with_results(
                sample_run(
                    plan.run,
                    plan.n,
                    config.seed,
                    str(plan.device),
                    batch_size=min(FURTHER, plan.n),
                    restrict=plan.restrict,
                    exact=plan.exact,
                    threads=config.threads,
                    trust=flag(config.trust, "trust"),
                    after_batch=lambda drawn: progress.advance(
                        f"{drawn} of {plan.n} samples", drawn - progress.done
                    ),
                )
            )

    with watch.time("sampling"):
        return kept_samples(plan.out, draw)


def _search(plan: Plan, first: pd.DataFrame, known: KnownCompounds) -> Search:
    """The screening of the samples, and of further ones where they do not suffice."""
    config, draw = plan.config, None
    # samples under an exact restriction have weights that hold for all of them together
    if plan.exact is None:
        trust = flag(config.trust, "trust")
        draw = further_samples(plan.run, config.seed, str(plan.device), trust, plan.restrict)
    samples = (
        with_entries(
            with_results(frame).assign(**{HULL_COLUMN: predicted_above_hull(frame, *plan.predicted)}),
            plan.hull,
        )
        for frame in growing_samples(plan.out, first, plan.n, draw)
    )
    return Search(samples, plan.screening, plan.placer, known, plan.out)


def _trying(plan: Plan, search: Search, n: int, work: Callable[[], None]) -> None:
    """Let a screening work towards n candidates, with progress, until a signal asks for a stop."""
    with stop_on_signal() as should_stop, Progress(n, 0, "generating", plan.quiet) as progress:

        def tell(words: str, gained: int) -> None:
            progress.advance(words, gained)
            if should_stop():
                raise KeyboardInterrupt("what is done is kept; go on with the same command and resume=true")

        search.tell = tell
        work()


def _relaxed(plan: Plan, search: Search, watch: Stopwatch) -> tuple[set[int], dict[int, dict[str, Any]]]:
    """Relax the best candidates; of those that end as one crystal all but one give way to the next, until none do.

    Returns:
        Rows of the samples that gave way, and records of relaxations by row of the sample.
    """
    doubles: set[int] = set()
    while plan.load is not None:
        wanted = plan.k + len(doubles)
        if wanted > len(search.queue):
            with watch.time("generating"):
                _trying(plan, search, wanted, functools.partial(search.supply, wanted))
        rows = search.queue["row"].to_numpy(dtype=np.int64)
        structures = frame_to_structures(search.queue)
        places = np.flatnonzero(~np.isin(rows, list(doubles)))[: plan.k]
        best = places[best_first(search.queue[JUDGED_HULL].iloc[places])[: plan.n_relaxed]].tolist()
        with watch.time("relaxing"):
            records = relax_best(
                plan.out,
                structures,
                best,
                plan.load,
                plan.model,
                plan.relaxation,
                plan.config.processes,
                plan.quiet,
            )
        final = ended(structures, records, plan.relaxation.symprec)
        found = repeated(final, places)
        if not found:
            return doubles, {int(rows[place]): record for place, record in records.items()}
        doubles |= {int(rows[place]) for place in found}
    return doubles, {}


def _candidates(
    plan: Plan,
    outcome: Outcome,
    known: KnownCompounds,
    records: dict[int, dict[str, Any]],
    watch: Stopwatch,
) -> Candidates:
    symprec, placed, made = plan.relaxation.symprec, outcome.placed, frame_to_structures(outcome.placed)
    before = placed[ENERGY_COLUMN].to_numpy(dtype=np.float64)
    records = {place: records[row] for place, row in enumerate(placed["row"].tolist()) if row in records}
    with watch.time("judging"):
        final = ended(made, records, symprec)
        before, after = _energies(plan, before, final, records)
        energies = judged(before, after, final.structures, plan.hull, plan.config.energies)
        return candidates_table(outcome, known, final, records, energies, symprec)


def _energies(
    plan: Plan, before: NDArray[np.float64], final: Ended, records: dict[int, dict[str, Any]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Energies (n,) eV/atom as generated and after relaxation: by the judge, else by what relaxed them."""
    before, after = before.copy(), np.full_like(before, np.nan)
    moved = np.flatnonzero(final.moved)
    if plan.placer.judge is not None and len(moved):
        structures = final.structures[torch.from_numpy(moved)].to(plan.device)
        after[moved] = judged_energies(structures, plan.placer.judge)[0].cpu().numpy()
    elif len(moved):
        before[moved] = [records[row]["energy_before"] for row in moved.tolist()]
        after[moved] = [records[row]["energy_after"] for row in moved.tolist()]
    return before, after


def _about(plan: Plan, outcome: Outcome) -> dict[str, Any]:
    """Settings of the run, as JSON values."""
    config = plan.config
    return {
        "run": str(plan.run),
        "out": str(plan.out),
        "k": plan.k,
        "samples": len(outcome.frame),
        "choose_from": plan.screening.target,
        "screening": asdict(plan.screening),
        "funnel": outcome.funnel,
        "tries": config.tries,
        "generator": OmegaConf.to_container(config.generator),
        "energies": config.energies,
        "relax": plan.n_relaxed,
        "relax_model": config.relax_model if plan.n_relaxed else None,
        "hardware": hardware(plan.device),
    }
