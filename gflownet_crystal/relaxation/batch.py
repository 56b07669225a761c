"""Crystals that are relaxed together: one computation of all their forces, and a step of each."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import Generic

import torch
from ase import units
from torch import Tensor
from torch.nn.functional import pad

from gflownet_crystal.models.energies.derivatives import Derivatives
from gflownet_crystal.models.energies.structure_energies import UNJUDGED, StructureEnergies
from gflownet_crystal.relaxation.coordinates import Coordinates
from gflownet_crystal.relaxation.minimizer import Minimizer
from gflownet_crystal.relaxation.preparing import Prepared
from gflownet_crystal.relaxation.results import Done, Key, Relaxation, State, Status
from gflownet_crystal.relaxation.settings import RelaxationSettings
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.structures.symmetry import find_space_groups


@dataclass
class Active(Generic[Key]):
    """A crystal that is being relaxed.

    Attributes:
        key: name of the crystal.
        prepared: the crystal at its start.
        steps: number of steps taken.
        seconds: its share of the time so far.
        before: its state at the start; None until it is known.
        passing: whether its trial is the pass of a denoiser.
        denoised: whether that pass has lowered its energy.
    """

    key: Key
    prepared: Prepared
    steps: int = 0
    seconds: float = 0.0
    before: State | None = None
    passing: bool = False
    denoised: bool = False

    def failed(self, reason: str) -> Done[Key]:
        """Its end by a failure."""
        result = Relaxation("failed", reason, self.steps, before=self.before, denoised=self.denoised)
        return Done(self.key, result, self.seconds)

    def ended(self, relaxed: StructureBatch, status: Status, after: State) -> Done[Key]:
        """Its end with a crystal."""
        given = self.prepared.reduced.restored(relaxed)
        result = Relaxation(status, "", self.steps, given, self.before, after, self.denoised)
        return Done(self.key, result, self.seconds)


@dataclass(frozen=True)
class RelaxationBatch(Generic[Key]):
    """Crystals that are relaxed together.

    Attributes:
        active: n crystals.
        coordinates: their coordinates.
        minimizer: their searches.
        pulls: (n, 3) at the best coordinates: largest force (eV/Å), largest virial an atom (eV), pressure (GPa).
    """

    active: list[Active[Key]]
    coordinates: Coordinates
    minimizer: Minimizer
    pulls: Tensor

    @classmethod
    def of(cls, entering: list[Active[Key]]) -> RelaxationBatch[Key]:
        """Crystals at their starts."""
        prepared = [one.prepared for one in entering]
        return cls(
            entering,
            Coordinates.cat([one.coordinates for one in prepared]),
            Minimizer.cat([Minimizer.start(one.hessian) for one in prepared]),
            torch.zeros((len(prepared), 3), dtype=torch.float64),
        )

    def joined(self, others: RelaxationBatch[Key]) -> RelaxationBatch[Key]:
        """These crystals and others."""
        return RelaxationBatch(
            self.active + others.active,
            Coordinates.cat([self.coordinates, others.coordinates]),
            Minimizer.cat([self.minimizer, others.minimizer]),
            torch.cat([self.pulls, others.pulls]),
        )

    def select(self, rows: Tensor) -> RelaxationBatch[Key]:
        """The crystals of a mask, (n,) bool."""
        active = [self.active[row] for row in rows.nonzero()[:, 0].tolist()]
        return RelaxationBatch(
            active, self.coordinates.select(rows), self.minimizer.select(rows), self.pulls[rows]
        )

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""
        return len(self.coordinates.start.fractional)

    def advanced(
        self, energies: StructureEnergies, settings: RelaxationSettings
    ) -> tuple[list[Done[Key]], RelaxationBatch[Key]]:
        """The crystals that are done after their trials were computed, and the others with new trials."""
        start = time.perf_counter()
        trial = self.coordinates.structures(self.minimizer.trial)
        found = energies.derivatives(trial)
        told = self._told(trial, found)
        reasons = told._failures(found, settings.max_volume_change)
        told._see_starts(energies, settings.symprec, reasons)
        self._share(time.perf_counter() - start)
        failed = [one.failed(reason) for one, reason in zip(self.active, reasons, strict=True) if reason]
        left = told.select(torch.tensor([not reason for reason in reasons]))
        converged = (left.pulls[:, :2] <= settings.fmax).all(1)
        spent = torch.tensor([one.steps >= settings.steps for one in left.active], dtype=torch.bool)
        passing = torch.tensor([one.passing for one in left.active], dtype=torch.bool)
        ending = (converged | spent) & ~passing
        ended = left.select(ending)._ended(energies, converged[ending], settings.symprec)
        return failed + ended, left.select(~ending)._stepped()

    def _told(self, trial: StructureBatch, found: Derivatives) -> RelaxationBatch[Key]:
        """The crystals after the derivatives of their trials; the active ones note whether a pass lowers an energy."""
        virials = found.stress * trial.volume[:, None, None]
        forces, kept = self.coordinates.kept(found.forces, virials)
        largest = torch.zeros_like(found.energy).scatter_reduce(
            0, trial.structure_index, forces.norm(dim=1), "amax"
        )
        virial = kept.norm(dim=2).amax(1) / trial.n_atoms
        pressure = -found.stress.diagonal(dim1=1, dim2=2).mean(1) / units.GPa
        slopes = self.coordinates.slopes(self.minimizer.trial, found.forces, virials)
        passing = torch.tensor([one.passing for one in self.active])
        length = self.coordinates.extents(self.minimizer.trial - self.minimizer.values)
        better, minimizer = self.minimizer.told(found.energy, slopes, length, passing)
        pulls = torch.where(better[:, None], torch.stack([largest, virial, pressure], dim=1), self.pulls)
        for one, lowered in zip(self.active, better.tolist(), strict=True):
            one.denoised = one.denoised or (one.passing and lowered)
            one.passing = False
        return replace(self, minimizer=minimizer, pulls=pulls)

    def _failures(self, found: Derivatives, largest: float) -> list[str]:
        """Reasons of failures after the derivatives of the trials; empty where there is none."""
        finite = found.energy.isfinite() & self.minimizer.slopes.isfinite().all(1)
        volume = self.coordinates.structures(self.minimizer.values).volume
        changes = (volume / self.coordinates.start.volume - 1.0).tolist()
        reasons = []
        for row, (good, change) in enumerate(zip(finite.tolist(), changes, strict=True)):
            reason = found.reasons.get(row, "" if good else "forces or cell are not finite")
            if not reason and not abs(change) <= largest:
                reason = f"the volume changed by {100 * change:+.0f} %, more than max_volume_change={largest}"
            reasons.append(reason)
        return reasons

    def _see_starts(self, energies: StructureEnergies, symprec: float, reasons: list[str]) -> None:
        """Note the states of crystals at their starts; the reason of those that the model cannot judge is set."""
        new = [one.before is None and not reason for one, reason in zip(self.active, reasons, strict=True)]
        if not any(new):
            return
        started = self.select(torch.tensor(new))
        rows = [row for row, is_new in enumerate(new) if is_new]
        given = StructureBatch.cat([one.prepared.reduced.structure for one in started.active])
        for row, one, state in zip(
            rows, started.active, started._states(energies, given, symprec), strict=True
        ):
            if state is None:
                reasons[row] = UNJUDGED
            else:
                one.before, one.passing = state, one.prepared.first is not None

    def _states(
        self, energies: StructureEnergies, structures: StructureBatch, symprec: float
    ) -> list[State | None]:
        """States at the best coordinates, whose structures these are; None where the model cannot judge."""
        formation = energies.formation_energies(structures, self.minimizer.energy).tolist()
        groups = find_space_groups(structures, symprec).tolist()
        return [
            State(energy, force, pressure, group) if math.isfinite(energy) else None
            for energy, (force, _, pressure), group in zip(
                formation, self.pulls.tolist(), groups, strict=True
            )
        ]

    def _ended(self, energies: StructureEnergies, converged: Tensor, symprec: float) -> list[Done[Key]]:
        """The results of crystals that are done."""
        if not self.active:
            return []
        relaxed = self.coordinates.structures(self.minimizer.values)
        states = self._states(energies, relaxed, symprec)
        return [
            one.failed(UNJUDGED)
            if state is None
            else one.ended(relaxed[row : row + 1], "converged" if rests else "not_converged", state)
            for row, (one, state, rests) in enumerate(
                zip(self.active, states, converged.tolist(), strict=True)
            )
        ]

    def _stepped(self) -> RelaxationBatch[Key]:
        """The crystals with their next trials."""
        if not self.active:
            return self
        directions = self.minimizer.directions()
        minimizer = self.minimizer.stepped(directions, self.coordinates.extents(directions))
        trial = minimizer.trial.clone()
        for row, one in enumerate(self.active):
            if one.passing and one.prepared.first is not None:
                trial[row] = pad(one.prepared.first, (0, trial.shape[1] - len(one.prepared.first)))
            else:
                one.steps += 1
        return replace(self, minimizer=replace(minimizer, trial=trial))

    def _share(self, seconds: float) -> None:
        """Count a time by the atoms of the crystals."""
        for one, size in zip(self.active, self.coordinates.start.n_atoms.tolist(), strict=True):
            one.seconds += seconds * size / self.n_atoms
