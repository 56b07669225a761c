"""Energies, forces and stresses of many structures, each of which may fail alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
from torch import Tensor

from gflownet_crystal.common.errors import GFlowNetCrystalError
from gflownet_crystal.structures.convert import to_ase
from gflownet_crystal.structures.structure import StructureBatch

if TYPE_CHECKING:
    from ase.calculators.calculator import BaseCalculator


@dataclass(frozen=True)
class Derivatives:
    """Energies of n structures with N atoms, and their derivatives; NaN for a structure that failed.

    Attributes:
        energy: (n,) float64, eV of the whole cell, from any zero that the composition decides.
        forces: (N, 3) float64, eV/Å.
        stress: (n, 3, 3) float64, eV/Å^3, positive where the cell wants to shrink.
        reasons: by row, why a structure failed.
    """

    energy: Tensor
    forces: Tensor
    stress: Tensor
    reasons: dict[int, str]

    @classmethod
    def failed(cls, structures: StructureBatch, reason: str) -> Derivatives:
        """None of the structures, for one reason."""
        n = len(structures)
        cell = torch.full((n, 3, 3), torch.nan, dtype=torch.float64)
        forces = torch.full((len(structures.fractional), 3), torch.nan, dtype=torch.float64)
        return cls(cell[:, 0, 0].clone(), forces, cell, dict.fromkeys(range(n), reason))

    @classmethod
    def cat(cls, parts: list[Derivatives]) -> Derivatives:
        """Those of all parts, one after the other."""
        starts = accumulate((len(part.energy) for part in parts), initial=0)
        reasons = {
            start + row: reason
            for start, part in zip(starts, parts, strict=False)
            for row, reason in part.reasons.items()
        }
        energy, forces, stress = (
            torch.cat([getattr(part, name) for part in parts]) for name in ("energy", "forces", "stress")
        )
        return cls(energy, forces, stress, reasons)

    def among(self, structures: StructureBatch, chosen: Tensor, reason: str) -> Derivatives:
        """Those of more structures, of which these are the chosen ones, (n,) bool; the others failed for a reason."""
        whole = Derivatives.failed(structures, reason)
        whole.energy[chosen] = self.energy
        whole.forces[chosen[structures.structure_index]] = self.forces
        whole.stress[chosen] = self.stress
        for row, place in enumerate(chosen.nonzero()[:, 0].tolist()):
            whole.reasons.pop(place)
            if row in self.reasons:
                whole.reasons[place] = self.reasons[row]
        return whole


Result = TypeVar("Result")


def in_halves(
    compute: Callable[[StructureBatch], Result],
    structures: StructureBatch,
    cat: Callable[[list[Result]], Result],
    failed: Callable[[StructureBatch, Exception], Result],
) -> Result:
    """Compute structures together; after an error, in halves, until each structure that causes one is alone.

    Args:
        compute: function of structures that may raise whatever it likes.
        structures: n structures.
        cat: results of consecutive structures as one.
        failed: result of a structure for which ``compute`` raised an exception.
    """
    try:
        return compute(structures)
    except Exception as error:  # models of others raise all kinds of them
        middle = len(structures) // 2
        if not middle:
            return failed(structures, error)
    halves = (structures[:middle], structures[middle:])
    return cat([in_halves(compute, half, cat, failed) for half in halves])


def each_alone(compute: Callable[[StructureBatch], Derivatives], structures: StructureBatch) -> Derivatives:
    """Derivatives of structures together, with the reasons of those for which ``compute`` raises."""
    return in_halves(compute, structures, Derivatives.cat, _raised)


def _raised(structures: StructureBatch, error: Exception) -> Derivatives:
    return Derivatives.failed(structures, said(error))


def said(error: Exception) -> str:
    """Text of an error in one line; errors of other packages are preceded by the name of their class."""
    text = " ".join(str(error).split())
    return text if isinstance(error, GFlowNetCrystalError) else f"{type(error).__name__}: {text}"


def by_calculator(calculator: BaseCalculator, structures: StructureBatch) -> Derivatives:
    """Derivatives by an ASE calculator, one structure after the other."""
    compute = partial(_calculated, calculator)
    return Derivatives.cat([each_alone(compute, structures[row : row + 1]) for row in range(len(structures))])


def _calculated(calculator: BaseCalculator, structure: StructureBatch) -> Derivatives:
    atoms = to_ase(structure)[0]
    atoms.calc = calculator
    # forces first: some calculators compute the energy alone where it is asked for alone
    forces = np.asarray(atoms.get_forces(), dtype=np.float64)
    energy = torch.tensor([atoms.get_potential_energy()], dtype=torch.float64)
    stress = np.asarray(atoms.get_stress(voigt=False), dtype=np.float64)
    return Derivatives(energy, torch.from_numpy(forces), torch.from_numpy(stress)[None], {})


EnergyOf = Callable[[StructureBatch, Tensor, Tensor], Tensor]
"""Energies (n,) in eV of whole cells, from structures, and their cells and coordinates that gradients flow to."""


def differentiated(energy_of: EnergyOf, structures: StructureBatch) -> Derivatives:
    """Derivatives by automatic differentiation, of all structures at once.

    Args:
        energy_of: differentiable energies; no energy may depend on another structure.
        structures: n structures with N atoms, on the device of the energies.

    Returns:
        Derivatives on the CPU; stress is the derivative by a symmetric strain over the volume.
    """
    with torch.enable_grad():
        fractional = structures.fractional.clone().requires_grad_(True)
        strain = torch.zeros_like(structures.cell).requires_grad_(True)
        identity = torch.eye(3, dtype=strain.dtype, device=strain.device)
        cell = structures.cell @ (identity + 0.5 * (strain + strain.mT))
        energy = energy_of(structures, cell, fractional).double()
        slopes, strained = torch.autograd.grad(energy.sum(), [fractional, strain])
    # positions are fractional @ cell, so slopes change by the inverse of the cell
    inverse = torch.linalg.inv(structures.cell)[structures.structure_index]
    forces = -(inverse @ slopes[:, :, None]).squeeze(2)
    stress = strained / structures.volume[:, None, None]
    return Derivatives(energy.detach().cpu(), forces.cpu(), stress.cpu(), {})
