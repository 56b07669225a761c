"""A few steps of relaxation of the best structures of a prediction, each in its space group."""

from __future__ import annotations

from dataclasses import dataclass

from gflownet_crystal.models.energies.structure_energies import StructureEnergies
from gflownet_crystal.relaxation.records import in_setting
from gflownet_crystal.relaxation.relax import relax_in_batches
from gflownet_crystal.relaxation.settings import RelaxationSettings
from gflownet_crystal.structures.structure import StructureBatch


@dataclass(frozen=True)
class Settler:
    """Relaxes some structures, symmetry and composition kept.

    Attributes:
        energies: model with forces and stress.
        most: number of structures to relax, the best ones.
        settings: settings of the relaxations.
    """

    energies: StructureEnergies
    most: int
    settings: RelaxationSettings

    def settled(self, structures: StructureBatch) -> StructureBatch:
        """Relaxed structures in conventional cells; those whose relaxation fails are unchanged."""
        single = [structures[row : row + 1] for row in range(len(structures))]
        for done in relax_in_batches(list(enumerate(single)), self.energies, self.settings):
            if (found := done.result.structure) is not None:
                moved = in_setting(found, self.settings.symprec)
                single[done.key] = moved if int(moved.space_group[0]) else single[done.key]
        return StructureBatch.cat(single)
