"""The least energy of an element's crystals by a calculator: where its formation energies start from."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from ase.filters import FrechetCellFilter
from ase.optimize import FIRE

from gflownet_crystal.common.annotations import CheckedFields
from gflownet_crystal.common.bounds import Positive, Whole

if TYPE_CHECKING:
    from ase import Atoms
    from ase.calculators.calculator import BaseCalculator


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
    crystals: Iterable[tuple[str, Atoms]], calculator: BaseCalculator, settings: ElementSettings
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
        energy = min(energy, _relaxed_energy(atoms, settings))
    if not energy < 0.0:
        return ElementEnergy(float("nan"), "", f"it is not bound: {energy:.3f} eV/atom")
    return ElementEnergy(energy, name)


def _energy_per_atom(atoms: Atoms) -> tuple[float, str]:
    """eV/atom, and why there is none: NaN where the calculator refuses the crystal."""
    try:
        return float(atoms.get_potential_energy()) / len(atoms), ""
    except Exception as error:  # calculators raise all kinds of them
        return float("nan"), " ".join(f"{type(error).__name__}: {error}".split())


def _relaxed_energy(atoms: Atoms, settings: ElementSettings) -> float:
    """Energy per atom after a short relaxation; infinite if it fails or the volume changes too much."""
    volume = atoms.get_volume()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            FIRE(FrechetCellFilter(atoms), logfile=None).run(fmax=settings.fmax, steps=settings.steps)
    except Exception:  # as above; the energy of the given crystal stands
        return np.inf
    energy, _ = _energy_per_atom(atoms)
    kept = abs(atoms.get_volume() / volume - 1.0) < settings.max_volume_change
    return energy if kept and np.isfinite(energy) else np.inf
