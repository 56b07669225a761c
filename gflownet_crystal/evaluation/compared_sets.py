"""A set of structures beside its reference: values that several metrics share are computed once."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from gflownet_crystal.common.annotations import CheckedFields
from gflownet_crystal.common.bounds import Positive
from gflownet_crystal.common.errors import ConfigError, DataError
from gflownet_crystal.evaluation.coverage import COMPOSITION_CUTOFF, SITE_CUTOFF, Scaler
from gflownet_crystal.evaluation.features import Features, Maker, compute_features
from gflownet_crystal.evaluation.fingerprints import FingerprintMaker
from gflownet_crystal.evaluation.matching import Tolerances
from gflownet_crystal.evaluation.network_features import NetworkMaker
from gflownet_crystal.evaluation.parallel import Crystal, Work, to_crystals
from gflownet_crystal.evaluation.structure_sets import StructureSet
from gflownet_crystal.evaluation.validity import OXIDATION_STATES, composition_validity, structure_validity
from gflownet_crystal.structures.formulas import composition_to_text, reduce_composition, text_to_composition
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.structures.symmetry import SYMPREC

REFERENCE_SCALER = "reference"
"""In place of a file: scale composition features by those of the reference."""


@dataclass(frozen=True)
class Choices(CheckedFields):
    """Choices that the definitions of the metrics leave open.

    Attributes:
        oxidation_states: SMACT's table.
        network: weights whose energies and features are used; None for none.
        device: device of the network.
        scaler: scaler of composition features: None for the shipped one, ``REFERENCE_SCALER`` to fit it to the
            reference, or a JSON file with the lists means and stds.
        site_cutoff: cutoff of coverage.
        composition_cutoff: cutoff of coverage.
        tolerances: tolerances of matches.
        symprec: Å, of space groups.
        seed: random seed of noise floors.
    """

    oxidation_states: str = OXIDATION_STATES[0]
    network: str | None = "alignn"
    device: str = "cpu"
    scaler: str | None = None
    site_cutoff: Positive = SITE_CUTOFF
    composition_cutoff: Positive = COMPOSITION_CUTOFF
    tolerances: Tolerances = field(default_factory=Tolerances)
    symprec: Positive = SYMPREC
    seed: int = 0


class Evaluation:
    """A set of structures, its reference, and the values that metrics share.

    Args:
        made: the structures to judge.
        reference: reference set; None for metrics of the structures alone.
        choices: choices of definitions.
        work: settings of the execution.
        targets: target of each structure, where match rates are wanted.
    """

    def __init__(
        self,
        made: StructureSet,
        reference: StructureSet | None,
        choices: Choices,
        work: Work,
        targets: StructureSet | None = None,
    ) -> None:
        self.made, self.targets = made, targets
        self.choices, self.work = choices, work
        self._reference = reference

    @property
    def has_reference(self) -> bool:
        """Whether the structures can be compared to others."""
        return self._reference is not None

    @property
    def reference(self) -> StructureSet:
        """Reference set that the structures are compared to.

        Raises:
            ConfigError: there is nothing.
        """
        if self._reference is None:
            raise ConfigError("there is nothing to compare the structures to; give reference=...")
        return self._reference

    def check(self, metrics: Collection[str]) -> None:
        """Check before any work that the inputs of the metrics are there.

        Args:
            metrics: their names.

        Raises:
            ConfigError: a package is not installed, or there is no such table of oxidation states.
            DataError: the scaler is none, or structures cannot be told to belong to targets.
            WeightsError: there are no such weights.
        """
        choices, wanted = self.choices, set(metrics)
        if "matching" in wanted:
            _ = self.aims
        if wanted & {"validity", "matching", "distances"}:
            composition_validity(text_to_composition(["Na1 Cl1"]), choices.oxidation_states)
        if wanted & {"coverage", "frechet"}:
            _ = FingerprintMaker().key
        if wanted & {"distances", "frechet"} and choices.network is not None:
            _ = self.network.key
        if "coverage" in wanted and choices.scaler != REFERENCE_SCALER:
            _ = self.scaler

    @cached_property
    def scaler(self) -> Scaler:
        """Of composition features.

        Raises:
            DataError: the file holds none.
        """
        if self.choices.scaler is None:
            return Scaler.read()
        if self.choices.scaler != REFERENCE_SCALER:
            return Scaler.read(Path(self.choices.scaler))
        features = self.fingerprints[1]
        return Scaler.of(features.tensors["composition"][features.done], "the reference")

    @cached_property
    def aims(self) -> tuple[Tensor, StructureSet]:
        """The target of each structure that could be read, (m,) int64, and the targets.

        Raises:
            ConfigError: no targets were given.
            DataError: structures cannot be told to belong to targets.
        """
        made, targets = self.made, self.targets
        if targets is None:
            raise ConfigError("matching needs the target of each structure; give targets=FILE")
        if made.target is None and len(made) != len(targets):
            raise DataError(
                f"{len(made)} structures and {len(targets)} targets: give one structure a target, or a column row"
            )
        target = made.rows if made.target is None else made.target
        if bool(((target < 0) | (target >= len(targets))).any()):
            raise DataError(
                f"structures name targets outside 0 to {len(targets) - 1}; give the file they were made for"
            )
        return target, targets

    def share(self, chosen: Tensor) -> float:
        """Of all structures that were given, those readable ones that a mask (m,) chooses."""
        return int(chosen.sum()) / len(self.made)

    def generator(self) -> torch.Generator:
        """Random generator of noise floors; each metric starts with a fresh one."""
        return torch.Generator().manual_seed(self.choices.seed)

    @cached_property
    def structure_valid(self) -> Tensor:
        """As published, (m,) bool."""
        return structure_validity(self.made.structures, own_images=False)

    @cached_property
    def composition_valid(self) -> Tensor:
        """Whether each composition is valid by SMACT, (m,) bool."""
        return composition_validity(self.made.structures.composition, self.choices.oxidation_states)

    @property
    def valid(self) -> Tensor:
        """Whether structure and composition are both valid, (m,) bool."""
        return self.structure_valid & self.composition_valid

    @cached_property
    def reference_valid(self) -> Tensor:
        """Structures of the reference that are valid, (k,) bool."""
        known = self.reference.structures
        composition = composition_validity(known.composition, self.choices.oxidation_states)
        return structure_validity(known, own_images=False) & composition

    @cached_property
    def fingerprints(self) -> tuple[Features, Features]:
        """Of the structures and of the reference."""
        return self._features(FingerprintMaker())

    @cached_property
    def network(self) -> NetworkMaker:
        """The network.

        Raises:
            ConfigError: none was chosen.
        """
        if self.choices.network is None:
            raise ConfigError("no network was chosen; give network=alignn, or weights of train_energy")
        return NetworkMaker(self.choices.network, self.choices.device)

    @cached_property
    def states(self) -> tuple[Features, Features]:
        """The network's energies and features, of the structures and of the reference."""
        return self._features(self.network)

    @cached_property
    def formulas(self) -> list[str]:
        """Reduced formulas of the structures."""
        return reduced_formulas(self.made.structures)

    @cached_property
    def crystals(self) -> list[Crystal]:
        """Arrays of the structures."""
        return to_crystals(self.made.structures)

    @cached_property
    def known(self) -> tuple[list[Crystal], list[str]]:
        """Arrays and reduced formulas of the reference."""
        return to_crystals(self.reference.structures), reduced_formulas(self.reference.structures)

    def _features(self, maker: Maker) -> tuple[Features, Features]:
        name = maker.key.split()[0]
        reference = compute_features(self.reference.structures, maker, self.work, f"{name} of the reference")
        return compute_features(self.made.structures, maker, self.work, name), reference


def reduced_formulas(structures: StructureBatch) -> list[str]:
    """Reduced formulas, such as ``Na1 Cl1``."""
    return composition_to_text(reduce_composition(structures.composition))
