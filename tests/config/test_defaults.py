"""Defaults of verbs are the same on the command line and in Python."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from gflownet_crystal.cli.evaluate import settings_of as evaluate_settings
from gflownet_crystal.cli.export import settings_of as export_settings
from gflownet_crystal.cli.generate import settings_of as generate_settings
from gflownet_crystal.cli.pipeline import settings_of as pipeline_settings
from gflownet_crystal.cli.references import settings_of as reference_settings
from gflownet_crystal.cli.refine import settings_of as refine_settings
from gflownet_crystal.cli.relax import settings_of as relax_settings
from gflownet_crystal.cli.sample import settings_of as sample_settings
from gflownet_crystal.cli.train_denoiser import settings_of as denoiser_settings
from gflownet_crystal.cli.train_energy import settings_of as energy_settings
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.config.compose import compose_config
from gflownet_crystal.config.request import Request
from gflownet_crystal.config.training import sampler_settings
from gflownet_crystal.workflows.settings.candidates import CandidateSettings, ExportSettings, PipelineSettings
from gflownet_crystal.workflows.settings.common import DeviceSettings, VerbSettings
from gflownet_crystal.workflows.settings.data import (
    EvaluateProxySettings,
    FetchDataSettings,
    PrepareDataSettings,
    ReferencesSettings,
    ReportSettings,
)
from gflownet_crystal.workflows.settings.evaluate import EvaluateSettings
from gflownet_crystal.workflows.settings.predict import PredictSettings
from gflownet_crystal.workflows.settings.refine import RefineSettings, Refining
from gflownet_crystal.workflows.settings.screening import Screening
from gflownet_crystal.workflows.settings.training import (
    NetworkSettings,
    TrainDenoiserSettings,
    TrainEnergySettings,
    TrainGfnSettings,
    TrainPriorSettings,
    TrainProxySettings,
)
from gflownet_crystal.workflows.settings.verbs import GenerateSettings, RelaxSettings, SampleSettings

A, B = Path("a"), Path("b")


NEEDED = {
    SampleSettings: {"run": A, "out": B},
    GenerateSettings: {"specs": A, "out": B},
    RelaxSettings: {"structures": A, "out": B},
    CandidateSettings: {"run": A, "out": B, "screening": {}},
    EvaluateSettings: {"structures": A},
    PrepareDataSettings: {"source": A, "hull": Path("b.parquet")},
    ReferencesSettings: {"model": "c"},
    EvaluateProxySettings: {"data": A},
    ReportSettings: {"run": A},
    PredictSettings: {"formula": "NaCl", "out": B},
    TrainProxySettings: {"data": A},
    NetworkSettings: {"data": A},
    RefineSettings: {"run": A, "out": B, "training": {"ensemble": "mlp"}},
}


def composed(verb: str, *words: str) -> Request:
    return Request(compose_config(verb, words))


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
    ("verb", "kind", "words"),
    [
        ("fetch_data", FetchDataSettings, ()),
        ("prepare_data", PrepareDataSettings, ("source=a", "out=b.parquet")),
        ("references", ReferencesSettings, ("model=c",)),
        ("evaluate_proxy", EvaluateProxySettings, ("data=a",)),
        ("report", ReportSettings, ("run=a",)),
        ("predict", PredictSettings, ("formula=NaCl", "out=b")),
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
def test_other_verbs_have_the_defaults_of_their_dataclasses(verb, kind, words):
    given = {name: word for name, _, word in (one.partition("=") for one in words)}
    given = {name: {"a": (A,), "b": B}.get(word, word) for name, word in given.items()}
    if kind is ReportSettings:
        given["run"] = A
    if kind is PrepareDataSettings:
        given["out"] = Path("b.parquet")
    request = composed(verb, *words)
    made = reference_settings(request) if verb == "references" else request.settings(kind)
    assert made == kind(**given)


@pytest.mark.parametrize("kind", VerbSettings.__subclasses__() + DeviceSettings.__subclasses__())
def test_common_keys_are_checked_by_their_names(kind):
    names = {field.name for field in fields(kind)}
    assert kind.checks.keys() <= names
    flags = names & {"quiet", "resume", "overwrite", "trust"}
    for name in flags:
        with pytest.raises(ConfigError, match=f"^{name} must be true or false, not 1$"):
            kind(**NEEDED.get(kind, {}), **{name: 1})


@pytest.mark.parametrize(
    ("verb", "settings_of", "kind"),
    [("export", export_settings, ExportSettings), ("pipeline", pipeline_settings, PipelineSettings)],
)
def test_verbs_of_candidates_have_the_defaults_of_their_dataclasses(verb, settings_of, kind):
    request = composed(verb, "run=a", "out=b")
    section = request.section("screening")
    assert settings_of(request) == kind(A, B, section)
    # null follows from the run
    stated = {name: value for name, value in section.items() if value is not None and name != "contacts"}
    assert stated and stated == {name: getattr(Screening(), name) for name in stated}


def test_rounds_of_a_refinement_have_the_defaults_of_their_dataclass():
    config = compose_config("refine", [])
    names = [field.name for field in fields(Refining) if field.name in config]
    stated = {name: OmegaConf.select(config, name) for name in names}
    assert len(stated) > 5 and stated == {name: getattr(Refining(), name) for name in names}


def test_trainings_have_the_defaults_of_their_dataclasses():
    # the loop is that of each verb's configuration, the network and its passes are chosen by name
    energy = energy_settings(composed("train_energy", "data=a"))
    assert energy == TrainEnergySettings(data=(A,), model=energy.model, holdout=0.04)
    denoiser = denoiser_settings(composed("train_denoiser", "data=a"))
    expected = TrainDenoiserSettings(data=(A,), model=denoiser.model, passing=denoiser.passing, max_atoms=20)
    validated = replace(expected.denoising, validated=1024)
    assert denoiser == replace(expected, denoising=validated, loop=denoiser.loop)
    prior = composed("train_prior", "data=a").settings(TrainPriorSettings)
    assert prior == TrainPriorSettings(data=(A,), loop=prior.loop)
    assert composed("train_proxy", "data=a").settings(TrainProxySettings) == TrainProxySettings(data=A)
    sampler = sampler_settings(composed("train_gfn"))
    assert sampler == TrainGfnSettings(screening=sampler.screening)
    refinement = refine_settings(composed("refine", "run=a", "out=b"))
    sections = {
        name: getattr(refinement, name)
        for name in ("training", "energy_loop", "prior_loop", "generator_loop")
    }
    assert refinement == RefineSettings(run=A, out=B, **sections)


def test_a_default_that_differs_is_found():
    assert sample_settings(composed("sample", "run=a", "out=b", "n=3")) != SampleSettings(A, B)
