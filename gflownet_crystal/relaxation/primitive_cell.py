"""The smallest cell of a crystal that comes in a larger one, and the way back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from gflownet_crystal.structures.convert import from_arrays
from gflownet_crystal.structures.reduction import reduce_cells
from gflownet_crystal.structures.structure import StructureBatch

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]


@dataclass(frozen=True)
class PrimitiveCell:
    """One crystal in a primitive, reduced cell that is not rotated against the given one.

    Attributes:
        structure: one structure; an atom of each set that translations make of each other, at their mean.
        basis: (3, 3) float64, primitive lattice vectors in units of the given ones: primitive = basis @ given.
        atom: (N,) int64, the primitive atom that each given one is an image of.
        shift: (N, 3) float64, from the primitive atom to the given one, fractional in the given cell.
    """

    structure: StructureBatch
    basis: Floats
    atom: Whole
    shift: Floats

    @classmethod
    def of(cls, structure: StructureBatch, tolerance: float) -> Self:
        """Find the translations of a crystal; where there are none, the given cell is kept.

        Args:
            structure: one structure on the CPU, in any cell.
            tolerance: Å, by which a translation may miss an atom.
        """
        cell, points = structure.cell[0].numpy(), structure.fractional.numpy()
        translations, images = _translations(cell, structure.atomic_numbers.numpy(), points, tolerance)
        basis = _basis(translations)
        if basis is None:
            return cls.same(structure)
        change = reduce_cells(torch.from_numpy(basis @ cell)[None])[0].numpy()
        basis = change @ basis
        basis *= np.sign(np.linalg.det(basis))
        first = images.min(axis=0)
        kept, atom = np.unique(first, return_inverse=True)
        # how far the images of each atom, brought back, lie from it
        error = points[images] - translations[:, None] - points
        mean = points + (error - error.round()).mean(axis=0)
        place = np.argmax(images[:, first] == np.arange(len(points)), axis=0)
        shift = translations[place]
        shift = shift + (points - mean[first] - shift).round()
        primitive = from_arrays(
            (basis @ cell)[None],
            [structure.atomic_numbers.numpy()[kept]],
            [mean[kept] @ np.linalg.inv(basis)],
        )
        return cls(primitive, basis, atom, shift)

    @classmethod
    def same(cls, structure: StructureBatch) -> Self:
        """The given cell itself."""
        n = len(structure.atomic_numbers)
        return cls(structure, np.eye(3), np.arange(n), np.zeros((n, 3)))

    def restored(self, moved: StructureBatch) -> StructureBatch:
        """The given cell with all its atoms in their order, after the primitive one has moved.

        Args:
            moved: one structure with the atoms of ``structure`` in their order.
        """
        cell = np.linalg.inv(self.basis) @ moved.cell[0].numpy()
        points = (moved.fractional.numpy() @ self.basis)[self.atom] + self.shift
        return from_arrays(cell[None], [moved.atomic_numbers.numpy()[self.atom]], [points])


def _translations(cell: Floats, numbers: Whole, points: Floats, tolerance: float) -> tuple[Floats, Whole]:
    """Translations (m, 3) that map a crystal onto itself, fractional, and the image of each atom under them (m, N)."""
    elements, counts = np.unique(numbers, return_counts=True)
    rare = points[numbers == elements[counts.argmin()]]
    found, images = [], []
    for translation in rare - rare[0]:
        difference = points[:, None] + translation - points
        difference = (difference - difference.round()) @ cell
        distance = np.where(numbers[:, None] == numbers, np.linalg.norm(difference, axis=2), np.inf)
        image = distance.argmin(axis=1)
        if distance.min(axis=1).max() <= tolerance and len(np.unique(image)) == len(numbers):
            found.append(translation)
            images.append(image)
    # m translations form a group, so that m times each of them is a lattice vector
    m = max(1, len(found))
    exact = np.round(np.array(found).reshape(-1, 3) * m) / m
    return exact, np.array(images, dtype=np.int64).reshape(len(found), -1)


def _basis(translations: Floats) -> Floats | None:
    """A basis of the lattice with translations (m, 3) added, rows; None if they are no such group, or the identity."""
    m = len(translations)
    if m < 2:
        return None
    rows = np.concatenate([m * np.eye(3), m * translations]).round().astype(np.int64)
    basis = []
    for column in range(3):
        while (np.count_nonzero(rows[:, column])) > 1:
            size = np.abs(rows[:, column])
            pivot = np.where(size > 0, size, size.max() + 1).argmin()
            factor = rows[:, column] // rows[pivot, column]
            factor[pivot] = 0
            rows = rows - factor[:, None] * rows[pivot]
        pivot = np.abs(rows[:, column]).argmax()
        basis.append(rows[pivot])
        rows = np.delete(rows, pivot, axis=0)
    made = np.array(basis) / m
    # fewer or more lattice points than translations: they were within the tolerance, but no group
    return made if np.isclose(abs(np.linalg.det(made)) * m, 1.0) else None
