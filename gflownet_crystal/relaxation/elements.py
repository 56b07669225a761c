"""The least energy of an element's crystals by a calculator: where its formation energies start from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gflownet_crystal.common.annotations import CheckedFields
from gflownet_crystal.common.bounds import Positive, Whole
from gflownet_crystal.models.energies.potential_energies import PotentialEnergies
from gflownet_crystal.relaxation.relax import relax
from gflownet_crystal.relaxation.settings import RelaxationSettings
from gflownet_crystal.structures.convert import from_ase
from gflownet_crystal.structures.elements import SYMBOLS

if TYPE_CHECKING:
    from ase import Atoms
    from ase.calculators.calculator import Calculator


@dataclass(frozen=True)
class ElementSettings(CheckedFields):
    """Settings of the relaxation of crystals of elements.

    Attributes:
        fmax: eV/Å, largest force of a relaxed crystal.
        steps: maximum number of steps.
        max_volume_change: relative change of the volume beyond which a crystal counts as it was given.
        largest: atoms in the cell of a crystal that is relaxed at most; larger ones count as they were given.
    """

    fmax: Positive = 0.03
    steps: Whole = 150
    max_volume_change: Positive = 0.4
    largest: Whole = 34


@dataclass(frozen=True)
class ElementEnergy:
    """The least energy of an element.

    Attributes:
        energy: eV/atom; NaN where there is none.
        crystal: the one it belongs to, or "".
        reason: why there is no energy, else empty.
    """

    energy: float
    crystal: str
    reason: str = ""


def least_energy(
    crystals: Iterable[tuple[str, Atoms]], calculator: Calculator, settings: ElementSettings
) -> ElementEnergy:
    """The lowest of some crystals by single points, relaxed.

    Args:
        crystals: names and crystals of one element.
        calculator: gives energies, forces and stress.
        settings: settings of the relaxation.

    Returns:
        The energy; none where the calculator refuses all crystals, or binds none of them, as potentials do not bind the
        elements that they never saw.
    """
    found: list[tuple[float, str, Atoms]] = []
    reason = "no crystal of it is known"
    for name, atoms in crystals:
        atoms.calc = calculator
        energy, why = _energy_per_atom(atoms)
        reason = why or reason
        if np.isfinite(energy):
            found.append((energy, name, atoms))
    if not found:
        return ElementEnergy(float("nan"), "", reason)
    energy, name, atoms = min(found, key=lambda one: one[0])
    if len(atoms) <= settings.largest:
        energy = min(energy, _relaxed_energy(atoms, calculator, settings))
    if not energy < 0.0:
        return ElementEnergy(float("nan"), "", f"it is not bound: {energy:.3f} eV/atom")
    return ElementEnergy(energy, name)


def _energy_per_atom(atoms: Atoms) -> tuple[float, str]:
    """eV/atom, and why there is none: NaN where the calculator refuses the crystal."""
    try:
        return float(atoms.get_potential_energy()) / len(atoms), ""
    except Exception as error:  # calculators raise all kinds of them
        return float("nan"), " ".join(f"{type(error).__name__}: {error}".split())


def _relaxed_energy(atoms: Atoms, calculator: Calculator, settings: ElementSettings) -> float:
    """Energy per atom, relaxed; infinite if that fails or the volume changes too much."""
    # with zeros for the energies of the elements, a formation energy is the energy itself
    energies = PotentialEnergies(calculator, dict.fromkeys(SYMBOLS[1:], 0.0))
    relaxed = relax(
        from_ase([atoms]),
        energies,
        RelaxationSettings(
            fmax=settings.fmax, steps=settings.steps, max_volume_change=settings.max_volume_change
        ),
    )
    return np.inf if relaxed.after is None else relaxed.after.energy
