"""Learn from samples in rounds: place atoms, label them, train the spec proxy on them, and the sampler with it.

Each round draws distinct samples, places atoms and labels them by an energy network or a potential. It measures the
error of the spec proxy on a share of formulas that is never trained on, trains the proxy on the others (and on known
crystals), then the sampler with the new proxy. Each stage is kept on disk: a refinement that was stopped goes on with
the same settings and resume=true. The run folder of the last round is used as that of any training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from gflownet_crystal.common.checkpoint import TrainingStopped
from gflownet_crystal.common.commands import setting_word
from gflownet_crystal.common.devices import set_threads
from gflownet_crystal.common.files import write_json
from gflownet_crystal.common.run_schema import SUMMARY
from gflownet_crystal.config.refinements import planned
from gflownet_crystal.config.request import Request
from gflownet_crystal.workflows.output_folder import open_output
from gflownet_crystal.workflows.refining.figures import RoundFigures, rounds_table
from gflownet_crystal.workflows.refining.parts import Learned
from gflownet_crystal.workflows.settings.refine import RefineSettings, Refining


def run(request: Request) -> None:
    """The verb ``refine``."""
    settings = settings_of(request)
    set_threads(settings.threads)
    folder = settings.out
    refinement, start, decisive = planned(request, settings, (lambda line: None) if settings.quiet else print)
    with open_output(folder, decisive, settings.resume):
        try:
            rounds, learned = refinement.go(start)
        except TrainingStopped as stop:
            raise TrainingStopped(
                "finished work is kept; go on with the same command and resume=true"
            ) from stop
        write_json(folder / SUMMARY, _summary(rounds, learned, settings.rounds))
    print(rounds_table(rounds))
    print(f"sampler {learned.run}, spec proxy {learned.proxy}; figures of each round in {folder / SUMMARY}")
    print(
        f"its candidates: gflownet-crystal train_gfn {setting_word('run.dir', Path(learned.run))} resume=true"
    )


def settings_of(request: Request) -> RefineSettings:
    """Settings of ``refine``."""
    rounds = request.settings(Refining, relax=0)
    sections = {
        name: request.section(name) for name in ("training", "energy_loop", "prior_loop", "generator_loop")
    }
    settings = request.settings(RefineSettings, rounds=rounds, **sections)
    best = rounds.n if settings.relax_best is None else settings.relax_best
    return replace(settings, rounds=replace(rounds, relax=best if settings.relax_steps else 0))


def _summary(rounds: Sequence[RoundFigures], learned: Learned, settings: Refining) -> Mapping[str, object]:
    made: dict[str, object] = {"run": learned.run, "weights": learned.proxy}
    if settings.energy_model:
        made["energies"] = learned.energies
    if settings.generator_model:
        made |= {"generator": learned.generator, "ranking": learned.ranking}
    return {**made, "rounds": rounds}
