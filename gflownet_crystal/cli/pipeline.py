"""From a trained run to judged crystals: sample, rank, place atoms, relax, judge again; a table and one CIF each.

New and distinct specs of the better half by the proxy get atoms, until k of them pass: no impossible contacts, near the
hull by an energy model, distinct. Of several structures of a spec the one of lowest energy is kept. relax=N relaxes the
N candidates nearest to the hull. candidates.csv has every spec that was tried, with its result or the reason of its
failure. Each stage is kept on disk: a pipeline that was stopped goes on with the same settings and resume=true.
"""

from __future__ import annotations

import json
from dataclasses import replace

from gflownet_crystal.cli.relax import chosen_model
from gflownet_crystal.common.devices import find_device, set_threads
from gflownet_crystal.config.candidate_runs import candidate_source
from gflownet_crystal.config.conditions import condition_values
from gflownet_crystal.config.request import Request
from gflownet_crystal.generators.base import Generator
from gflownet_crystal.workflows.pipeline.pipeline import run_pipeline
from gflownet_crystal.workflows.pipeline.plan import Plan
from gflownet_crystal.workflows.sampling.restricting import conditioning_of, restrictions
from gflownet_crystal.workflows.settings.candidates import PipelineSettings


def run(request: Request) -> None:
    """The verb ``pipeline``."""
    settings = settings_of(request)
    set_threads(settings.threads)
    sections = {name: request.value(name) for name in ("generator", "restrict", "screening")}
    if settings.condition:
        sections["condition"] = dict(settings.condition)
    generator, device = request.build("generator", Generator), find_device(settings.device)
    if settings.relax:
        model = chosen_model(settings.relax_model, settings.relax_version, "relax_model", settings.quiet)
        settings = replace(settings, relax_model=model)
    plan = Plan.of(settings, sections, generator, candidate_source(settings), device)
    print(json.dumps(run_pipeline(plan), indent=2))


def settings_of(request: Request) -> PipelineSettings:
    """Settings of ``pipeline``."""
    section = request.section("restrict")
    return request.settings(
        PipelineSettings,
        screening=request.section("screening"),
        condition=condition_values(request),
        restrict=restrictions(section),
        exact=conditioning_of(section),
    )
