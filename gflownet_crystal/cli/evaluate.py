"""Judge structures, alone or against a reference set, or the sampler of a run: validity, coverage, stability and more.

Prints one JSON object, and writes it with a table of the metrics and one of the structures. A structure that fails is
counted, and the others are still judged. Features are kept in the cache; a run that was stopped goes on with the same
settings and resume=true. docs/metrics.md has every definition.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial

from gflownet_crystal.common.devices import find_device, set_threads
from gflownet_crystal.common.outputs import check_writable
from gflownet_crystal.common.values import path_setting
from gflownet_crystal.config.conditions import condition_values
from gflownet_crystal.config.request import Request
from gflownet_crystal.config.trained_runs import open_run
from gflownet_crystal.data.left_out import LeftOut
from gflownet_crystal.evaluation.compared_sets import Choices
from gflownet_crystal.evaluation.matching import Tolerances
from gflownet_crystal.evaluation.structure_metrics import COMPARING
from gflownet_crystal.gflownet.model import GFlowNet
from gflownet_crystal.workflows.data.tables import tell
from gflownet_crystal.workflows.evaluating.evaluating import (
    StructuresToJudge,
    evaluate_structures,
    write_figures,
)
from gflownet_crystal.workflows.evaluating.sampler_figures import sampler_figures
from gflownet_crystal.workflows.output_folder import open_output
from gflownet_crystal.workflows.settings.evaluate import EvaluateSettings

# keys of the computation, not of the result
_FREE = ("out", "cache", "processes", "executor", "device", "threads", "resume", "quiet", "metrics", "judge", "run",
         "sampler", "condition", "trust")  # fmt: skip


_LEFT_OUT = (
    f"left out: {', '.join(COMPARING)} and the distance of space groups, which compare to other structures; "
    "give reference=... for these"
)


def run(request: Request) -> None:
    """The verb ``evaluate``."""
    settings, given = settings_of(request), request.values()
    figures = _of_structures(settings, given) if settings.run is None else _of_sampler(settings, given)
    print(json.dumps(figures, indent=2))


def _of_sampler(settings: EvaluateSettings, given: Mapping[str, object]) -> dict[str, object]:
    chosen = {key: given[key] for key in ("run", "reference", "seed")}
    chosen |= {f"condition.{name}": value for name, value in settings.condition.items()}
    chosen |= {f"sampler.{key}": value for key, value in asdict(settings.sampler).items()}
    with open_output(settings.folder, chosen, settings.resume):
        left_out, folder = LeftOut(), path_setting(settings.run, "run")
        trained = open_run(folder, settings.device, settings.threads, settings.trust).at(settings.condition)
        model, reward = trained.parts.model, trained.parts.reward
        if model.conditions is not None:
            # one distribution is compared with its target
            model.conditions.fixed(1, trained.parts.device)

        def untrained() -> GFlowNet:
            return trained.untrained(settings.trust).at(settings.condition)

        prior = partial(trained.prior, settings.trust)
        figures = sampler_figures(settings, model, reward, untrained, prior, left_out)
        tell(left_out)
        return write_figures(settings.folder, figures)


def _of_structures(settings: EvaluateSettings, given: Mapping[str, object]) -> dict[str, object]:
    set_threads(settings.threads)
    asked = StructuresToJudge.of(settings)
    if asked.fills_cache and settings.cache is not None:
        check_writable(settings.cache / "features")
    decisive = {key: value for key, value in given.items() if key not in _FREE}
    decisive["relax"] = settings.relax.deciding()

    def begin() -> None:
        if settings.reference is None and settings.metrics is None:
            print(_LEFT_OUT, file=sys.stderr)

    return evaluate_structures(settings, asked, decisive, begin)


def settings_of(request: Request) -> EvaluateSettings:
    """Settings of ``evaluate``."""
    tolerances = request.settings_in(Tolerances, "matcher")
    choices = request.settings(
        Choices, device=str(find_device(request.value("device"))), tolerances=tolerances
    )
    return request.settings(EvaluateSettings, choices=choices, condition=condition_values(request))
