"""An ASE calculator of a network's energies: forces and stress are their derivatives."""

from __future__ import annotations

from typing import Any

import torch
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.stress import full_3x3_to_voigt_6_stress
from torch import Tensor

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.models.energies.energy import EnergyModel
from gflownet_crystal.models.layers.inputs import graph_for
from gflownet_crystal.structures.convert import from_ase
from gflownet_crystal.structures.structure import StructureBatch


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
        energy, forces, stress = energy_forces_stress(self.model, structure)
        self.results = {
            "energy": float(energy[0]),
            "free_energy": float(energy[0]),
            "forces": forces.cpu().numpy(),
            "stress": full_3x3_to_voigt_6_stress(stress[0].cpu().numpy()),
        }


def energy_forces_stress(model: EnergyModel, structures: StructureBatch) -> tuple[Tensor, Tensor, Tensor]:
    """Energies of the cells and their derivatives.

    Args:
        model: model on the device of the structures; its network's edges have to fade.
        structures: n structures with N atoms.

    Returns:
        Energies (n,) eV; forces (N, 3) eV/Å; stresses (n, 3, 3) eV/Å^3, the derivatives by a symmetric strain over
        the volume, positive where the cell wants to shrink; all float64.

    Raises:
        DataError: a structure has no graph.
    """
    with torch.enable_grad():
        fractional = structures.fractional.clone().requires_grad_(True)
        strain = torch.zeros_like(structures.cell).requires_grad_(True)
        identity = torch.eye(3, dtype=strain.dtype, device=strain.device)
        cell = structures.cell @ (identity + 0.5 * (strain + strain.mT))
        graph = graph_for(model.network, structures, model.scale.dtype, cell, fractional)
        energy = model(graph).double() * structures.n_atoms
        slopes, strained = torch.autograd.grad(energy.sum(), [fractional, strain])
    # positions are fractional @ cell, so slopes change by the inverse of the cell
    inverse = torch.linalg.inv(structures.cell)[structures.structure_index]
    forces = -(inverse @ slopes[:, :, None]).squeeze(2)
    return energy.detach(), forces, strained / structures.volume[:, None, None]
