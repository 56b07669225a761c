"""Graphs of noisy crystals: always k edges an atom, so their sizes are known and the host is never asked.

In a diffusion the atoms of a structure stay the same from step to step, while atoms may meet and cells may be of any
shape. So pairs of atoms are listed once, and each step chooses among their nearest images. An edge whose reverse is not
among the k nearest is its own reverse. Edges count less towards the distance of the first atom left out, so that
shells of equal distances are taken as a whole or not at all, and graphs change smoothly.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Self

import torch
from torch import Tensor

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.models.layers.inputs import CrystalGraph
from gflownet_crystal.structures.reduction import dot
from gflownet_crystal.structures.structure import StructureBatch

FADE = 0.15
"""Over the last part of the distance to the first atom left out, edges lose their weight."""

_FEWEST_ROUNDS = 6
_MOST_OF_27, _MOST_OF_125 = 25, 123
_CODE = 1 << 12


@dataclass(frozen=True)
class AtomTable:
    """The atoms of n structures, and for each one all atoms of its structure.

    Attributes:
        atomic_numbers: (N,) int64.
        structure_index: (N,) int64, not decreasing.
        sizes: (n,) int64, atoms of each structure.
        partner: (N, M) int64, the atoms of the structure, itself among them, then the first one again and again.
        is_partner: (N, M) bool.
        first: (T,) int64, the first edge of each pair of edges.
        second: (T,) int64, the second one.
        steps: (27 or 125, 3) float64, lattice translations that are looked at, none first.
        neighbours: k, edges of each atom.
    """

    atomic_numbers: Tensor
    structure_index: Tensor
    sizes: Tensor
    partner: Tensor
    is_partner: Tensor
    first: Tensor
    second: Tensor
    steps: Tensor
    neighbours: int

    @classmethod
    def of(cls, atomic_numbers: Tensor, structure_index: Tensor, n_structures: int, neighbours: int) -> Self:
        """List the pairs.

        Raises:
            ConfigError: more neighbours than the nearest 124 images of a lone atom give.
        """
        if not 1 <= neighbours <= _MOST_OF_125:
            raise ConfigError(f"neighbours is {neighbours}: it has to be 1 to {_MOST_OF_125}")
        device = atomic_numbers.device
        sizes = torch.bincount(structure_index, minlength=n_structures)
        most = int(sizes.max()) if len(sizes) else 0
        place = torch.arange(most, device=device)
        start = (sizes.cumsum(0) - sizes)[structure_index][:, None]
        is_partner = place < sizes[structure_index][:, None]
        partner = start + place * is_partner
        edges = torch.arange(len(atomic_numbers) * neighbours, device=device)
        first = edges.repeat_interleave(max(neighbours - 1, 0))
        others = torch.arange(max(neighbours - 1, 0), device=device).repeat(len(edges))
        own = first % neighbours
        second = first - own + others + (others >= own)
        reach = (0, 1, -1) if neighbours <= _MOST_OF_27 else (0, 1, -1, 2, -2)
        steps = torch.tensor(list(product(reach, repeat=3)), dtype=torch.float64, device=device)
        return cls(
            atomic_numbers, structure_index, sizes, partner, is_partner, first, second, steps, neighbours
        )

    @classmethod
    def of_structures(cls, structures: StructureBatch, neighbours: int) -> Self:
        """List the pairs of structures."""
        return cls.of(structures.atomic_numbers, structures.structure_index, len(structures), neighbours)

    @property
    def n_structures(self) -> int:
        """n."""
        return len(self.sizes)

    def graph(
        self, cell: Tensor, fractional: Tensor, dtype: torch.dtype, triplets: bool, is_cube: bool = False
    ) -> CrystalGraph:
        """The graph of these atoms.

        Args:
            cell: (n, 3, 3) float64 rows, Å.
            fractional: (N, 3) float64.
            dtype: dtype of vectors, cells and weights.
            triplets: whether the network reads pairs of edges.
            is_cube: whether all cells are cubes, which need no reduction.
        """
        basis, points = (cell, fractional) if is_cube else _in_reduced(cell, fractional, self.structure_index)
        target, image, difference, squared = self._nearest(basis, points)
        k, n_atoms = self.neighbours, len(points)
        source = torch.arange(n_atoms, device=cell.device)[:, None].expand(-1, k).flatten()
        vectors = (difference[:, :, None] * basis.index_select(0, self.structure_index)[source]).sum(1)
        lengths = squared.clamp(min=0.0).sqrt()
        weights = _fading(lengths[:, :-1] / lengths[:, -1:].clamp(min=1e-9)).flatten()
        empty = target.new_empty(0)
        return CrystalGraph(
            atomic_numbers=self.atomic_numbers,
            structure_index=self.structure_index,
            n_structures=self.n_structures,
            source=source,
            target=target,
            vectors=vectors.to(dtype),
            reverse=_reverse(source, target, image, k),
            first=self.first if triplets else empty,
            second=self.second if triplets else empty,
            cell=cell.to(dtype),
            weights=weights.to(dtype),
        )

    def _nearest(self, basis: Tensor, points: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The k nearest images of atoms, in a reduced basis.

        Returns:
            Targets (N k,), whole numbers (N k, 3) that take the differences of the coordinates there, differences
            (N k, 3), and squared distances (N, k + 1) by size, with the first one left out.
        """
        k, n_atoms = self.neighbours, len(points)
        steps = self.steps
        plain = points[self.partner] - points[:, None]
        near = plain - plain.round()
        metric = basis @ basis.mT
        pulled = (near[..., None, :] * metric.index_select(0, self.structure_index)[:, None]).sum(-1)
        of_steps = (steps[:, :, None] * steps[:, None, :] * metric[:, None]).sum((2, 3))
        squared = (pulled * near).sum(-1, keepdim=True) + 2.0 * pulled @ steps.T
        squared = squared + of_steps.index_select(0, self.structure_index)[:, None]
        itself = self.partner == torch.arange(n_atoms, device=points.device)[:, None]
        squared = squared.masked_fill(~self.is_partner[..., None], torch.inf)
        # the step of nothing is the first one
        squared[..., 0] = squared[..., 0].masked_fill(itself, torch.inf)
        least, which = squared.flatten(1).topk(k + 1, largest=False, sorted=True)
        which = which[:, :k]
        slot = which // len(steps)
        step = steps[(which % len(steps)).flatten()]
        chosen = slot[..., None].expand(-1, -1, 3)
        difference = near.gather(1, chosen).flatten(0, 1) + step
        image = (difference - plain.gather(1, chosen).flatten(0, 1)).round()
        target = self.partner.gather(1, slot).flatten()
        return target, image, difference, least


