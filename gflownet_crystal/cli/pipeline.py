"""From a trained run to judged crystals: sample, rank, place atoms, relax, judge again; a table and one CIF each.

The best distinct specs get atoms until k have them, or more, of which the energy model chooses k; of some tries each
the one is kept that it likes best. The best of those can be relaxed. candidates.csv has every spec that was tried,
with what became of it and why it failed. Each stage is kept on disk: a pipeline that was stopped goes on with the
same settings and resume=true.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from omegaconf import DictConfig, OmegaConf

from gflownet_crystal.cli.candidates import Candidates, with_results, write_candidates
from gflownet_crystal.cli.compose import resolved
from gflownet_crystal.cli.export import predicted_above_hull
from gflownet_crystal.cli.generate import judged_energies
from gflownet_crystal.cli.output_folder import open_output
from gflownet_crystal.cli.parts import set_threads
from gflownet_crystal.cli.pipeline_plan import Plan
from gflownet_crystal.cli.pipeline_stages import (
    Placement,
    Stopwatch,
    place_best,
    relax_best,
    sampled,
    why_unplaced,
)
from gflownet_crystal.cli.pipeline_table import (
    Ended,
    best_first,
    candidates_table,
    ended,
    judged,
    outranked_rows,
    summarise,
    unplaced_rows,
)
from gflownet_crystal.cli.sample import sample_run
from gflownet_crystal.cli.summary import hardware
from gflownet_crystal.cli.values import flag
from gflownet_crystal.common.errors import DataError
from gflownet_crystal.common.files import write_json
from gflownet_crystal.evaluation.ranking import HULL_COLUMN
from gflownet_crystal.report.run_files import JUDGED_HULL
from gflownet_crystal.structures.frames import frame_to_structures
from gflownet_crystal.structures.structure import StructureBatch

SUMMARY = "summary.json"
_SAMPLING_BATCH = 2048


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
    watch = Stopwatch(plan.out)
    with watch.time("sampling"):
        frame = _samples(plan)
    with watch.time("generating"):
        placement = place_best(
            plan.out, frame, plan.selection, plan.maker, plan.choose_from, plan.config.batch_size, plan.quiet
        )
    if not placement.n_placed:
        raise DataError(f"none of {len(placement.tried)} distinct samples got atoms: draw more with n=")
    candidates = _candidates(plan, frame, placement, watch)
    write_candidates(plan.out, candidates)
    summary = _about(plan, len(frame)) | summarise(candidates.frame, plan.k, watch.seconds)
    write_json(plan.out / SUMMARY, summary)
    return summary


def _samples(plan: Plan) -> pd.DataFrame:
    """Samples of the run with ``e_above_hull``, one row each."""
    batch, config = min(_SAMPLING_BATCH, plan.n), plan.config
    frame = sampled(
        plan.out,
        plan.n,
        lambda tell: with_results(
            sample_run(
                plan.run,
                plan.n,
                config.seed,
                str(plan.device),
                batch_size=batch,
                restrict=plan.restrict,
                exact=plan.exact,
                threads=config.threads,
                trust=flag(config.trust, "trust"),
                after_batch=tell,
            )
        ),
        plan.quiet,
    )
    return frame.assign(**{HULL_COLUMN: predicted_above_hull(frame, *plan.predicted)})


def _candidates(plan: Plan, frame: pd.DataFrame, placement: Placement, watch: Stopwatch) -> Candidates:
    tried = placement.table()
    made, symprec = frame_to_structures(tried), plan.relaxation.symprec
    tried = tried.assign(**{JUDGED_HULL: _above_hull(plan, tried, made)})
    # in the order of their specs
    kept = np.sort(best_first(tried[JUDGED_HULL])[: plan.k])
    placed, made = tried.iloc[kept].reset_index(drop=True), made[torch.from_numpy(kept)]
    before = placed["formation_energy_per_atom"].to_numpy(dtype=np.float64)
    records: dict[int, dict[str, Any]] = {}
    if plan.load is not None:
        best = best_first(placed[JUDGED_HULL])[: plan.n_relaxed].tolist()
        with watch.time("relaxing"):
            records = relax_best(
                plan.out,
                made,
                best,
                plan.load,
                plan.model,
                plan.relaxation,
                plan.config.processes,
                plan.quiet,
            )
    with watch.time("judging"):
        final = ended(made, records, symprec)
        before, after = _energies(plan, before, final, records)
        energies = judged(before, after, final.structures, plan.hull, plan.config.energies)
        rows = placement.unplaced()
        left_out = [
            outranked_rows(frame, tried.drop(index=kept)),
            unplaced_rows(frame, rows, why_unplaced(frame.iloc[rows])),
        ]
        return candidates_table(frame, placed, left_out, final, records, energies, symprec)


def _above_hull(plan: Plan, placed: pd.DataFrame, made: StructureBatch) -> pd.Series:
    """Of structures as generated, eV/atom; NaN where nobody judged."""
    before = placed["formation_energy_per_atom"].to_numpy(dtype=np.float64)
    unknown = np.full_like(before, np.nan)
    return judged(before, unknown, made, plan.hull, plan.config.energies)[JUDGED_HULL]


def _energies(
    plan: Plan, before: NDArray[np.float64], final: Ended, records: dict[int, dict[str, Any]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Energies (n,) eV/atom as generated and after relaxation: by the judge, else by what relaxed them."""
    before, after = before.copy(), np.full_like(before, np.nan)
    moved = np.flatnonzero(final.moved)
    if plan.maker.judge is not None and len(moved):
        structures = final.structures[torch.from_numpy(moved)].to(plan.device)
        after[moved] = judged_energies(structures, plan.maker.judge).cpu().numpy()
    elif len(moved):
        before[moved] = [records[row]["energy_before"] for row in moved.tolist()]
        after[moved] = [records[row]["energy_after"] for row in moved.tolist()]
    return before, after


def _about(plan: Plan, n_samples: int) -> dict[str, Any]:
    """What was asked for, as JSON has it."""
    config = plan.config
    return {
        "run": str(plan.run),
        "out": str(plan.out),
        "k": plan.k,
        "samples": n_samples,
        "choose_from": plan.choose_from,
        "tries": config.tries,
        "generator": OmegaConf.to_container(config.generator),
        "energies": config.energies,
        "relax": plan.n_relaxed,
        "relax_model": config.relax_model if plan.n_relaxed else None,
        "hardware": hardware(plan.device),
    }
