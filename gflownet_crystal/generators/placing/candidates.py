"""Atoms on Wyckoff positions for many assignments of one spec at once, as tensors over their free parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gflownet_crystal.crystallography.wyckoff import wyckoff_positions
from gflownet_crystal.generators.wyckoff_assignments import Assignment
from gflownet_crystal.structures.distances import PeriodicLattice, covalent_radii
from gflownet_crystal.structures.elements import ELECTRONEGATIVITY, N_ATOMIC_NUMBERS
from gflownet_crystal.structures.spec import CrystalSpec


@dataclass(frozen=True)
class AssignedOrbits:
    """A assignments of the same N atoms; assignment a has at most R orbits.

    Attributes:
        atomic_numbers: (N,) int64, the same atoms in every assignment.
        rotation: (A, N, 3, 3) float64, from the free parameters of an atom's orbit to its coordinates.
        translation: (A, N, 3) float64, fractional.
        orbit: (A, N) int64, the orbit of each atom, 0 to R - 1.
        representative: (A, R) int64, one atom of each orbit; those past an assignment's last orbit repeat atom 0.
        n_orbits: (A,) int64.
        is_free: (A,) bool, whether any orbit has a free parameter.
    """

    atomic_numbers: Tensor
    rotation: Tensor
    translation: Tensor
    orbit: Tensor
    representative: Tensor
    n_orbits: Tensor
    is_free: Tensor

    @classmethod
    def of(
        cls, group: int, elements: Sequence[int], assignments: Sequence[Assignment], device: torch.device
    ) -> AssignedOrbits:
        """Collect the operations of assignments.

        Args:
            group: ITA number, 1 to 230.
            elements: atomic number of each element of the assignments.
            assignments: A assignments of one composition.
            device: device of the tensors.
        """
        positions = wyckoff_positions(group)
        chosen = [[positions[index] for own in assignment for index in own] for assignment in assignments]
        sizes = [[position.multiplicity for position in orbits] for orbits in chosen]
        most = max(map(len, chosen))
        starts = np.zeros((len(chosen), most), dtype=np.int64)
        for row, lengths in enumerate(sizes):
            starts[row, : len(lengths)] = np.cumsum(lengths) - lengths
        maps = np.stack([np.concatenate([position.operations for position in orbits]) for orbits in chosen])
        orbit = np.stack([np.repeat(np.arange(len(lengths)), lengths) for lengths in sizes])
        held = [sum(positions[index].multiplicity for index in own) for own in assignments[0]]
        tensors = [
            np.repeat(np.asarray(elements, dtype=np.int64), held),
            maps[..., :3],
            maps[..., 3],
            orbit,
            starts,
            np.array([len(orbits) for orbits in chosen]),
            np.array([any(position.degrees_of_freedom for position in orbits) for orbits in chosen]),
        ]
        return cls(*(torch.from_numpy(np.ascontiguousarray(array)).to(device) for array in tensors))

    def coordinates(self, rows: Tensor, parameters: Tensor) -> Tensor:
        """Fractional coordinates, not wrapped, (C, N, 3) float64.

        Args:
            rows: (C,) int64, the assignment of each candidate.
            parameters: (C, R, 3) float64, the parameters x, y, z of each orbit; a position reads those it leaves free.
        """
        own = parameters.gather(1, self.orbit[rows].unsqueeze(-1).expand(-1, -1, 3))
        return torch.einsum("cnij,cnj->cni", self.rotation[rows], own) + self.translation[rows]


@dataclass(frozen=True)
class Spacing:
    """Smallest distances between atoms of candidates, in units of the contact distance of the pair.

    All distances from one atom of each orbit are all distances there are, by symmetry.

    Attributes:
        orbits: the assignments.
        lattice: their common lattice.
        contact: (N, N) float64, contact distance of each pair of atoms, Å.
    """

    orbits: AssignedOrbits
    lattice: PeriodicLattice
    contact: Tensor

    def ratios(self, rows: Tensor, coordinates: Tensor) -> Tensor:
        """Distances over contact distances.

        Args:
            rows: (C,) int64, the assignment of each candidate.
            coordinates: (C, N, 3) fractional.

        Returns:
            (C, R, N) float64, from the first atom of each orbit to all atoms; to itself, the distance to its images.
        """
        first = self.orbits.representative[rows]
        origin = coordinates.gather(1, first.unsqueeze(-1).expand(-1, -1, 3))
        distances = self.lattice.distances(origin.unsqueeze(2) - coordinates.unsqueeze(1))
        itself = first.unsqueeze(-1) == torch.arange(coordinates.shape[1], device=first.device)
        distances = torch.where(itself, self.lattice.shortest, distances)
        return distances / self.contact[first]

    def smallest(self, rows: Tensor, parameters: Tensor, chunk: int) -> Tensor:
        """Smallest ratio of each candidate, (C,) float64, at most ``chunk`` candidates at a time."""
        pieces = zip(rows.split(chunk), parameters.split(chunk), strict=True)
        return torch.cat([self.ratios(r, self.orbits.coordinates(r, p)).amin((1, 2)) for r, p in pieces])

    def spread(self, rows: Tensor, parameters: Tensor, target: float, steps: int, rate: float) -> Tensor:
        """Move free parameters until no two atoms are nearer than ``target`` times their contact distance.

        Descends on the summed squared shortfall, which is flat once the target is met: atoms stop at a general place
        instead of being driven on to the most symmetric one.

        Args:
            rows: (C,) int64, the assignment of each candidate.
            parameters: (C, R, 3) start.
            target: ratio at which two atoms no longer repel.
            steps: number of steps.
            rate: step length in fractional coordinates.

        Returns:
            (C, R, 3) parameters.
        """

        def ratios(moved: Tensor) -> Tensor:
            return self.ratios(rows, self.orbits.coordinates(rows, moved))

        return push_apart(parameters, ratios, target, steps, rate)


def push_apart(
    parameters: Tensor, ratios: Callable[[Tensor], Tensor], target: float, steps: int, rate: float
) -> Tensor:
    """Parameters after steps that descend on the summed squared shortfall of ratios from a target.

    Args:
        parameters: start, of any shape.
        ratios: distances over contact distances at parameters, of any shape, differentiable.
        target: ratio at which two atoms no longer repel.
        steps: number of steps.
        rate: length of a step, fractional coordinates.
    """
    moved = parameters.clone().requires_grad_(True)
    optimizer = torch.optim.Adam([moved], lr=rate)
    with torch.enable_grad():
        for _ in range(steps):
            optimizer.zero_grad()
            (target - ratios(moved)).clamp(min=0).square().sum().backward()
            optimizer.step()
    return moved.detach()


def contact_distances(atomic_numbers: Tensor, anion_repulsion: float) -> Tensor:
    """Distances at which pairs of atoms of one compound touch, (N, N) float64, Å.

    The sum of the covalent radii; anions, which keep further apart than bonded atoms, get more. An element is an
    anion in so far as it is more electronegative than the mean of the atoms.

    Args:
        atomic_numbers: (N,) int64, the atoms of the compound.
        anion_repulsion: fraction of the summed radii by which two full anions are further apart.
    """
    radii = covalent_radii(atomic_numbers)
    electronegativity = known_electronegativity(atomic_numbers)
    anion = anion_character(electronegativity, electronegativity.mean())
    return (radii[:, None] + radii) * (1 + anion_repulsion * anion[:, None] * anion)


def known_electronegativity(atomic_numbers: Tensor) -> Tensor:
    """Electronegativity of elements, float64; 2.0 where none is tabulated."""
    return torch.from_numpy(ELECTRONEGATIVITY).to(atomic_numbers.device)[atomic_numbers].nan_to_num(2.0)


def anion_character(electronegativity: Tensor, mean: Tensor) -> Tensor:
    """In how far an element is an anion of a compound, 0 to 1, by the mean electronegativity of its atoms."""
    return torch.tanh((electronegativity - mean).clamp(min=0) / 0.5)


def mean_electronegativity(specs: CrystalSpec) -> Tensor:
    """Mean electronegativity over the atoms of each spec, (n,) float64."""
    numbers = torch.arange(N_ATOMIC_NUMBERS, device=specs.device)
    return (specs.fractions * known_electronegativity(numbers)).sum(1)
