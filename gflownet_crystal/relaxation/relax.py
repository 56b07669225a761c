"""Relaxation of one crystal: ASE's FIRE on atoms and cell, with its symmetry kept on request."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from ase import Atoms, units
from ase.constraints import FixSymmetry
from ase.filters import FrechetCellFilter
from ase.optimize import FIRE

from gflownet_crystal.models.energies.structure_energies import StructureEnergies
from gflownet_crystal.relaxation.denoising import denoised, load_denoiser
from gflownet_crystal.relaxation.primitive_cell import PrimitiveCell
from gflownet_crystal.relaxation.settings import RelaxationSettings
from gflownet_crystal.structures.checks import CLOSEST
from gflownet_crystal.structures.convert import from_ase, to_ase
from gflownet_crystal.structures.periodic_pairs import usable
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.structures.symmetry import find_space_groups

Status = Literal["converged", "not_converged", "failed"]

_LARGEST_STEP = 0.1
# Å; rounding error of a translation in a file
_EXACT = 1e-4


@dataclass(frozen=True)
class State:
    """A crystal at one end of a relaxation.

    Attributes:
        energy: formation energy, eV/atom.
        max_force: largest force on an atom, eV/Å, symmetrised if the symmetry is kept.
        pressure: GPa, positive if the cell wants to grow.
        space_group: space group by moyo, 0 where the search fails.
    """

    energy: float
    max_force: float
    pressure: float
    space_group: int


@dataclass(frozen=True)
class Relaxation:
    """Result of the relaxation of a crystal.

    Attributes:
        status: ``converged``, ``not_converged`` after all steps, or ``failed``.
        reason: why it failed, else empty.
        steps: number of steps taken.
        structure: one structure, relaxed, in the cell that was given; None if it failed.
        before: None if it failed at once.
        after: None if it failed.
        denoised: whether it started from the pass of a denoiser.
    """

    status: Status
    reason: str
    steps: int
    structure: StructureBatch | None = None
    before: State | None = None
    after: State | None = None
    denoised: bool = False


class _RefusedError(Exception):
    """The relaxation left the bounds, or the range of the model."""


def relax(structure: StructureBatch, energies: StructureEnergies, settings: RelaxationSettings) -> Relaxation:
    """Relax one crystal; whatever goes wrong with it is a failure with a reason.

    Args:
        structure: one structure, in any cell.
        energies: gives forces, stress and formation energies.
        settings: settings of the relaxation.
    """
    calculator = energies.calculator()
    optimizer: FIRE | None = None
    before: State | None = None
    moved = False
    try:
        reduced = _reduced(structure, settings)
        energy = _judged_energy(reduced.structure, energies)
        atoms = to_ase(reduced.structure)[0]
        atoms.calc = calculator
        with warnings.catch_warnings():
            # ASE warns of large steps of a cell with symmetry, which it bounds itself
            warnings.simplefilter("ignore")
            if settings.symmetry:
                atoms.set_constraint(_kept_symmetry(atoms, settings.symprec))
            before = _state(atoms, energy, reduced.structure, settings.symprec)
            if settings.denoise is not None:
                moved = _take_denoised(atoms, energy, energies, settings.denoise)
            moving = FrechetCellFilter(atoms) if settings.cell else atoms
            optimizer = FIRE(moving, logfile=None, maxstep=_LARGEST_STEP)
            optimizer.attach(_guard(atoms, settings.max_volume_change))
            converged = bool(optimizer.run(fmax=settings.fmax, steps=settings.steps))
        relaxed = _back(atoms)
        energy = _judged_energy(relaxed, energies)
        after = _state(atoms, energy, relaxed, settings.symprec)
    except Exception as error:  # ASE, spglib and the potentials raise all kinds of them
        steps = 0 if optimizer is None else int(optimizer.nsteps)
        return Relaxation("failed", _one_line(error), steps, before=before, denoised=moved)
    status: Status = "converged" if converged else "not_converged"
    return Relaxation(status, "", int(optimizer.nsteps), reduced.restored(relaxed), before, after, moved)


def _reduced(structure: StructureBatch, settings: RelaxationSettings) -> PrimitiveCell:
    """The crystal in the cell that is relaxed; where no symmetry is kept, only exact translations are."""
    if not settings.primitive:
        return PrimitiveCell.same(structure)
    return PrimitiveCell.of(structure, settings.symprec if settings.symmetry else _EXACT)


def _judged_energy(structure: StructureBatch, energies: StructureEnergies) -> float:
    """Formation energy, eV/atom.

    Raises:
        _RefusedError: the model cannot judge the structure.
    """
    if not bool(usable(structure, CLOSEST)[0]):
        raise _RefusedError(f"atoms closer than {CLOSEST} Å, a flat cell, or numbers that are not finite")
    energy = float(energies.predict(structure)[0][0])
    if not np.isfinite(energy):
        raise _RefusedError(
            "the model cannot judge it: an atom without neighbours, or an element it does not know"
        )
    return energy


def _take_denoised(atoms: Atoms, energy: float, energies: StructureEnergies, weights: str) -> bool:
    """Move atoms by the pass of a denoiser if that lowers their energy (eV/atom); whether it does."""
    better = denoised(atoms, load_denoiser(weights))
    try:
        lowers = better is not None and _judged_energy(_back(better), energies) < energy
    except _RefusedError:
        return False
    if better is not None and lowers:
        atoms.set_positions(better.positions)
    return lowers


def _state(atoms: Atoms, energy: float, structure: StructureBatch, symprec: float) -> State:
    forces = np.asarray(atoms.get_forces())
    stress = np.asarray(atoms.get_stress())
    if not (np.isfinite(forces).all() and np.isfinite(stress).all()):
        raise _RefusedError("forces or stress are not finite")
    largest = float(np.linalg.norm(forces, axis=1).max())
    pressure = -float(stress[:3].mean()) / units.GPa
    return State(energy, largest, pressure, int(find_space_groups(structure, symprec)[0]))


def _kept_symmetry(atoms: Atoms, symprec: float) -> FixSymmetry:
    try:
        return FixSymmetry(atoms, symprec=symprec)
    except Exception as error:  # spglib finds nothing, or ASE rejects its result
        raise _RefusedError(f"no symmetry to keep at symprec={symprec} Å; try symmetry=false") from error


def _guard(atoms: Atoms, largest: float) -> Callable[[], None]:
    """Stop criterion for a relaxation whose volume or numbers diverge."""
    start = atoms.get_volume()

    def check() -> None:
        change = atoms.get_volume() / start - 1.0
        if not np.isfinite(change) or not np.isfinite(atoms.get_forces()).all():
            raise _RefusedError("forces or cell are not finite")
        if abs(change) > largest:
            raise _RefusedError(
                f"the volume changed by {100 * change:+.0f} %, more than max_volume_change={largest}"
            )

    return check


def _back(atoms: Atoms) -> StructureBatch:
    plain = atoms.copy()
    plain.set_constraint()
    return from_ase([plain])


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, _RefusedError) else f"{type(error).__name__}: {text}"
