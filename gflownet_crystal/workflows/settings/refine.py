"""Settings of the verb that refines a sampler in rounds, checked when they are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from gflownet_crystal.common.annotations import CheckedFields
from gflownet_crystal.common.bounds import Count, InnerShare, NonNegative, Several, Whole
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.common.executors import Executor, LocalProcesses
from gflownet_crystal.common.values import optional, text
from gflownet_crystal.workflows.settings.common import Checks, DeviceSettings


@dataclass(frozen=True)
class Refining(CheckedFields):
    """Settings of a refinement.

    Attributes:
        rounds: number of rounds.
        n: distinct samples of a round.
        held_out: share of reduced formulas that no round trains on.
        volume_tolerance: specs of one formula and group whose volumes differ by less, relative, are duplicates.
        relax: most samples of a round that are relaxed, those nearest to the hull first; 0 for none.
        replay: known crystals trained on for each labelled row; None for all of them.
        own_weight: weight of own labelled rows where labels of before, of weight 1, are trained on too.
        energy_model: train the energy network too.
        prior: train the prior too, on known crystals and own stable ones.
        generator_model: train the generator and its ranking of assignments too, on known crystals and own finds.
        stable: eV/atom above the hull, up to which own crystals join those of the prior and the generator.
        seed: random seed of samples, of the choice of formulas held out, and of replayed crystals.
    """

    rounds: Count = 3
    n: Several = 1000
    held_out: InnerShare = 0.2
    volume_tolerance: NonNegative = 0.03
    relax: Whole = 0
    replay: NonNegative | None = None
    own_weight: Count = 10
    energy_model: bool = False
    prior: bool = False
    generator_model: bool = False
    stable: float = 0.05
    seed: Whole = 0


@dataclass(frozen=True, kw_only=True)
class RefineSettings(DeviceSettings):
    """Settings of ``refine``, without the generator.

    Attributes:
        run: run folder, or prior, of the sampler.
        out: folder of the rounds.
        rounds: settings of the rounds.
        training: recipe of the spec proxy: its class and arguments.
        data: files of known crystals; empty for none.
        teacher: energy model that labels; None for the one that chooses among structures.
        energies: energy model that chooses among structures in the first round.
        tries: number of tries of each sample, each of all draws of the generator, until two draws agree.
        relax_steps: number of steps of the relaxations; 0 for none.
        relax_best: most samples of a round that are relaxed; None for all.
        hull: reference hull by name or file.
        weights: weights of the spec proxy in the first round; None for those of the run.
        iterations: number of iterations of the sampler's training; None for that of the run.
        earlier_labels: whether the labels that the weights at hand learned from are trained on again.
        known_samples: whether formulas of earlier samples count as known.
        energy_loop: training loop of the energy network, where it differs from that of ``train_energy``.
        prior_loop: training loop of the prior, where it differs from that of ``train_prior``.
        generator_loop: training loop of the generator and of its ranking, where it differs from those of
            ``train_generator``.
        batch_size: number of samples that get atoms at a time.
        executor: place of the separate pieces of work.
        seed: random seed.
        resume: whether to continue an earlier run in ``out``.
        trust: whether classes from outside this package are built that the run folder names.
    """

    run: Path
    out: Path
    rounds: Refining = field(default_factory=Refining)
    training: Mapping[str, object] = field(default_factory=dict)
    data: tuple[Path, ...] | None = None
    teacher: str | None = None
    energies: str = "alignn"
    tries: int = 2
    relax_steps: Whole = 0
    relax_best: Count | None = None
    hull: str = "reference"
    weights: Path | None = None
    iterations: Count | None = None
    earlier_labels: bool = True
    known_samples: bool = False
    energy_loop: Mapping[str, object] = field(default_factory=dict)
    prior_loop: Mapping[str, object] = field(default_factory=dict)
    generator_loop: Mapping[str, object] = field(default_factory=dict)
    batch_size: int = 16
    executor: Executor = field(default_factory=LocalProcesses)
    seed: int = 0
    resume: bool = False
    trust: bool = False

    checks: ClassVar[Checks] = {
        "teacher": optional(text),
        "energies": text,
        "hull": text,
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("prior", "generator_model"):
            if getattr(self.rounds, name) and self.data is None:
                raise ConfigError(f"{name}=true needs known crystals: give data=FILE, or leave {name} out")
        if self.rounds.generator_model and not self.relax_steps:
            raise ConfigError(
                "generator_model=true learns from relaxed crystals: give relax_steps= above 0, or leave it out"
            )
        if not self.relax_steps and not self.is_placing:
            raise ConfigError(
                "training=mlp learns from relaxed crystals, not from samples as they were placed: give relax_steps= "
                "above 0 for relaxed ones, or leave training=placing"
            )
        if self.training.get("start") is not None:
            raise ConfigError(
                "training.start has no effect, as each round starts from the last: give weights= instead"
            )

    @property
    def is_placing(self) -> bool:
        """Whether a correction of the spec proxy for placed samples is trained, and not all of its weights."""
        return "ensemble" in self.training

    @property
    def labeller(self) -> str:
        """Name of the energy model that labels."""
        return self.energies if self.teacher is None else self.teacher
