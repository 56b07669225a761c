"""All pairs of atoms within a radius in a batch of periodic cells, however skewed, without a loop over structures.

The lattice is reduced, its basis turned to a lower triangle, and lattice translations are listed one coordinate after
the other (U. Fincke and M. Pohst, Math. Comp. 44, 463, 1985): the squared radius less the part of the earlier
coordinates bounds the next one, so that no translation is tried in vain. Every basis gives the same pairs, a reduced
one fast.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Self

import torch
from torch import Tensor

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.structures.batching import batches_of_atoms
from gflownet_crystal.structures.reduction import dot, reduce_cells
from gflownet_crystal.structures.structure import StructureBatch

_SEARCH_ATOMS = 1024

# bounds are this much wider than the radius: far above rounding, far below any tolerance of a caller
_WIDER, _WIDER_BY = 1.0 + 1e-8, 1e-10
_LARGEST_NUMBER = 1e9


class Pairs(NamedTuple):
    """Ordered pairs of an atom and an image of an atom, sorted by source, then by target.

    Attributes:
        source: (E,) int64.
        target: (E,) int64.
        translation: (E, 3) float64 whole numbers, of the wrapped target in the reduced basis.
        squared: (E,) float64, squared distances in Å^2, bit-identical in both directions of a pair.
    """

    source: Tensor
    target: Tensor
    translation: Tensor
    squared: Tensor

    def select(self, chosen: Tensor) -> Pairs:
        """The pairs of a mask, (E,) bool."""
        rows = chosen.nonzero()[:, 0]
        return Pairs(*(field.index_select(0, rows) for field in self))


@dataclass(frozen=True)
class PeriodicPoints:
    """Atoms of n structures in reduced bases, ready for a search.

    Attributes:
        height: (n, 3) float64, diagonal in Å of the lower triangle L whose rows are the reduced vectors, rotated.
        slope: (n, 3, 3) float64, L with each column divided by its diagonal element.
        change: (n, 3, 3) float64 whole numbers; the reduced vectors are the rows of change @ cell.
        points: (N, 3) float64, coordinates in the reduced basis, wrapped into the cell.
        shift: (N, 3) float64 whole numbers that wrapping subtracted, in the reduced basis.
        structure: (N,) int64, the structure of each atom.
        sizes: (n,) int64, atoms of each structure.
    """

    height: Tensor
    slope: Tensor
    change: Tensor
    points: Tensor
    shift: Tensor
    structure: Tensor
    sizes: Tensor

    @classmethod
    def of(cls, batch: StructureBatch) -> Self:
        """Reduce the cells of structures; cells and coordinates have to be finite."""
        change = reduce_cells(batch.cell)
        first, second, third = (change @ batch.cell).unbind(1)
        # Gram-Schmidt by hand: a Cholesky factor of the metric would square the rounding of long cells
        slope = torch.eye(3, dtype=change.dtype, device=change.device).repeat(len(batch), 1, 1)
        slope[:, 1, 0] = dot(second, first) / dot(first, first)
        slope[:, 2, 0] = dot(third, first) / dot(first, first)
        upright = second - slope[:, 1, :1] * first
        slope[:, 2, 1] = dot(third, upright) / dot(upright, upright)
        normal = torch.linalg.cross(first, upright)
        heights = [
            first.norm(dim=1),
            upright.norm(dim=1),
            dot(third, normal).abs() / dot(normal, normal).sqrt(),
        ]
        # exact for whole numbers of determinant 1 or -1: the inverse is the adjugate times the determinant
        rows = change.unbind(1)
        adjugate = torch.stack([torch.linalg.cross(rows[i - 2], rows[i - 1]) for i in range(3)], dim=2)
        inverse = adjugate * (rows[0] * adjugate[:, :, 0]).sum(1)[:, None, None]
        points = torch.einsum("ni,nij->nj", batch.fractional, inverse.index_select(0, batch.structure_index))
        shift = points.floor()
        height = torch.stack(heights, dim=1)
        return cls(height, slope, change, points - shift, shift, batch.structure_index, batch.n_atoms)

    def select(self, rows: Tensor) -> tuple[PeriodicPoints, Tensor]:
        """The structures of an index tensor, and the atoms that are theirs, int64."""
        sizes = self.sizes[rows]
        structure, atoms = expand((self.sizes.cumsum(0) - self.sizes)[rows], sizes)
        lattices = (self.height[rows], self.slope[rows], self.change[rows])
        return PeriodicPoints(*lattices, self.points[atoms], self.shift[atoms], structure, sizes), atoms

    def most_neighbours(self, radius: Tensor) -> Tensor:
        """Translations in the boxes around spheres, times atoms: at least the neighbours of an atom, (n,) -> (n,)."""
        return (2.0 * radius[:, None] / self.height + 1.0).prod(1) * self.sizes

    def within(self, radius: Tensor) -> Pairs:
        """All pairs within ``radius``, (n,) float64 Å, and those that rounding adds.

        An atom with itself, at distance 0, is among them.
        """
        start = (self.sizes.cumsum(0) - self.sizes)[self.structure]
        source, target = expand(start, self.sizes[self.structure])
        structure = self.structure.index_select(0, source)
        difference = [
            x.index_select(0, target) - x.index_select(0, source) for x in self.points.T.contiguous()
        ]
        bound = (radius * _WIDER + _WIDER_BY).square()
        pair = torch.arange(len(source), device=source.device)
        squared = torch.zeros_like(difference[0])
        # of the axes set so far: translations, and coordinates in the reduced basis
        translations: dict[int, Tensor] = {}
        coordinates: dict[int, Tensor] = {}
        for axis in (2, 1, 0):
            offset = difference[axis].index_select(0, pair)
            for later, coordinate in coordinates.items():
                slope = self.slope[:, later, axis].index_select(0, structure)
                offset = offset + coordinate * slope
            height = self.height[:, axis].index_select(0, structure)
            reach = (bound.index_select(0, structure) - squared).clamp(min=0.0).sqrt() / height
            low = (-offset - reach).ceil()
            counts = ((reach - offset).floor() - low + 1.0).clamp(min=0.0).long()
            parent, translation = expand(low, counts)
            kept = pair, structure, squared, offset, height
            pair, structure, squared, offset, height = (x.index_select(0, parent) for x in kept)
            squared = squared + ((offset + translation) * height).square()
            translations = {key: x.index_select(0, parent) for key, x in translations.items()}
            translations[axis] = translation
            coordinates = {
                key: difference[key].index_select(0, pair) + translations[key] for key in translations
            }
        image = torch.stack([translations[axis] for axis in range(3)], dim=1)
        return Pairs(source.index_select(0, pair), target.index_select(0, pair), image, squared)

    def images(self, pairs: Pairs) -> Tensor:
        """Images of the targets, as the coordinates and in the basis that were given: (E, 3) int64."""
        wrapped = self.shift.index_select(0, pairs.source) - self.shift.index_select(0, pairs.target)
        change = self.change.index_select(0, self.structure.index_select(0, pairs.source))
        return torch.einsum("ei,eij->ej", pairs.translation + wrapped, change).long()


def expand(low: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    """Runs of consecutive numbers, one run after the other.

    Args:
        low: (n,) first number of each run, of any dtype.
        counts: (n,) int64, length of each run.

    Returns:
        The run of each number, (sum of counts,) int64, and the number, in the dtype of ``low``.
    """
    run = torch.repeat_interleave(counts)
    first = low - (counts.cumsum(0) - counts)
    return run, first.index_select(0, run) + torch.arange(len(run), dtype=low.dtype, device=low.device)


def prepare(batch: StructureBatch, closest: float) -> PeriodicPoints:
    """Atoms of a batch, ready for a search.

    Raises:
        DataError: a structure has no atoms, numbers that are not finite or too large, or no lattice vectors of length
            ``closest`` Å or more.
    """
    refuse(~_is_sound(batch), "no atoms, or a cell or coordinates that are not finite")
    points = PeriodicPoints.of(batch)
    refuse(~_has_volume(points, closest), f"a flat cell or a lattice vector shorter than {closest} Å")
    return points


def usable(batch: StructureBatch, closest: float = 1e-3) -> Tensor:
    """Which structures have atoms, finite numbers, a cell with a volume, and no atoms on top of each other, (n,) bool.

    Args:
        batch: n structures.
        closest: Å, the least distance between atoms and the least length of a lattice vector.
    """
    good = has_cell(batch, closest)
    rows = good.nonzero()[:, 0]
    good[rows] = _is_apart(PeriodicPoints.of(batch[rows]), closest)
    return good


def has_cell(batch: StructureBatch, closest: float = 1e-3) -> Tensor:
    """Which structures are :func:`usable`, apart from the distances between atoms, (n,) bool."""
    good = _is_sound(batch)
    rows = good.nonzero()[:, 0]
    good[rows] = _has_volume(PeriodicPoints.of(batch[rows]), closest)
    return good


def refuse(faulty: Tensor, fault: str, rows: Tensor | None = None) -> None:
    """Raise a DataError with a text on the structures of a mask, (n,) bool, called by their ``rows`` if given."""
    if bool(faulty.any()):
        names = (faulty.nonzero()[:, 0] if rows is None else rows[faulty]).tolist()
        shown = ", ".join(map(str, names[:10])) + (", ..." if len(names) > 10 else "")
        raise DataError(
            f"{len(names)} structure(s) have {fault}: leave them out (rows of the batch: {shown})"
        )


def too_close(points: PeriodicPoints, pairs: Pairs, closest: float) -> tuple[Tensor, Tensor]:
    """Pairs of an atom with itself, (E,) bool, and structures with other pairs closer than ``closest`` Å, (n,) bool."""
    near = pairs.squared < closest**2
    itself = near & (pairs.source == pairs.target)
    overlapping = torch.zeros_like(points.sizes, dtype=torch.bool)
    overlapping[points.structure[pairs.source[near ^ itself]]] = True
    return itself, overlapping


def _is_sound(batch: StructureBatch) -> Tensor:
    """Whether structures have atoms and finite, plausible numbers, (n,) bool."""
    sound = (batch.cell.abs() < _LARGEST_NUMBER).all(2).all(1) & (batch.n_atoms > 0)
    sound[batch.structure_index[~(batch.fractional.abs() < _LARGEST_NUMBER).all(1)]] = False
    return sound


def _has_volume(points: PeriodicPoints, closest: float) -> Tensor:
    """Cells with no lattice vector too short, (n,) bool; a reduced one has its planes as far apart, within half."""
    return (points.height[:, 0] >= closest) & (points.height >= 0.5 * closest).all(1)


def _is_apart(points: PeriodicPoints, closest: float) -> Tensor:
    pairs = points.within(torch.full_like(points.height[:, 0], closest))
    return ~too_close(points, pairs, closest)[1]


def connected(structures: StructureBatch, reach: float) -> Tensor:
    """Structures in which each atom has a neighbour within ``reach`` Å, its own images included, (n,) bool."""
    result = torch.ones(len(structures), dtype=torch.bool)
    for rows in batches_of_atoms(structures.n_atoms, _SEARCH_ATOMS):
        points = PeriodicPoints.of(structures[rows])
        pairs = points.within(torch.full((len(rows),), reach, dtype=torch.float64))
        isolated = torch.ones(len(points.structure), dtype=torch.bool)
        isolated[pairs.source[pairs.squared > 0.0]] = False
        result[rows[points.structure[isolated]]] = False
    return result
