"""Defaults of verbs are the same on the command line and in Python."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest
from omegaconf import DictConfig, OmegaConf

from gflownet_crystal.cli.evaluate import settings_of as evaluate_settings
from gflownet_crystal.cli.export import settings_of as export_settings
from gflownet_crystal.cli.generate import settings_of as generate_settings
from gflownet_crystal.cli.pipeline import settings_of as pipeline_settings
from gflownet_crystal.cli.relax import settings_of as relax_settings
from gflownet_crystal.cli.sample import settings_of as sample_settings
from gflownet_crystal.config.build import plain_section
from gflownet_crystal.config.compose import compose_config, resolved
from gflownet_crystal.workflows.candidate_settings import ExportSettings, PipelineSettings
from gflownet_crystal.workflows.evaluate_settings import EvaluateSettings
from gflownet_crystal.workflows.refining_parts import Refining
from gflownet_crystal.workflows.settings import Screening
from gflownet_crystal.workflows.verb_settings import GenerateSettings, RelaxSettings, SampleSettings

A, B = Path("a"), Path("b")


def composed(verb: str, *words: str) -> DictConfig:
    return resolved(compose_config(verb, words))


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (lambda: sample_settings(composed("sample", "run=a", "out=b")), SampleSettings(A, B)),
        (lambda: generate_settings(composed("generate", "specs=a", "out=b")), GenerateSettings(B, A)),
        (lambda: relax_settings(composed("relax", "structures=a", "out=b")), RelaxSettings(A, B)),
        (lambda: evaluate_settings(composed("evaluate", "structures=a")), EvaluateSettings(structures=A)),
    ],
    ids=["sample", "generate", "relax", "evaluate"],
)
def test_a_verb_has_the_defaults_of_its_dataclass(made, expected):
    assert made() == expected


@pytest.mark.parametrize(
    ("verb", "settings_of", "kind"),
    [("export", export_settings, ExportSettings), ("pipeline", pipeline_settings, PipelineSettings)],
)
def test_verbs_of_candidates_have_the_defaults_of_their_dataclasses(verb, settings_of, kind):
    config = composed(verb, "run=a", "out=b")
    section = plain_section(config.screening, "screening")
    assert settings_of(config) == kind(A, B, section)
    # null follows from the run
    stated = {name: value for name, value in section.items() if value is not None and name != "contacts"}
    assert stated and stated == {name: getattr(Screening(), name) for name in stated}


def test_rounds_of_a_refinement_have_the_defaults_of_their_dataclass():
    config = compose_config("refine", [])
    names = [field.name for field in fields(Refining) if field.name in config]
    stated = {name: OmegaConf.select(config, name) for name in names}
    assert len(stated) > 5 and stated == {name: getattr(Refining(), name) for name in names}


def test_a_default_that_differs_is_found():
    assert sample_settings(composed("sample", "run=a", "out=b", "n=3")) != SampleSettings(A, B)
