"""The contract of models that give structures an energy: networks of this package and potentials of others."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor

from gflownet_crystal.common.moving import MovedToDevice
from gflownet_crystal.models.energies.derivatives import Derivatives, by_calculator
from gflownet_crystal.structures.structure import StructureBatch

UNJUDGED = "the model cannot judge it: an atom without neighbours, or an element it does not know"
"""Reason for no energy."""


class StructureEnergies(MovedToDevice, ABC):
    """Formation energies per atom of structures.

    The energy of a structure depends on that structure alone, not on its batch.
    """

    @abstractmethod
    def predict(self, structures: StructureBatch) -> tuple[Tensor, Tensor]:
        """Energies of n structures, without gradients.

        Args:
            structures: n structures with N atoms, on the model's device.

        Returns:
            (n,) float64 formation energies and their standard deviations, eV/atom; the latter are zeros if the model
            knows none. Both are NaN for a structure that the model cannot judge (atoms that overlap, one that is
            isolated, an element that it does not know); the others of its batch are unaffected.
        """

    @abstractmethod
    def calculator(self) -> Any:
        """An ASE calculator with energies (eV, of the whole cell), forces (eV/Å) and stress (eV/Å^3)."""

    def derivatives(self, structures: StructureBatch) -> Derivatives:
        """Energies, forces and stresses of n structures on the CPU; one that fails leaves the others alone."""
        judged = self.judged(structures)
        if not bool(judged.any()):
            return Derivatives.failed(structures, UNJUDGED)
        return self._derivatives(structures[judged]).among(structures, judged, UNJUDGED)

    def _derivatives(self, structures: StructureBatch) -> Derivatives:
        """Derivatives of structures that can be judged; models that take batches override it."""
        return by_calculator(self.calculator(), structures)

    def judged(self, structures: StructureBatch) -> Tensor:
        """Structures on the CPU that are worth a calculation, (n,) bool."""
        return torch.ones(len(structures), dtype=torch.bool)

    def formation_energies(self, structures: StructureBatch, energy: Tensor) -> Tensor:
        """Formation energies of n structures on the CPU, from energies that :meth:`derivatives` has given.

        Args:
            structures: n structures.
            energy: (n,) float64, eV of the whole cells.

        Returns:
            (n,) float64, eV/atom; NaN where the model cannot judge.
        """
        return self.predict(structures)[0]
