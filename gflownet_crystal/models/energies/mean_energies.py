"""The mean of several energy models, whose disagreement is a part of its standard deviation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from gflownet_crystal.models.energies.derivatives import Derivatives
from gflownet_crystal.models.energies.structure_energies import StructureEnergies
from gflownet_crystal.structures.structure import StructureBatch


class MeanEnergies(StructureEnergies):
    """Mean of the formation energies of several models; NaN where one of them cannot judge.

    The variance is that of an even mixture of the models: the mean of their variances plus the variance of their
    energies.

    Args:
        members: at least two models.
    """

    def __init__(self, members: Sequence[StructureEnergies]) -> None:
        self.members = tuple(members)

    def predict(self, structures: StructureBatch) -> tuple[Tensor, Tensor]:
        energy, deviation = map(
            torch.stack, zip(*(member.predict(structures) for member in self.members), strict=True)
        )
        variance = deviation.square().mean(dim=0) + energy.var(dim=0, correction=0)
        return energy.mean(dim=0), variance.sqrt()

    def calculator(self) -> Any:
        from ase.calculators.mixing import AverageCalculator

        return AverageCalculator([member.calculator() for member in self.members])

    def judged(self, structures: StructureBatch) -> Tensor:
        return torch.stack([member.judged(structures) for member in self.members]).all(dim=0)

    def _derivatives(self, structures: StructureBatch) -> Derivatives:
        parts = [member.derivatives(structures) for member in self.members]
        energy, forces, stress = (
            torch.stack([getattr(part, name) for part in parts]).mean(dim=0)
            for name in ("energy", "forces", "stress")
        )
        reasons = {row: reason for part in parts for row, reason in part.reasons.items()}
        return Derivatives(energy, forces, stress, reasons)
