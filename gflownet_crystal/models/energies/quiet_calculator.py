"""ASE calculators of other packages without their prints and warnings, and with results in float64."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.stress import full_3x3_to_voigt_6_stress


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Nothing on standard output and no warnings; errors pass."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


class QuietCalculator(Calculator):
    """Energy, forces and stress of another calculator.

    Args:
        inner: does the work; any of ASE's calculators.
    """

    implemented_properties = ["energy", "free_energy", "forces", "stress"]  # noqa: RUF012 - as ASE declares it

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.inner = inner

    def calculate(
        self, atoms: Atoms | None = None, properties: Any = None, system_changes: Any = all_changes
    ) -> None:
        """Calculate the energy alone where nothing else is asked for, else everything at once; ASE calls it."""
        super().calculate(atoms, properties, system_changes)
        with quiet():
            energy = float(self.inner.get_property("energy", self.atoms))
            self.results = {"energy": energy, "free_energy": energy}
            if properties is not None and set(properties) <= {"energy", "free_energy"}:
                return
            forces = np.array(self.inner.get_property("forces", self.atoms), dtype=np.float64)
            stress = np.array(self.inner.get_property("stress", self.atoms), dtype=np.float64)
        stress = full_3x3_to_voigt_6_stress(stress) if stress.shape == (3, 3) else stress
        self.results |= {"forces": forces, "stress": stress}
