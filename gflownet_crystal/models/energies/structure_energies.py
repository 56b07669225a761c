"""The contract of models that give structures an energy: networks of this package and potentials of others."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor

from gflownet_crystal.common.moving import MovedToDevice
from gflownet_crystal.structures.structure import StructureBatch


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
