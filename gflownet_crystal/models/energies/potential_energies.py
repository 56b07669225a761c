"""Formation energies by any ASE calculator: its total energies minus those of the elements."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gflownet_crystal.models.energies.corrections import materials_project_corrections
from gflownet_crystal.models.energies.derivatives import in_halves
from gflownet_crystal.models.energies.structure_energies import StructureEnergies
from gflownet_crystal.structures.checks import CLOSEST
from gflownet_crystal.structures.convert import to_ase
from gflownet_crystal.structures.elements import ATOMIC_NUMBERS, N_ATOMIC_NUMBERS
from gflownet_crystal.structures.periodic_pairs import connected, usable
from gflownet_crystal.structures.structure import StructureBatch

if TYPE_CHECKING:
    from ase.calculators.calculator import Calculator

_FAILURES = (ValueError, RuntimeError, IndexError, KeyError, ArithmeticError)
"""Errors of calculators that refuse a structure."""


class PotentialEnergies(StructureEnergies):
    """Formation energies by any ASE calculator, one structure at a time.

    Args:
        calculator: calculator with energies (eV), forces (eV/Å) and stress (eV/Å^3).
        references: energies of the elements by the same calculator, eV/atom by symbol. Structures with an element that
            is not here are not judged.
        reach: Å; structures with an atom that has no neighbour this near are not judged; None for no such test.
        corrected: add the corrections of :mod:`gflownet_crystal.models.energies.corrections`.
    """

    def __init__(
        self,
        calculator: Calculator,
        references: Mapping[str, float],
        reach: float | None = None,
        corrected: bool = False,
    ) -> None:
        self._calculator, self._reach, self._corrected = calculator, reach, corrected
        self.references = torch.full((N_ATOMIC_NUMBERS,), torch.nan, dtype=torch.float64)
        for symbol, energy in references.items():
            self.references[ATOMIC_NUMBERS[symbol]] = energy

    def predict(self, structures: StructureBatch) -> tuple[Tensor, Tensor]:
        on_cpu = structures.to("cpu")
        energy = torch.full((len(on_cpu),), torch.nan, dtype=torch.float64)
        judged = self.judged(on_cpu)
        rows = judged.nonzero()[:, 0]
        if len(rows):
            energy[rows] = self._formation_energies(on_cpu[rows], self._totals(on_cpu[rows]))
        return energy.to(structures.device), torch.where(energy.isnan(), energy, 0.0).to(structures.device)

    def judged(self, structures: StructureBatch) -> Tensor:
        good = usable(structures, CLOSEST)
        unknown = self.references[structures.atomic_numbers].isnan()
        good[structures.structure_index[unknown]] = False
        rows = good.nonzero()[:, 0]
        if self._reach is not None and len(rows):
            good[rows] = connected(structures[rows], self._reach)
        return good

    def calculator(self) -> Calculator:
        return self._calculator

    def formation_energies(self, structures: StructureBatch, energy: Tensor) -> Tensor:
        return self._formation_energies(structures, energy)

    def _formation_energies(self, structures: StructureBatch, totals: Tensor) -> Tensor:
        """Formation energies, eV/atom, from energies of whole cells (n,), eV."""
        elements = torch.zeros_like(totals).index_add_(
            0, structures.structure_index, self.references[structures.atomic_numbers]
        )
        energy = (totals - elements) / structures.n_atoms
        return energy + materials_project_corrections(structures) if self._corrected else energy

    def _totals(self, structures: StructureBatch) -> Tensor:
        """Energies of whole cells (n,), eV; NaN where the calculator fails."""
        single = [structures[row : row + 1] for row in range(len(structures))]
        return torch.cat([in_halves(self._calculated, one, torch.cat, no_energy) for one in single])

    def _calculated(self, structure: StructureBatch) -> Tensor:
        self._calculator.calculate(to_ase(structure)[0], ["energy"])
        return torch.tensor([self._calculator.results["energy"]], dtype=torch.float64)


def no_energy(structures: StructureBatch, error: Exception) -> Tensor:
    """NaN for structures that a calculator refuses; errors of other kinds are raised again."""
    if isinstance(error, torch.OutOfMemoryError) or not isinstance(error, _FAILURES):
        raise error
    return torch.full((len(structures),), torch.nan, dtype=torch.float64)
