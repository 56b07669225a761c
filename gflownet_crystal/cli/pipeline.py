"""From a trained run to judged crystals: sample, rank, place atoms, relax, judge again; a table and one CIF each.

New and distinct specs of the better half by the proxy get atoms until k of them hold: possible contacts, near the hull
by an energy model, distinct; of some tries each the one of lowest energy is kept. The nearest to the hull can
be relaxed. candidates.csv has every spec that was tried, with what became of it and why it failed. Each stage is kept
on disk: a pipeline that was stopped goes on with the same settings and resume=true.
"""

from __future__ import annotations

import json
from dataclasses import replace

from omegaconf import DictConfig

from gflownet_crystal.cli.relax import chosen_model
from gflownet_crystal.cli.restricting import conditioning_of, restrictions
from gflownet_crystal.config.build import build, plain, plain_section, verb_settings
from gflownet_crystal.config.candidate_runs import candidate_source
from gflownet_crystal.config.compose import resolved
from gflownet_crystal.config.conditions import condition_values
from gflownet_crystal.config.parts import find_device, set_threads
from gflownet_crystal.generators.base import Generator
from gflownet_crystal.workflows.candidate_settings import PipelineSettings
from gflownet_crystal.workflows.pipeline import run_pipeline
from gflownet_crystal.workflows.pipeline_plan import Plan


def run(config: DictConfig) -> None:
    """The verb ``pipeline``."""
    config = resolved(config)
    settings = settings_of(config)
    set_threads(settings.threads)
    sections = {name: plain(config[name]) for name in ("generator", "restrict", "screening")}
    if settings.condition:
        sections["condition"] = dict(settings.condition)
    generator, device = build(config.generator, Generator, "generator"), find_device(settings.device)
    if settings.relax:
        model = chosen_model(settings.relax_model, settings.relax_version, "relax_model", settings.quiet)
        settings = replace(settings, relax_model=model)
    plan = Plan.of(settings, sections, generator, candidate_source(settings), device)
    print(json.dumps(run_pipeline(plan), indent=2))


def settings_of(config: DictConfig) -> PipelineSettings:
    """Settings of ``pipeline`` from its resolved configuration.

    Raises:
        ConfigError: a value is wrong.
    """
    section = plain_section(config.restrict, "restrict")
    return verb_settings(
        PipelineSettings,
        config,
        screening=plain_section(config.screening, "screening"),
        condition=condition_values(config),
        restrict=restrictions(section),
        exact=conditioning_of(section),
    )