def nearly_reduced(cell: Tensor) -> Tensor:
    """Integer changes of basis to short vectors: a fixed number of rounds of greedy reduction.

    Args:
        cell: (n, 3, 3) float64 rows.

    Returns:
        (n, 3, 3) float64 of determinant 1 or -1; the short vectors are the rows of result @ cell.
    """
    change = torch.eye(3, dtype=cell.dtype, device=cell.device).expand_as(cell)
    for _ in range(_FEWEST_ROUNDS):
        order = (change @ cell).square().sum(2).argsort(dim=1, stable=True)
        change = change.gather(1, order[:, :, None].expand_as(change))
        first, second, third = (change @ cell).unbind(1)
        along = (dot(second, first) / dot(first, first)).round()[:, None]
        second = second - along * first
        upright = second - (dot(second, first) / dot(first, first))[:, None] * first
        along_second = (dot(third, upright) / dot(upright, upright)).round()[:, None]
        third = third - along_second * second
        along_first = (dot(third, first) / dot(first, first)).round()[:, None]
        new_second = change[:, 1] - along * change[:, 0]
        new_third = change[:, 2] - along_second * new_second - along_first * change[:, 0]
        change = torch.stack([change[:, 0], new_second, new_third], dim=1)
    return change


def _in_reduced(cell: Tensor, fractional: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    change = nearly_reduced(cell)
    inverse = torch.linalg.inv_ex(change).inverse.round()
    points = (fractional[:, :, None] * inverse.index_select(0, index)).sum(1)
    return change @ cell, points


def _fading(share: Tensor) -> Tensor:
    """1 up to a part of the way, then smoothly to 0 where the share is 1."""
    left = ((1.0 - share) / FADE).clamp(0.0, 1.0)
    return left.square() * (3.0 - 2.0 * left)


def _reverse(source: Tensor, target: Tensor, image: Tensor, k: int) -> Tensor:
    """The reverse of each edge, itself where there is none, (E,) int64."""
    code = (image[:, 0] + _CODE * (image[:, 1] + _CODE * image[:, 2])).long()
    span = len(source) * 4
    keys = (code * span + target).view(-1, k)
    wanted = source - code * span
    found = keys.index_select(0, target) == wanted[:, None]
    edges = torch.arange(len(source), device=source.device)
    return torch.where(found.any(1), target * k + found.byte().argmax(1), edges)
