"""Symmetry kept by a relaxation: operations of the crystal, and the displacements and strains that they leave alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.structures.symmetry import find_dataset, quiet_moyo

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]

_STRAINS = np.zeros((6, 3, 3))
"""An orthonormal basis of the symmetric matrices."""
for _row, (_i, _j) in enumerate([(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)]):
    _STRAINS[_row, _i, _j] = _STRAINS[_row, _j, _i] = 1.0 if _i == _j else np.sqrt(0.5)

_ONE = 0.5
"""Eigenvalues of a projector are 0 and 1; those above this are 1."""


@dataclass(frozen=True)
class KeptSymmetry:
    """A crystal that obeys its operations to rounding.

    Attributes:
        cell: (3, 3) lattice vectors as rows, Å.
        fractional: (N, 3) coordinates.
        turns: (m, 3, 3) rotation of each operation, acting on Cartesian rows from the right.
        image: (m, N) int64, the atom that each operation takes an atom to.
    """

    cell: Floats
    fractional: Floats
    turns: Floats
    image: Whole

    @classmethod
    def none(cls, cell: Floats, fractional: Floats) -> KeptSymmetry:
        """A crystal without symmetry to keep."""
        return cls(cell, fractional, np.eye(3)[None], np.arange(len(fractional))[None])

    @classmethod
    def of(cls, cell: Floats, numbers: Whole, fractional: Floats, symprec: float) -> KeptSymmetry:
        """Find the operations of a crystal, and average cell and atoms over them.

        Args:
            cell: (3, 3) lattice vectors as rows, Å.
            numbers: (N,) atomic numbers.
            fractional: (N, 3) coordinates.
            symprec: tolerance of the search, Å.

        Raises:
            DataError: the search fails, or its operations do not map the atoms onto each other.
        """
        with quiet_moyo():
            found = find_dataset(cell, numbers, fractional, symprec)
        if found is None:
            raise DataError(f"no symmetry to keep at symprec={symprec} Å; try symmetry=false")
        rotations = np.array(found.operations.rotations, dtype=np.float64)
        shifts = np.array(found.operations.translations, dtype=np.float64)
        places = fractional @ rotations.transpose(0, 2, 1) + shifts[:, None]
        image, error = _images(cell, numbers, fractional, places)
        if (np.sort(image, axis=1) != np.arange(len(numbers))).any():
            raise DataError(f"no symmetry to keep at symprec={symprec} Å; try symmetry=false")
        # an atom's image misses the atom that it belongs to by the error: half of the images move it each way
        mean = np.zeros_like(fractional)
        for index, miss in zip(image, error, strict=True):
            mean[index] += miss
        fractional = fractional + mean / len(image)
        metric = rotations.transpose(0, 2, 1) @ (cell @ cell.T) @ rotations
        cell = _power(metric.mean(0), 0.5) @ _power(cell @ cell.T, -0.5) @ cell
        turns = np.linalg.inv(cell) @ rotations.transpose(0, 2, 1) @ cell
        return cls(cell, fractional, turns, image)

    def displacements(self) -> Floats:
        """Orthonormal basis of the displacements (N, 3, f) of the atoms that keep the symmetry."""
        n_atoms = self.image.shape[1]
        if len(self.turns) == 1:
            return np.eye(3 * n_atoms).reshape(n_atoms, 3, 3 * n_atoms)
        columns = []
        for atom in range(n_atoms):
            orbit, first = np.unique(self.image[:, atom], return_index=True)
            if orbit[0] < atom:
                continue
            free = _kept_vectors(self.turns[self.image[:, atom] == atom].mean(0))
            moved = np.zeros((n_atoms, 3, free.shape[1]))
            # row vectors turn from the right
            moved[orbit] = np.einsum("if,gij->gjf", free, self.turns[first]) / np.sqrt(len(orbit))
            columns.append(moved)
        return np.concatenate(columns, axis=2)

    def strains(self) -> Floats:
        """Orthonormal basis of the symmetric strains (3, 3, f) of the cell that keep the symmetry."""
        turned = np.einsum("gki,skl,glj->sij", self.turns, _STRAINS, self.turns) / len(self.turns)
        kept = _kept_vectors(np.einsum("sij,tij->st", turned, _STRAINS))
        return np.einsum("sij,sf->ijf", _STRAINS, kept)


def _images(cell: Floats, numbers: Whole, points: Floats, places: Floats) -> tuple[Whole, Floats]:
    """The atoms (m, N) nearest to places (m, N, 3), of the same element, and the places' fractional errors."""
    difference = places[:, :, None] - points
    difference -= difference.round()
    distance = np.linalg.norm(difference @ cell, axis=3)
    distance[:, numbers[:, None] != numbers] = np.inf
    image = distance.argmin(axis=2)
    return image, np.take_along_axis(difference, image[:, :, None, None], axis=2)[:, :, 0]


def _kept_vectors(projector: Floats) -> Floats:
    """Orthonormal columns that an orthogonal projector leaves as they are, (d, f)."""
    values, vectors = np.linalg.eigh(0.5 * (projector + projector.T))
    return vectors[:, values > _ONE]


def _power(matrix: Floats, power: float) -> Floats:
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * values**power) @ vectors.T
