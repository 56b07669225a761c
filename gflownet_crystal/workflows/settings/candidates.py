"""Settings of the verbs that make candidates of a run, checked when they are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from gflownet_crystal.common.bounds import Count
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.common.executors import Executor, LocalProcesses
from gflownet_crystal.common.values import at_least, check_fields, optional, path_text, whole_number
from gflownet_crystal.relaxation.settings import RelaxationSettings
from gflownet_crystal.structures.writing import CIF
from gflownet_crystal.workflows.sampling.conditioning import Conditioning
from gflownet_crystal.workflows.settings.common import Checks, DeviceSettings
from gflownet_crystal.workflows.settings.verbs import EnergyModel, with_cifs

SAMPLES_A_CANDIDATE = 100


@dataclass(frozen=True)
class CandidateSettings(DeviceSettings):
    """Settings that ``export`` and ``pipeline`` share, without the generator.

    Attributes:
        run: run folder to sample from.
        out: folder for tables and structures.
        screening: settings of :class:`~gflownet_crystal.workflows.settings.screening.Screening` as they were given.
        k: number of candidates.
        n: number of samples to choose from at first; None for the usual number.
        choose_from: number of specs that pass, of which the k best are kept; None for k.
        tries: number of structures of a promising spec.
        energies: energy model that rates structures; None for none.
        properties: weights of properties with atoms, whose values go in the table; None for none.
        hull: reference hull by name or file; None for that of the run.
        batch_size: number of specs that get atoms at a time.
        format: file formats of structures, CIF among them.
        condition: values of the run's conditions by name; the others are drawn for each sample.
        seed: random seed of sampling and placement.
        trust: whether classes from outside this package are built that the run folder names.
    """

    run: Path
    out: Path
    screening: Mapping[str, object]
    k: int = 100
    n: Count | None = None
    choose_from: int | None = None
    tries: int = 1
    energies: EnergyModel | None = "alignn"
    properties: tuple[Path, ...] | None = None
    hull: str | None = None
    batch_size: int = 32
    format: tuple[str, ...] = (CIF,)
    condition: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0
    trust: bool = False

    checks: ClassVar[Checks] = {"format": with_cifs, "hull": optional(path_text)}


@dataclass(frozen=True)
class ExportSettings(CandidateSettings):
    """Settings of ``export``, without the generator.

    Attributes:
        samples: spec file to choose from; None for the samples of the run.
        overwrite: whether earlier candidates are replaced.
    """

    samples: Path | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.samples is not None and self.n is not None:
            raise ConfigError("samples and n are both given: choose from a file, or draw new samples")
        if self.condition and self.n is None:
            raise ConfigError(
                f"condition.{next(iter(self.condition))} applies to new samples only: give their number, as n=10000"
            )


@dataclass(frozen=True)
class PipelineSettings(CandidateSettings):
    """Settings of ``pipeline``, without the generator.

    Attributes:
        batch_size: number of specs that get atoms at a time.
        tries: number of structures of a promising spec.
        relax: number of candidates to relax.
        relax_model: energy model that relaxes them; ``auto`` for the best that is installed.
        relax_version: version of that model; None for its first.
        relaxation: settings of the relaxations.
        restrict: restriction of the sampled space, as arguments of the environment's ``restrict``.
        exact: conditioning of the sampler's distribution on the restriction; None for its policy under tighter masks.
        executor: place of the separate pieces of work.
        resume: whether to continue an earlier run in ``out``.
    """

    batch_size: int = 128
    tries: int = 4
    relax: int = 0
    relax_model: EnergyModel = "auto"
    relax_version: str | None = None
    relaxation: RelaxationSettings = field(default_factory=RelaxationSettings)
    restrict: Mapping[str, object] = field(default_factory=dict)
    exact: Conditioning | None = None
    executor: Executor = field(default_factory=LocalProcesses)
    resume: bool = False

    checks: ClassVar[Checks] = {
        **CandidateSettings.checks,
        "relax": lambda value, key: whole_number(value or 0, key, 0),
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.choose_from is not None and self.energies is None:
            raise ConfigError(
                "choose_from needs energies to choose by: set energies=alignn, or choose_from=null"
            )
        check_fields(self, choose_from=optional(at_least(self.k)))

    @property
    def n_samples(self) -> int:
        """Number of samples to choose from at first."""
        return SAMPLES_A_CANDIDATE * self.k if self.n is None else self.n
