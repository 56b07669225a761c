"""Settings of the verbs that sample, place atoms and relax, checked when they are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.common.values import (
    at_least,
    check_fields,
    flag,
    one_of,
    optional,
    path_setting,
    seed_number,
    thread_count,
)
from gflownet_crystal.relaxation.settings import RelaxationSettings
from gflownet_crystal.structures.cif_reading import FORMULA_CHECKS
from gflownet_crystal.structures.writing import CIF, formats_setting
from gflownet_crystal.workflows.conditioning import Conditioning

EnergyModel = str | Mapping[str, object]
"""Name of an energy model, or the class and arguments of a calculator."""

BEST: Final = "best"
KEPT_TRIES = ("all", BEST)


def with_cifs(value: object, key: str) -> tuple[str, ...]:
    """Formats of structures, CIF among them.

    Raises:
        ConfigError: one is unknown.
    """
    return formats_setting(value, key, always=[CIF])


@dataclass(frozen=True)
class SampleSettings:
    """Settings of ``sample``.

    Attributes:
        run: run folder to sample from.
        out: table to write, .parquet or .csv.
        n: number of objects.
        seed: random seed of the sampling.
        batch_size: number of trajectories at once.
        restrict: restriction of the sampled space, as arguments of the environment's ``restrict``.
        exact: conditioning of the sampler's distribution on the restriction; None for its policy under tighter masks.
        overwrite: whether an earlier table is replaced.
        device: name of the device, or ``auto``.
        threads: number of CPU threads; None for PyTorch's choice.
        trust: whether classes from outside this package are built that the run folder names.
    """

    run: Path
    out: Path
    n: int = 10_000
    seed: int = 0
    batch_size: int = 2048
    restrict: Mapping[str, object] = field(default_factory=dict)
    exact: Conditioning | None = None
    overwrite: bool = False
    device: str = "auto"
    threads: int | None = None
    trust: bool = False

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ConfigError: one is wrong.
        """
        check_fields(
            self,
            out=path_setting,
            run=path_setting,
            n=at_least(1),
            seed=seed_number,
            batch_size=at_least(1),
            overwrite=flag,
            threads=optional(thread_count),
            trust=flag,
        )


@dataclass(frozen=True)
class GenerateSettings:
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
        batch_size: number of specs at a time.
        format: file formats of structures beside the table.
        seed: random seed of the first try.
        device: name of the device, or ``auto``.
        threads: number of CPU threads; None for PyTorch's choice.
        resume: whether to go on with what ``out`` holds.
        quiet: whether to show no progress.
    """

    out: Path
    specs: Path | None = None
    run: Path | None = None
    formula_check: str = FORMULA_CHECKS[0]
    n: int | None = None
    tries: int = 1
    keep: str = KEPT_TRIES[0]
    judge: EnergyModel | None = None
    batch_size: int = 64
    format: tuple[str, ...] = ("cif", "extxyz")
    seed: int = 0
    device: str = "auto"
    threads: int | None = None
    resume: bool = False
    quiet: bool = False

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ConfigError: one is wrong, or not exactly one of ``specs`` and ``run`` is given.
        """
        check_fields(
            self,
            threads=optional(thread_count),
            batch_size=at_least(1),
            format=formats_setting,
            quiet=flag,
            keep=one_of(KEPT_TRIES),
            tries=at_least(1),
            seed=seed_number,
        )
        if (self.specs is None) == (self.run is None):
            raise ConfigError("give either specs=FILE or run=DIR")
        check_fields(
            self,
            specs=optional(path_setting),
            run=optional(path_setting),
            formula_check=one_of(FORMULA_CHECKS),
            n=optional(at_least(1)),
            out=path_setting,
            resume=flag,
        )


@dataclass(frozen=True)
class RelaxSettings:
    """Settings of ``relax``.

    Attributes:
        structures: file or folder of the crystals.
        out: folder for tables and structures.
        relaxation: settings of the relaxations.
        formula_check: treatment of CIFs whose own formula differs from the structure: ``refuse`` or ``warn``.
        model: energy model; ``auto`` for the best that is installed.
        version: version of the model; None for its first.
        format: file formats of structures, CIF among them.
        processes: number of crystals at once.
        device: name of the device, or ``auto``.
        threads: number of CPU threads; None for PyTorch's choice.
        resume: whether to go on with what ``out`` holds.
        quiet: whether to show no progress.
    """

    structures: Path
    out: Path
    relaxation: RelaxationSettings = field(default_factory=RelaxationSettings)
    formula_check: str = FORMULA_CHECKS[0]
    model: EnergyModel = "auto"
    version: str | None = None
    format: tuple[str, ...] = (CIF,)
    processes: int = 1
    device: str = "auto"
    threads: int | None = None
    resume: bool = False
    quiet: bool = False

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ConfigError: one is wrong.
        """
        check_fields(
            self,
            processes=thread_count,
            quiet=flag,
            resume=flag,
            format=with_cifs,
            threads=optional(thread_count),
            out=path_setting,
            structures=path_setting,
            formula_check=one_of(FORMULA_CHECKS),
        )
