"""Settings of the verbs that train, checked when they are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

from gflownet_crystal.common.bounds import Count, NonNegative, ShareBelowOne
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.common.values import (
    at_least,
    optional,
    path_setting,
    text,
)
from gflownet_crystal.models.denoiser import DenoiserSettings
from gflownet_crystal.structures.writing import formats_setting
from gflownet_crystal.training.energies.denoising_task import DenoisingSettings
from gflownet_crystal.training.priors.task import PriorSettings
from gflownet_crystal.training.settings import LoopSettings
from gflownet_crystal.workflows.settings.common import Checks, DeviceSettings, VerbSettings


def weights_path(value: object, key: str) -> Path:
    """The weights file to write.

    Raises:
        ConfigError: its name ends in something else.
    """
    out = path_setting(value, key)
    if out.suffix != ".safetensors":
        raise ConfigError(f"out must end in .safetensors, not {out.name!r}")
    return out


_WEIGHTS: Checks = {"out": optional(weights_path)}


@dataclass(frozen=True, kw_only=True)
class TrainProxySettings(VerbSettings):
    """Settings of ``train_proxy`` and, with labels, of ``train_property``, without the recipe.

    Attributes:
        data: files of labelled crystals.
        test: files that the trained weights are tested on; None for none.
        out: weights file; None for one named after the proxy.
        threads: number of CPU threads; None for PyTorch's choice.
        checkpoint_every: steps between checkpoints; None for a hundredth of all steps.
        resume: whether to go on with the run folder.
        trust: whether classes from outside this package are built that the run folder names.
        quiet: whether to show no progress.
    """

    data: tuple[Path, ...]
    test: tuple[Path, ...] | None = None
    out: Path | None = None
    threads: int | None = None
    checkpoint_every: Count | None = None
    resume: bool = False
    trust: bool = False
    quiet: bool = False

    checks: ClassVar[Checks] = _WEIGHTS


@dataclass(frozen=True, kw_only=True)
class TrainPropertySettings(TrainProxySettings):
    """Settings of ``train_property``, without the recipe.

    Attributes:
        property: column of the labels.
        labels: table of labels by the names of crystals; None where they stand beside the crystals.
    """

    property: str
    labels: Path | None = None

    checks: ClassVar[Checks] = {**TrainProxySettings.checks, "property": text}


@dataclass(frozen=True, kw_only=True)
class NetworkSettings(DeviceSettings):
    """Settings of a training of networks.

    Attributes:
        data: files of crystals.
        loop: settings of the training loop.
        start: weights to start from; None for new ones.
        out: weights file; None for that of the run folder.
        seed: random seed of weights, order and draws.
        holdout: share of reduced formulas that are kept apart.
        resume: whether to go on with the run folder.
        trust: whether classes from outside this package are built that the run folder names.
    """

    data: tuple[Path, ...]
    loop: LoopSettings = field(default_factory=LoopSettings)
    start: Path | None = None
    out: Path | None = None
    seed: int = 0
    holdout: ShareBelowOne = 0.0
    resume: bool = False
    trust: bool = False

    checks: ClassVar[Checks] = _WEIGHTS

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.loop.epochs == 0 and self.start is None:
            raise ConfigError("loop.epochs must be at least 1, not 0, where no start=FILE gives weights")


@dataclass(frozen=True, kw_only=True)
class AtomsSettings(NetworkSettings):
    """Settings of a training of networks on atoms.

    Attributes:
        max_atoms: largest number of atoms of a crystal; None for any.
    """

    max_atoms: Count | None = None


@dataclass(frozen=True, kw_only=True)
class NetworkChoice:
    """A network by name.

    Attributes:
        name: name of the network.
        settings: its settings.
    """

    name: str
    settings: Mapping[str, object]

    @property
    def entry(self) -> dict[str, object]:
        """Entry of the network on cards."""
        return {"name": self.name, "settings": dict(self.settings)}


@dataclass(frozen=True, kw_only=True)
class TrainEnergySettings(AtomsSettings):
    """Settings of ``train_energy``.

    Attributes:
        model: network.
        test: files that the trained weights are tested on; None for none.
        strained: weight of strained crystals.
        legacy_weight: weight of labels of before 2020.
    """

    model: NetworkChoice
    test: tuple[Path, ...] | None = None
    strained: NonNegative = 1.0
    legacy_weight: NonNegative = 1.0


@dataclass(frozen=True, kw_only=True)
class TrainDenoiserSettings(AtomsSettings):
    """Settings of ``train_denoiser``.

    Attributes:
        model: network.
        passing: settings of the passes of the network.
        denoising: settings of the task.
        cells: cells of the crystals to learn from: ``standard`` primitive ones, or as ``stored``. Those of MP-20's val
            stay as they are.
        processes: number of processes that compute standard cells.
        test: files that the trained weights are tested on; None for none.
    """

    model: NetworkChoice
    passing: DenoiserSettings = field(default_factory=DenoiserSettings)
    denoising: DenoisingSettings = field(default_factory=DenoisingSettings)
    cells: Literal["standard", "stored"] = "standard"
    processes: Count = 1
    test: tuple[Path, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class TrainGeneratorSettings(AtomsSettings):
    """Settings of ``train_generator``, without the generator.

    Attributes:
        name: name of the generator.
        task: settings of its task.
    """

    name: str
    task: Mapping[str, object]


@dataclass(frozen=True, kw_only=True)
class TrainPriorSettings(NetworkSettings):
    """Settings of ``train_prior``, without the environment and its policies.

    Attributes:
        task: settings of the task.
        more: files of further crystals; None for none.
    """

    task: PriorSettings = field(default_factory=PriorSettings)
    more: tuple[Path, ...] | None = None


@dataclass(frozen=True)
class SamplesSettings(VerbSettings):
    """Settings of the section ``samples`` of ``train_gfn``.

    Attributes:
        n: number of samples at the end of the training.
        batch_size: number of trajectories at once.
        seed: random seed of the sampling.
    """

    place = "samples"

    n: Count = 10_000
    batch_size: int = 2048
    seed: int = 1


@dataclass(frozen=True)
class ExportChoice(VerbSettings):
    """Settings of the section ``export`` of ``train_gfn``.

    Attributes:
        k: number of candidates; 0 for none.
        format: file formats of their structures beside CIF.
    """

    place = "export"
    checks: ClassVar[Checks] = {"k": at_least(0), "format": formats_setting}

    k: int = 100
    format: tuple[str, ...] = ("cif",)


@dataclass(frozen=True, kw_only=True)
class TrainGfnSettings(DeviceSettings):
    """Settings of ``train_gfn``, without the parts of the training.

    Attributes:
        samples: samples at the end of the training.
        export: candidates at the end of the training.
        screening: settings of the screening as they were given.
        seed: random seed of weights and sampling.
        resume: whether to go on with the run folder.
        trust: whether classes from outside this package are built that the run folder names.
    """

    samples: SamplesSettings = field(default_factory=SamplesSettings)
    export: ExportChoice = field(default_factory=ExportChoice)
    screening: Mapping[str, object] = field(default_factory=dict)
    seed: int = 0
    resume: bool = False
    trust: bool = False
