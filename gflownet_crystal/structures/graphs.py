"""Periodic neighbour graphs of a batch of structures: cutoffs, nearest neighbours with whole shells, and triplets."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gflownet_crystal.common.errors import ConfigError, DataError
from gflownet_crystal.common.moving import CopiedToDevice
from gflownet_crystal.structures.periodic_pairs import (
    Pairs,
    PeriodicPoints,
    expand,
    prepare,
    refuse,
    too_close,
)
from gflownet_crystal.structures.structure import StructureBatch

# distances are compared with this much room (A), so that rounding does not tear a shell apart
_ROUNDING = 1e-8
_MOST_NEIGHBOURS = 1_000_000
# k neighbours are first looked for where 1.3 k + 8 are expected at the structure's density: few searches are repeated
_SPARE, _SPARE_MORE = 1.3, 8.0
# but no farther than in a loose packing (Å^3 an atom), as the rest of the cell may be vacuum
_LOOSE = 60.0
_GROWTH = 1.5


@dataclass(frozen=True)
class Graph(CopiedToDevice):
    """Directed edges between atoms of a batch with N atoms and images of such atoms, sorted by source.

    Attributes:
        source: (E,) int64.
        target: (E,) int64.
        image: (E, 3) int64; the edge ends at fractional[target] + image.
        n_atoms: N.
    """

    source: Tensor
    target: Tensor
    image: Tensor
    n_atoms: int

    def __len__(self) -> int:
        return int(self.source.shape[0])

    def select(self, edges: Tensor) -> Graph:
        """Some of the edges, a mask (E,) bool, between the same atoms."""
        return Graph(self.source[edges], self.target[edges], self.image[edges], self.n_atoms)

    def among(self, atoms: Tensor) -> Graph:
        """The graph of some structures of the batch.

        Args:
            atoms: (N,) bool, all atoms of these structures and no others.
        """
        place = atoms.cumsum(0) - 1
        kept = self.select(atoms[self.source])
        return Graph(place[kept.source], place[kept.target], kept.image, int(atoms.sum()))

    def vectors(self, fractional: Tensor, cell: Tensor, structure_index: Tensor) -> Tensor:
        """Cartesian vectors of the edges, differentiable in coordinates and cells.

        Args:
            fractional: (N, 3).
            cell: (n, 3, 3), lattice vectors as rows.
            structure_index: (N,) int64, the structure of each atom.

        Returns:
            (E, 3), in the unit of ``cell`` and the dtype of the two.
        """
        ends = fractional.index_select(0, self.target) + self.image.to(fractional.dtype)
        difference = ends - fractional.index_select(0, self.source)
        cells = cell.index_select(0, structure_index[self.source])
        return torch.einsum("ei,eij->ej", difference, cells)


def neighbour_graph(
    batch: StructureBatch,
    *,
    cutoff: float | None = None,
    neighbours: int | None = None,
    tolerance: float = 1e-2,
    symmetric: bool = False,
    closest: float = 1e-3,
) -> Graph:
    """The neighbours of every atom, in cells of any shape and size.

    Images of an atom are neighbours of it, the atom itself is not. Distances are compared with 1e-8 Å to spare.

    Args:
        batch: n structures with N atoms; coordinates outside [0, 1) are allowed.
        cutoff: Å; no neighbour is farther away.
        neighbours: k; the neighbours are all atoms at most ``tolerance`` farther away than the k-th nearest, so that
            shells stay whole. With a cutoff, only those within it: an atom then has fewer, or none, if fewer are there.
        tolerance: Å.
        symmetric: add the reverse of each edge that lacks it.
        closest: Å; the least distance between atoms, and the least length of a lattice vector.

    Returns:
        Edges on the device of ``batch``, sorted by source, then by target.

    Raises:
        ConfigError: neither cutoff nor neighbours is given, or a number is out of range.
        DataError: a structure is not :func:`~gflownet_crystal.structures.periodic_pairs.usable`, or would have about
            a million neighbours an atom; the text says which.
    """
    _check_settings(cutoff, neighbours, tolerance, closest)
    points = prepare(batch, closest)
    limit = math.inf if cutoff is None else cutoff + _ROUNDING
    radius = torch.full_like(points.height[:, 0], limit)
    if neighbours is not None:
        radius = _first_radius(points, neighbours).clamp(max=limit)
    rows, atoms = (torch.arange(n, device=batch.device) for n in (len(batch), len(batch.fractional)))
    edges: list[tuple[Tensor, Tensor, Tensor]] = []
    while len(rows) or not edges:
        pairs, itself = _search(points, radius, rows, closest)
        reach = radius[points.structure]
        if neighbours is not None:
            reach = _reach(pairs, itself, len(atoms), neighbours, tolerance).clamp(max=limit)
        needed = torch.zeros_like(radius).scatter_reduce(0, points.structure, reach, "amax")
        unfinished = needed > radius
        reach = reach.masked_fill(unfinished[points.structure], 0.0)
        pairs = pairs.select(_is_within(pairs, reach, symmetric) & ~itself)
        edges.append((atoms[pairs.source], atoms[pairs.target], points.images(pairs)))
        # structures with an atom whose shell may be incomplete are searched again, as far as it goes if that is known
        again = unfinished.nonzero()[:, 0]
        radius = needed.where(needed.isfinite(), _GROWTH * radius).clamp(max=limit)[again]
        rows, (points, chosen) = rows[again], points.select(again)
        atoms = atoms[chosen]
    source, target, image = (torch.cat(fields) for fields in zip(*edges, strict=True))
    if len(edges) > 1:
        order = source.argsort(stable=True)
        source, target, image = source[order], target[order], image[order]
    return Graph(source, target, image, len(batch.fractional))


def reverse_edges(graph: Graph) -> Tensor:
    """The reverse of each edge, (E,) int64: from its target to its source, by the opposite image.

    Raises:
        DataError: an edge has no reverse.
    """
    if len(graph) == 0:
        return graph.source
    forward = _keys(graph, graph.source, graph.target, graph.image).argsort()
    backward = _keys(graph, graph.target, graph.source, -graph.image).argsort()
    reverse = torch.empty_like(forward)
    reverse[backward] = forward
    lacking = (graph.source != graph.target[reverse]) | (graph.target != graph.source[reverse])
    lacking |= (graph.image != -graph.image[reverse]).any(1)
    if bool(lacking.any()):
        raise DataError("the graph has edges without a reverse: make it with symmetric=True")
    return reverse


def triplets(graph: Graph) -> tuple[Tensor, Tensor]:
    """All ordered pairs of different edges that leave one atom.

    Returns:
        First and second edge, each (T,) int64, sorted by first, then by second; T is the sum over the atoms of
        degree * (degree - 1).
    """
    degree = torch.bincount(graph.source, minlength=graph.n_atoms)
    start = (degree.cumsum(0) - degree)[graph.source]
    first, second = expand(start, (degree - 1)[graph.source])
    # a run has all edges of the atom but the first one itself: from there on they move up by one
    return first, second + (second >= first)


def _check_settings(cutoff: float | None, neighbours: int | None, tolerance: float, closest: float) -> None:
    if cutoff is None and neighbours is None:
        raise ConfigError("neither cutoff nor neighbours is given: a graph needs one of them or both")
    if cutoff is not None and not 0.0 < cutoff < math.inf:
        raise ConfigError(f"cutoff is {cutoff} Å: it has to be positive and finite")
    if neighbours is not None and neighbours < 1:
        raise ConfigError(f"neighbours is {neighbours}: it has to be at least 1")
    if not (0.0 <= tolerance < math.inf and 0.0 < closest < math.inf):
        raise ConfigError(
            f"tolerance is {tolerance} and closest {closest} Å: they have to be at least 0 and positive"
        )


def _search(points: PeriodicPoints, radius: Tensor, rows: Tensor, closest: float) -> tuple[Pairs, Tensor]:
    """All pairs within ``radius``, and which of them are an atom with itself; refuses structures without a graph."""
    crowded = points.most_neighbours(radius) > _MOST_NEIGHBOURS
    refuse(crowded, "about a million neighbours an atom in reach", rows)
    pairs = points.within(radius)
    itself, overlapping = too_close(points, pairs, closest)
    refuse(overlapping, f"atoms closer than {closest} Å", rows)
    return pairs, itself


def _first_radius(points: PeriodicPoints, neighbours: int) -> Tensor:
    """Radius in Å of a sphere that likely holds enough neighbours, (n,)."""
    volume = (points.height.prod(1) / points.sizes).clamp(max=_LOOSE)
    return (3.0 / (4.0 * math.pi) * (_SPARE * neighbours + _SPARE_MORE) * volume) ** (1.0 / 3.0)


def _reach(pairs: Pairs, itself: Tensor, n_atoms: int, neighbours: int, tolerance: float) -> Tensor:
    """Cutoff of the edges of each atom in Å, (N,); infinite where fewer than ``neighbours`` are in the pairs."""
    counts = torch.bincount(pairs.source, minlength=n_atoms)
    width = max(neighbours, int(counts.max())) if n_atoms else neighbours
    rank = torch.arange(len(itself), device=counts.device) - (counts.cumsum(0) - counts)[pairs.source]
    table = pairs.squared.new_full((n_atoms * width,), math.inf)
    table[pairs.source * width + rank] = pairs.squared.masked_fill(itself, math.inf)
    nearest = table.view(n_atoms, width).topk(neighbours, largest=False, sorted=False).values
    return nearest.amax(1).sqrt() + (tolerance + _ROUNDING)


def _is_within(pairs: Pairs, reach: Tensor, symmetric: bool) -> Tensor:
    """Which pairs are in the reach (Å) of their source, or of one of the two, (E,) bool."""
    bound = reach.index_select(0, pairs.source)
    if symmetric:
        bound = bound.maximum(reach.index_select(0, pairs.target))
    return pairs.squared <= bound.square()


def _keys(graph: Graph, source: Tensor, target: Tensor, image: Tensor) -> Tensor:
    """One number for each edge, (E,) int64, and different ones but for overflow."""
    span = 2 * graph.image.abs().amax(0) + 1
    keys = source * graph.n_atoms + target
    for axis in range(3):
        keys = keys * span[axis] + image[:, axis]
    return keys
