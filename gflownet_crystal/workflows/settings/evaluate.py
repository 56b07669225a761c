"""Settings of the verb that evaluates structures and samplers, checked when they are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar

from gflownet_crystal.common.annotations import CheckedFields
from gflownet_crystal.common.bounds import Bounds, Count, Several
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.common.executors import Executor, LocalProcesses
from gflownet_crystal.common.values import names_setting, optional, path_text
from gflownet_crystal.evaluation.compared_sets import Choices
from gflownet_crystal.evaluation.phonons import PhononSettings
from gflownet_crystal.relaxation.settings import RelaxationSettings
from gflownet_crystal.structures.cif_reading import FORMULA_CHECKS
from gflownet_crystal.workflows.settings.common import Checks, DeviceSettings


@dataclass(frozen=True)
class SamplerSettings(CheckedFields):
    """Settings of the section ``sampler`` of ``evaluate``.

    Attributes:
        n: number of objects that the run samples.
        untrained: most objects of the untrained sampler beside it.
        batch_size: number of trajectories at once.
        top: number of best objects whose diversity is measured.
        objects: number of objects whose log p is estimated.
        trajectories: number of backward trajectories of each.
        exact: whether the distance to R / Z is computed by enumeration too, where that is possible.
    """

    place = "sampler"

    n: Count = 10_000
    untrained: Count = 2000
    batch_size: Count = 2048
    top: Count = 100
    objects: Annotated[int, Bounds(least=3)] = 300
    trajectories: Several = 100
    exact: bool = False


@dataclass(frozen=True)
class EvaluateSettings(DeviceSettings):
    """Settings of ``evaluate``.

    Attributes:
        choices: choices that the definitions of the metrics leave open.
        structures: file or folder of structures to judge; None where a run is given.
        run: run folder whose sampler is measured.
        condition: values of the run's conditions by name.
        reference: reference set; None for metrics that need none.
        targets: target of each structure; None for no match rates.
        formula_check: treatment of CIFs whose own formula differs from the structure: ``refuse`` or ``warn``.
        metrics: names of metrics; None for all possible.
        out: folder for figures and tables; None for one named after the evaluated structures.
        properties: weights of properties with atoms, whose values go in the table of structures; None for none.
        cache: folder of features; None to keep none.
        n: most structures to judge, the first; None for all.
        n_reference: most reference structures, the first; None for all.
        judge: energy model that relaxes and judges for stability, or a list of them; None for none.
        n_judged: most structures that are relaxed.
        hull: hull of known compounds by name or file; None for the labels of the reference alone.
        threshold: eV/atom above the hull up to which a structure is stable, or a list of such numbers.
        relax: settings of the relaxations.
        phonons: settings of the vibrations of judged structures.
        sampler: settings of the measurement of a sampler.
        seed: random seed of samples and noise floors.
        executor: place of the separate pieces of work.
        trust: whether classes from outside this package are built that the run folder names.
        resume: whether to continue an earlier run in ``out``.
    """

    choices: Choices = field(default_factory=Choices)
    structures: Path | None = None
    run: Path | None = None
    condition: Mapping[str, float] = field(default_factory=dict)
    reference: Path | None = None
    targets: Path | None = None
    formula_check: str = FORMULA_CHECKS[0]
    metrics: list[str] | None = None
    out: Path | None = None
    properties: tuple[Path, ...] | None = None
    cache: Path | None = Path("runs/features")
    n: Count | None = None
    n_reference: Count | None = None
    judge: str | Mapping[str, object] | list[str | Mapping[str, object]] | None = None
    n_judged: Count = 100
    hull: str | None = "reference"
    threshold: float | list[float] = field(default_factory=lambda: [0.1, 0.05, 0.0])
    relax: RelaxationSettings = field(default_factory=RelaxationSettings)
    phonons: PhononSettings = field(default_factory=PhononSettings)
    sampler: SamplerSettings = field(default_factory=SamplerSettings)
    seed: int = 0
    executor: Executor = field(default_factory=LocalProcesses)
    trust: bool = False
    resume: bool = False
    device: str = field(default="cpu", kw_only=True)
    quiet: bool = field(default=True, kw_only=True)

    checks: ClassVar[Checks] = {
        "metrics": optional(names_setting),
        "hull": optional(path_text),
    }

    def __post_init__(self) -> None:
        if self.run is None and self.condition:
            raise ConfigError(f"condition.{next(iter(self.condition))} is of a sampler: give run=DIR with it")
        if self.run is not None and self.properties:
            raise ConfigError("properties are of structures: give structures=... with them, not run=DIR")
        if (self.run is None) == (self.structures is None):
            raise ConfigError(
                "give structures=..., with reference=... to compare them to, or run=DIR for a trained sampler"
            )
        super().__post_init__()

    @property
    def folder(self) -> Path:
        """Folder for figures and tables."""
        if self.out is not None:
            return self.out
        evaluated = self.structures if self.run is None else self.run
        return Path("runs") / f"evaluate_{Path(str(evaluated)).resolve().stem}"
