"""Plan of ``pipeline``: its settings, checked, and its models, loaded, before anything is written."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import torch

from gflownet_crystal.common.checkpoint import FOLDER
from gflownet_crystal.common.errors import CheckpointError
from gflownet_crystal.common.run_schema import CONFIG
from gflownet_crystal.generators.base import Generator
from gflownet_crystal.models.energies.choice import read_choice
from gflownet_crystal.relaxation.run import Loader
from gflownet_crystal.workflows.candidates.engine import Prepare, engine_of, preparation
from gflownet_crystal.workflows.candidates.source import CandidateSource
from gflownet_crystal.workflows.placing.placing import Placer
from gflownet_crystal.workflows.placing.property_columns import PropertyColumns
from gflownet_crystal.workflows.relaxing.relaxing import checked_loader, load_on
from gflownet_crystal.workflows.settings.candidates import PipelineSettings
from gflownet_crystal.workflows.settings.screening import Screening

_DECISIVE = ("k", "n", "choose_from", "tries", "energies", "hull", "batch_size", "seed")


@dataclass(frozen=True)
class Plan:
    """A pipeline, ready to run.

    Attributes:
        settings: settings of the verb, with names in the places of energy models.
        sections: generator, restriction and screening as they were given.
        device: device of all models.
        screening: selection of the candidates among the samples.
        placer: makes and rates structures.
        source: run that is sampled.
        prepare: prepares samples for the screening.
        load: makes the model that relaxes; None if none are.
        properties: further columns of the candidates, of properties with atoms.
    """

    settings: PipelineSettings
    sections: Mapping[str, object]
    device: torch.device
    screening: Screening
    placer: Placer
    source: CandidateSource
    prepare: Prepare
    load: Loader | None
    properties: PropertyColumns

    @classmethod
    def of(
        cls,
        settings: PipelineSettings,
        sections: Mapping[str, object],
        generator: Generator,
        source: CandidateSource,
        device: torch.device,
    ) -> Self:
        """The plan of some settings.

        Args:
            settings: settings of the verb; the model that relaxes is chosen.
            sections: generator, restriction and screening as they were given.
            generator: puts atoms into specs.
            source: run that is sampled.
            device: device of all models.

        Raises:
            ConfigError: a model is not there, or a setting does not fit the run.
        """
        screening, placer = engine_of(settings, generator, source, device)
        # a hull that the run's proxy does not need is for the energies with atoms alone
        path = settings.hull if source.has_hull else None
        return cls(
            settings=_named(settings),
            sections=sections,
            device=device,
            screening=screening,
            placer=placer,
            source=source,
            prepare=preparation(source, path, placer.hull),
            load=_loader(settings, device) if settings.relax else None,
            properties=PropertyColumns.of(settings.properties, device),
        )

    def decisive(self) -> dict[str, object]:
        """Settings that determine the structures, as JSON values; a resumed run must have the same."""
        values = {name: getattr(self.settings, name) for name in _DECISIVE}
        return values | dict(self.sections) | {"run": _fingerprint(self.settings.run)}

    @property
    def relax_model(self) -> str | None:
        """Name of the model that relaxes; None where nothing is relaxed."""
        return str(self.settings.relax_model) if self.settings.relax else None

    @property
    def judge(self) -> str | None:
        """Name of the model that rates structures; None for none."""
        return None if self.settings.energies is None else str(self.settings.energies)

    @property
    def energy_source(self) -> str | None:
        """Name of the model that gives candidates their energies; None for none."""
        return self.relax_model if self.judge is None else self.judge


def _named(settings: PipelineSettings) -> PipelineSettings:
    """The settings with names in the places of models that are calculators' classes with arguments."""
    judge, relaxer = settings.energies, settings.relax_model
    return replace(
        settings,
        energies=read_choice(judge).described if isinstance(judge, Mapping) else judge,
        relax_model=read_choice(relaxer).described if isinstance(relaxer, Mapping) else relaxer,
    )


def _loader(settings: PipelineSettings, device: torch.device) -> Loader:
    """Makes the model that relaxes."""
    load = functools.partial(load_on, settings.relax_model, settings.relax_version, str(device))
    return checked_loader(load, settings.executor)


def _fingerprint(folder: Path) -> str:
    """A digest of a run's settings and of which checkpoints it has."""
    path = folder / CONFIG
    if not path.is_file():
        raise CheckpointError(f"{folder} is not a run folder (no {CONFIG}); give the run.dir of a training")
    checkpoints = sorted(entry.name for entry in (folder / FOLDER).glob("*.safetensors"))
    return hashlib.sha256(path.read_bytes() + "".join(checkpoints).encode()).hexdigest()
