"""Settings of the verbs that sample, place atoms and relax, checked when they are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Final

from gflownet_crystal.common.bounds import Count
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.common.values import one_of
from gflownet_crystal.relaxation.settings import RelaxationSettings
from gflownet_crystal.structures.cif_reading import FORMULA_CHECKS
from gflownet_crystal.structures.writing import CIF, formats_setting
from gflownet_crystal.workflows.sampling.conditioning import Conditioning
from gflownet_crystal.workflows.settings.common import Checks, DeviceSettings

EnergyModel = str | Mapping[str, object]
"""Name of an energy model, or the class and arguments of a calculator."""

BEST: Final = "best"
KEPT_TRIES = ("all", BEST)


def with_cifs(value: object, key: str) -> tuple[str, ...]:
    """Formats of structures, CIF among them."""
    return formats_setting(value, key, always=[CIF])


@dataclass(frozen=True)
class SampleSettings(DeviceSettings):
    """Settings of ``sample``.

    Attributes:
        run: run folder to sample from.
        out: table to write, .parquet or .csv.
        n: number of objects.
        seed: random seed of the sampling.
        batch_size: number of trajectories at once.
        condition: values of the run's conditions by name; the others are drawn for each sample.
        restrict: restriction of the sampled space, as arguments of the environment's ``restrict``.
        exact: conditioning of the sampler's distribution on the restriction; None for its policy under tighter masks.
        overwrite: whether an earlier table is replaced.
        trust: whether classes from outside this package are built that the run folder names.
    """

    run: Path
    out: Path
    n: Count = 10_000
    seed: int = 0
    batch_size: int = 2048
    condition: Mapping[str, float] = field(default_factory=dict)
    restrict: Mapping[str, object] = field(default_factory=dict)
    exact: Conditioning | None = None
    overwrite: bool = False
    trust: bool = False


@dataclass(frozen=True)
class GenerateSettings(DeviceSettings):
    """Settings of ``generate``, without the generator.

    Attributes:
        out: folder for tables and structures.
        specs: file of specs, or crystals whose specs are taken; None where a run is given.
        run: run folder whose samples are the specs.
        formula_check: treatment of CIFs whose own formula differs from the structure: ``refuse`` or ``warn``.
        n: number of specs, the first of the file; None for all.
        tries: number of structures of each spec.
        keep: tries to keep: ``all``, or ``best``.
        judge: energy model that rates the structures; None for none.
        properties: weights of properties with atoms, whose values go in the table; None for none.
        batch_size: number of specs at a time.
        format: file formats of structures beside the table.
        seed: random seed of the first try.
        resume: whether to continue an earlier run in ``out``.
    """

    out: Path
    specs: Path | None = None
    run: Path | None = None
    formula_check: str = FORMULA_CHECKS[0]
    n: Count | None = None
    tries: int = 1
    keep: str = KEPT_TRIES[0]
    judge: EnergyModel | None = None
    properties: tuple[Path, ...] | None = None
    batch_size: int = 64
    format: tuple[str, ...] = ("cif", "extxyz")
    seed: int = 0
    resume: bool = False

    checks: ClassVar[Checks] = {
        "keep": one_of(KEPT_TRIES),
        "format": formats_setting,
    }

    def __post_init__(self) -> None:
        if (self.specs is None) == (self.run is None):
            raise ConfigError("give either specs=FILE or run=DIR")
        super().__post_init__()


@dataclass(frozen=True)
class RelaxSettings(DeviceSettings):
    """Settings of ``relax``.

    Attributes:
        structures: file or folder of the crystals.
        out: folder for tables and structures.
        relaxation: settings of the relaxations.
        formula_check: treatment of CIFs whose own formula differs from the structure: ``refuse`` or ``warn``.
        model: energy model; ``auto`` for the best that is installed.
        version: version of the model; None for its first.
        format: file formats of structures, CIF among them.
        processes: number of batches at once.
        resume: whether to continue an earlier run in ``out``.
    """

    structures: Path
    out: Path
    relaxation: RelaxationSettings = field(default_factory=RelaxationSettings)
    formula_check: str = FORMULA_CHECKS[0]
    model: EnergyModel = "auto"
    version: str | None = None
    format: tuple[str, ...] = (CIF,)
    processes: int = 1
    resume: bool = False

    checks: ClassVar[Checks] = {"format": with_cifs}
