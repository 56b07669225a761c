"""Distances between the orbits of many candidate structures at once, whatever their cells, groups and sizes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from gflownet_crystal.crystallography.cells import to_primitive_cell
from gflownet_crystal.generators.placing.orbit_tables import OrbitTables
from gflownet_crystal.structures.distances import covalent_radii
from gflownet_crystal.structures.periodic_pairs import expand
from gflownet_crystal.structures.reduction import reduce_cells
from gflownet_crystal.structures.structure import StructureBatch

# in a reduced basis the nearest image of a wrapped difference is itself or one of these 13 and their opposites
_HALF = tuple(step for step in product((-1.0, 0.0, 1.0), repeat=3) if step > (0.0, 0.0, 0.0))
_SMALLEST_SQUARE = 1e-12


@dataclass(frozen=True)
class Lattices:
    """Primitive lattices of n specs, ready for nearest images.

    Attributes:
        to_reduced: (n, 3, 3) float64; fractional coordinates of the conventional cell @ to_reduced are those in a
            reduced basis of the primitive lattice.
        metric: (n, 3, 3) float64, scalar products of the reduced vectors, Å^2.
        squares: (n, 13) float64, squared lengths of short lattice vectors, Å^2.
    """

    to_reduced: Tensor
    metric: Tensor
    squares: Tensor

    @classmethod
    def of(cls, cell: Tensor, space_group: Tensor) -> Lattices:
        """Prepare conventional cells, (n, 3, 3) lattice vectors as rows, Å, of groups (n,)."""
        primitive = to_primitive_cell(cell, space_group)
        basis = _products(reduce_cells(primitive), primitive)
        metric = _products(basis, basis.mT)
        steps = cell.new_tensor(_HALF)
        squares = (steps[:, :, None] * steps[:, None, :] * metric[:, None]).sum((2, 3))
        return cls(_products(cell, torch.linalg.inv(basis)), metric, squares)

    @property
    def shortest(self) -> Tensor:
        """Distance of an atom to its nearest own image, (n,) float64, Å."""
        return self.squares.amin(1).sqrt()

    def squared(self, difference: Tensor, lattice: Tensor) -> Tensor:
        """Squared distances to the nearest image, differentiable, (P,) float64, Å^2, at least 1e-12.

        Args:
            difference: (P, 3) differences of fractional coordinates of conventional cells.
            lattice: (P,) int64, the spec of each.
        """
        wrapped = _apply(difference, self.to_reduced.index_select(0, lattice))
        metric = self.metric.index_select(0, lattice)
        with torch.no_grad():
            near = wrapped - wrapped.round()
            steps = near.new_tensor(_HALF)
            # |w + s|^2 = |w|^2 + 2 w.s + |s|^2, and s or -s, whichever is the nearer
            overlap = 2.0 * (_apply(near, metric) @ steps.T)
            least, which = (self.squares.index_select(0, lattice) - overlap.abs()).min(1)
            sign = overlap.gather(1, which[:, None]).sign()
            step = torch.where(least[:, None] < 0.0, -sign * steps[which], 0.0)
            shift = near + step - wrapped
        nearest = wrapped + shift
        x, y, z = (_apply(nearest, metric) * nearest).unbind(1)
        return (x + y + z).clamp(min=_SMALLEST_SQUARE)


@dataclass(frozen=True)
class Orbits:
    """The orbits of C candidates, O in all; those of a candidate stand together.

    Attributes:
        candidate: (O,) int64, not decreasing.
        spec: (O,) int64, the spec of each orbit's candidate.
        position: (O,) int64, in :func:`~gflownet_crystal.generators.placing.orbit_tables.orbit_tables`.
        atomic_number: (O,) int64.
        parameters: (O, 3) float64, x, y, z of each orbit; a position reads those that it leaves free.
    """

    candidate: Tensor
    spec: Tensor
    position: Tensor
    atomic_number: Tensor
    parameters: Tensor

    @property
    def n_orbits(self) -> Tensor:
        """Orbits of each candidate, (C,) int64."""
        return torch.bincount(self.candidate)

    @property
    def start(self) -> Tensor:
        """First orbit of each candidate, (C,) int64."""
        return self.n_orbits.cumsum(0) - self.n_orbits

    @property
    def spec_of_candidate(self) -> Tensor:
        """The spec of each candidate, (C,) int64."""
        return self.spec[self.start]

    def select(self, candidates: Tensor) -> Orbits:
        """Orbits of the candidates at the indices (c,) int64."""
        candidate, rows = expand(self.start[candidates], self.n_orbits[candidates])
        columns = self.spec, self.position, self.atomic_number, self.parameters
        return Orbits(candidate, *(column[rows] for column in columns))

    def atoms(self, tables: OrbitTables) -> tuple[Tensor, Tensor]:
        """Atoms of the conventional cells: their orbits (N,) int64 and fractional coordinates (N, 3) in [0, 1)."""
        orbit, operation = expand(tables.start[self.position], tables.multiplicity[self.position])
        points = _place(self.parameters, orbit, operation, tables)
        points = points - points.floor()
        # the floor of a tiny negative number leaves exactly one
        return orbit, points.where(points < 1.0, 0.0)

    def structures(self, cell: Tensor, space_group: Tensor, tables: OrbitTables) -> StructureBatch:
        """One structure a candidate, of specs with conventional cells (n, 3, 3), Å, and groups (n,)."""
        orbit, points = self.atoms(tables)
        spec = self.spec_of_candidate
        return StructureBatch(
            cell[spec], self.atomic_number[orbit], points, self.candidate[orbit], space_group[spec]
        )


@dataclass(frozen=True)
class OrbitPairs:
    """Pairs of atoms of candidates: by symmetry, all distances there are, but for those to an atom's own images.

    Attributes:
        orbits: orbits of C candidates.
        tables: tables of all positions.
        lattices: lattices of the specs.
        candidate: (P,) int64.
        first: (P,) int64, an orbit; its first atom is the first of the pair.
        second: (P,) int64, the orbit of the second atom.
        operation: (P,) int64, the operation that makes the second atom.
        contact: (P,) float64, the distance at which the two touch, Å.
        radii: (P,) float64, their summed radii, Å.
    """

    orbits: Orbits
    tables: OrbitTables
    lattices: Lattices
    candidate: Tensor
    first: Tensor
    second: Tensor
    operation: Tensor
    contact: Tensor
    radii: Tensor

    @classmethod
    def of(
        cls, orbits: Orbits, tables: OrbitTables, lattices: Lattices, radius: Tensor, repulsion: Tensor
    ) -> OrbitPairs:
        """List the pairs: one atom of the larger of two orbits, and all of the smaller in the primitive cell.

        Args:
            orbits: orbits of C candidates, O in all.
            tables: tables of all positions.
            lattices: lattices of the specs.
            radius: (O,) float64, of the atoms of each orbit, Å.
            repulsion: (O,) float64; two atoms touch at 1 + the product of theirs times their summed radii.
        """
        place = torch.arange(len(orbits.candidate), device=orbits.candidate.device)
        ends = torch.searchsorted(orbits.candidate, orbits.candidate, right=True)
        first, second = expand(place, ends - place)
        size = tables.primitive_multiplicity[orbits.position]
        swapped = size[first] < size[second]
        first, second = torch.where(swapped, second, first), torch.where(swapped, first, second)
        position = orbits.position[second]
        pair, operation = expand(tables.primitive_start[position], tables.primitive_multiplicity[position])
        itself = (first == second)[pair] & (operation == tables.primitive_start[position][pair])
        pair, operation = pair[~itself], tables.primitive[operation[~itself]]
        first, second = first[pair], second[pair]
        radii = radius[first] + radius[second]
        contact = radii * (1.0 + repulsion[first] * repulsion[second])
        return cls(
            orbits, tables, lattices, orbits.candidate[first], first, second, operation, contact, radii
        )

    def distances(self, parameters: Tensor) -> Tensor:
        """Distances of the pairs, (O, 3) parameters to (P,) float64, Å, differentiable."""
        own = self.tables.start[self.orbits.position]
        origin = _place(parameters, torch.arange(len(own), device=own.device), own, self.tables)
        other = _place(parameters, self.second, self.operation, self.tables)
        difference = origin.index_select(0, self.first) - other
        return self.lattices.squared(difference, self.orbits.spec[self.first]).sqrt()

    def smallest(self, ratios: Tensor) -> Tensor:
        """Smallest of the pairs' ratios of each candidate, (P,) -> (C,) float64; infinite where it has no pairs."""
        least = ratios.new_full((len(self.orbits.n_orbits),), math.inf)
        return least.scatter_reduce(0, self.candidate, ratios, "amin")

    def closest(self) -> tuple[Tensor, Tensor]:
        """Shortest distances of candidates as they are, periodic images of the same atom included.

        Returns:
            (C,) float64 Å, and the smallest ratio of a distance to the summed covalent radii, (C,) float64.
        """
        orbits = self.orbits
        distances = self.distances(orbits.parameters)
        own = self.lattices.shortest[orbits.spec]
        images = own / (2.0 * covalent_radii(orbits.atomic_number))
        least = self.smallest(distances).scatter_reduce(0, orbits.candidate, own, "amin")
        ratio = self.smallest(distances / self.radii)
        return least, ratio.scatter_reduce(0, orbits.candidate, images, "amin")


def _place(parameters: Tensor, orbit: Tensor, operation: Tensor, tables: OrbitTables) -> Tensor:
    """Fractional coordinates, not wrapped, of one atom an operation, (N, 3)."""
    rotation = tables.rotation.index_select(0, operation)
    return _apply(parameters.index_select(0, orbit), rotation.mT) + tables.translation.index_select(
        0, operation
    )


def _apply(rows: Tensor, matrix: Tensor) -> Tensor:
    """Row vectors times matrices, (P, 3) and (P, 3, 3), by sums: products are rounded differently in other batches."""
    x, y, z = rows.split(1, dim=1)
    return x * matrix[:, 0] + y * matrix[:, 1] + z * matrix[:, 2]


def _products(left: Tensor, right: Tensor) -> Tensor:
    """Matrix products, (n, 3, 3) each, by sums likewise."""
    return (left[:, :, :, None] * right[:, None]).sum(2)
