"""An ASE calculator of a network's energies: forces and stress are their derivatives."""

from __future__ import annotations

from functools import partial
from typing import Any

from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.stress import full_3x3_to_voigt_6_stress

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.models.energies.derivatives import differentiated
from gflownet_crystal.models.energies.energy import EnergyModel, cell_energies
from gflownet_crystal.structures.convert import from_ase


class EnergyCalculator(Calculator):
    """Formation energy of the whole cell (eV), forces (eV/Å) and stress (eV/Å^3, Voigt order).

    Args:
        model: model on its device.

    Raises:
        ConfigError: the edges of the network's graph end abruptly, so that its energy has no derivatives.
    """

    implemented_properties = ["energy", "free_energy", "forces", "stress"]  # noqa: RUF012 - as ASE declares it

    def __init__(self, model: EnergyModel) -> None:
        super().__init__()
        network: Any = model.network
        if not network.settings.graph.fade > 0.0:
            raise ConfigError(
                "the network's energies jump where neighbours change, so it gives no forces: "
                "take weights of a network with graph.fade above 0"
            )
        self.model = model

    def calculate(
        self, atoms: Atoms | None = None, properties: Any = None, system_changes: Any = all_changes
    ) -> None:
        """Calculate everything at once; ASE calls it.

        Raises:
            DataError: the network cannot read the structure: atoms that overlap, an open cell, an unknown element.
        """
        super().calculate(atoms, properties, system_changes)
        given: Any = self.atoms
        structure = from_ase([given]).to(self.model.scale.device)
        found = differentiated(partial(cell_energies, self.model), structure)
        self.results = {
            "energy": float(found.energy[0]),
            "free_energy": float(found.energy[0]),
            "forces": found.forces.numpy(),
            "stress": full_3x3_to_voigt_6_stress(found.stress[0].numpy()),
        }
