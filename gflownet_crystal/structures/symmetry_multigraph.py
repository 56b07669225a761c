"""Graphs of crystals with one node an orbit, whose edges lead to all symmetric images of all nodes.

Sultanov et al., J. Chem. Inf. Model. 63, 6986 (2023), section 4.1. The edges of a node are those that its atom has in
the periodic graph of the whole crystal; the edges of the atoms that symmetry makes of it are images of these.

Which images may come near is planned once for a batch; the edges for given positions then follow in tensor operations
whose shapes are known beforehand, so that no step of a sampling waits for the host.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gflownet_crystal.structures.periodic_pairs import expand
from gflownet_crystal.structures.symmetry_images import MOST_OPERATIONS, SiteSymmetry

# squared distances are compared as whole numbers (1e-4 Å^2), ties by the place in the list: the same in every batch
_DIGITS, _FARTHEST, _PLACES = 1e4, 1e4, 1 << 20
_NEAREST = 27
_NOWHERE = torch.iinfo(torch.int64).max
_ITSELF = 1e-6
# a reach this much (A) short of the K-th neighbour leaves out all that are as far, or that were taken for it
_SHORT = 2e-4


@dataclass(frozen=True)
class SymmetryMultigraph:
    """K edges for each of N nodes, nearest first by no means: in the order of the plan.

    Attributes:
        target: (N, K) int64, the node whose image an edge leads to.
        operation: (N, K) int64, the operation that makes the image, of those of :class:`SiteSymmetry`.
        translation: (N, K, 3) float64, lattice vector added to it, fractional in the conventional cell; it ends at
            ``rotation @ fractional[target] + translation of the operation + translation``.
        vectors: (N, K, 3) Å, differentiable in positions and cells.
        reach: (N,) Å; all images nearer than this are among the K edges.
        counts: (N, K) bool, whether an edge is one: shorter than the reach of its node.
        reverse: (N, K) int64, the edge back, as node * K + edge; found up to symmetry. Itself where there is none.
        has_reverse: (N, K) bool.
    """

    target: Tensor
    operation: Tensor
    translation: Tensor
    vectors: Tensor
    reach: Tensor
    counts: Tensor
    reverse: Tensor
    has_reverse: Tensor


@dataclass(frozen=True)
class MultigraphPlan:
    """Images that may come near the nodes of n structures, C for each structure; for any positions of the nodes.

    Attributes:
        symmetry: symmetry of the N sites.
        cutoff: longest edge, Å.
        node: (n, A) int64, the node of each image of a structure.
        operation: (n, A) int64, the operation that makes it.
        image: (n, C) int64, the image, 0 to A - 1, of each place.
        step: (n, C, 3) float64, whole number of short lattice vectors it is from the image nearest to another node.
        usable: (n, C) bool; the rest is padding.
        half_width: (n, 3) float64, largest steps in each direction; infinite where all within the cutoff are listed.
        itself: (N, 1) int64, the place where a node meets itself.
        is_fixed: whether the lattice stays; if not, each image has the same 27 steps, one after the other.
    """

    symmetry: SiteSymmetry
    cutoff: float
    node: Tensor
    operation: Tensor
    image: Tensor
    step: Tensor
    usable: Tensor
    half_width: Tensor
    itself: Tensor
    is_fixed: bool

    @classmethod
    def of(
        cls,
        symmetry: SiteSymmetry,
        cell: Tensor,
        cutoff: float,
        images: Tensor | None = None,
        fixed: bool = True,
    ) -> MultigraphPlan:
        """List the images of each structure.

        Args:
            symmetry: symmetry of the N sites.
            cell: (n, 3, 3) conventional, Å.
            cutoff: longest edge, Å.
            images: (N, 48) bool, those that are different atoms whatever the positions; all if None.
            fixed: whether the lattice stays as it is, so that all within the cutoff can be listed. Else the 27 nearest
                copies of each image are, and ``reach`` tells how far that goes.
        """
        owner = symmetry.structure_index
        images = symmetry.exists[owner] if images is None else images
        basis = symmetry.basis @ cell
        heights = _heights(basis)
        steps = (cutoff / heights - 0.5).ceil().clamp(min=1.0) if fixed else torch.ones_like(heights)
        owners, box = _box(steps)
        if fixed:
            # the difference of two nodes, wrapped, is no longer than half of the longest diagonal
            corners = _box(torch.ones_like(steps))[1].view(len(cell), 27, 3)
            longest = (corners @ basis).norm(dim=2).amax(1) / 2
            near = (box[:, None] @ basis[owners])[:, 0].norm(dim=1) <= cutoff + longest[owners]
            owners, box = owners[near], box[near]
            steps = torch.full_like(steps, math.inf)
        site, made = images.nonzero().unbind(1)
        rank, shape = _ranks(owner[site], len(cell))
        node, operation = (torch.zeros(shape, dtype=torch.int64, device=cell.device) for _ in range(2))
        node[owner[site], rank], operation[owner[site], rank] = site, made
        n_steps = torch.bincount(owners, minlength=len(cell))
        listed, place = expand((n_steps.cumsum(0) - n_steps)[owner[site]], n_steps[owner[site]])
        structure = owner[site][listed]
        places, shape = _ranks(structure, len(cell))
        image = torch.zeros(shape, dtype=torch.int64, device=cell.device)
        usable, step = torch.zeros_like(image, dtype=torch.bool), cell.new_zeros(*shape, 3)
        image[structure, places], usable[structure, places] = rank[listed], True
        step[structure, places] = box[place]
        own = (made[listed] == 0) & (box[place] == 0.0).all(1)
        return cls(symmetry, cutoff, node, operation, image, step, usable, steps, places[own][:, None], fixed)

    def graph(
        self,
        fractional: Tensor,
        cell: Tensor,
        neighbours: int | None = None,
        ends: Tensor | None = None,
        active: Tensor | None = None,
        merged: float = 0.0,
        reverse: bool = True,
    ) -> SymmetryMultigraph:
        """The edges for given positions and lattices.

        Args:
            fractional: (N, 3) float64 of the nodes.
            cell: (n, 3, 3) float64 conventional, Å.
            neighbours: K, edges of a node; all there may be if None. An atom with more neighbours in reach has its
                ``reach`` at the K-th, so that all edges within it are there and features change continuously.
            ends: (N, 3) in place of ``fractional`` where edges end: sites whose images were merged.
            active: (N, 48) bool, images that count; all of the plan if None.
            merged: Å, how far ends may be from the nodes.
            reverse: whether to look for the edges back.
        """
        owner = self.symmetry.structure_index
        ends = fractional if ends is None else ends
        with torch.no_grad():
            chosen, whole, usable = self._nearest(fractional, ends, cell, neighbours, active, merged)
            structure = owner[:, None].expand_as(chosen)
            image = self.image[structure, chosen]
            target, operation = self.node[structure, image], self.operation[structure, image]
            translation = whole @ self.symmetry.basis[owner]
        turned = (self.symmetry.rotation[structure, operation] @ ends[target][..., None])[..., 0]
        reached = turned + self.symmetry.translation[structure, operation] + translation
        vectors = (reached - fractional[:, None]) @ cell[owner]
        with torch.no_grad():
            lengths = vectors.norm(dim=2)
            # nothing is beyond the planes of the outermost steps
            complete = ((self.half_width + 0.5) * _heights(self.symmetry.basis @ cell)).amin(1)
            reach = complete.clamp(max=self.cutoff)[owner]
            if chosen.shape[1] < self.image.shape[1]:
                limit = lengths.amax(1) - _SHORT
                reach = torch.where(usable.all(1), reach.minimum(limit), reach)
            counts = (lengths < reach[:, None]) & usable
            back = torch.arange(target.numel(), device=cell.device).view_as(target)
            found = torch.zeros_like(counts)
            if reverse:
                back, found = self._reverse(vectors, target, operation, counts, cell, 2.0 * merged)
        return SymmetryMultigraph(target, operation, translation, vectors, reach, counts, back, found)

    def _nearest(
        self,
        fractional: Tensor,
        ends: Tensor,
        cell: Tensor,
        neighbours: int | None,
        active: Tensor | None,
        merged: float,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The K nearest of the C places, their lattice translations in short vectors, and which of them are images."""
        symmetry, owner = self.symmetry, self.symmetry.structure_index
        flat = self.node * MOST_OPERATIONS + self.operation
        images = (symmetry.images(ends) @ symmetry.to_basis[owner]).flatten(0, 1)[flat]
        own = fractional[:, None] @ symmetry.to_basis[owner]
        difference = images[owner] - own
        wrapped = difference.round()
        basis = symmetry.basis @ cell
        # single precision is enough to choose by
        near = ((difference - wrapped) @ basis[owner]).float()
        squared = self._squared(near, (self.step @ basis).float())
        place = self.image[owner]
        usable = self.usable if active is None else self.usable & active.flatten()[flat.gather(1, self.image)]
        places = torch.arange(squared.shape[1], device=cell.device)
        key = squared.clamp(max=_FARTHEST).mul_(_DIGITS).long().mul_(_PLACES).add_(places)
        key.masked_fill_(~usable[owner], _NOWHERE)
        meets = key.gather(1, self.itself)
        meets_itself = squared.gather(1, self.itself) <= max(merged**2, _ITSELF)
        key.scatter_(1, self.itself, meets.masked_fill(meets_itself, _NOWHERE))
        if neighbours is not None and neighbours < len(places):
            key, chosen = key.topk(neighbours, dim=1, largest=False, sorted=False)
            chosen, order = chosen.sort(dim=1)
            key = key.gather(1, order)
        else:
            chosen = places.expand_as(key)
        of_image = place.gather(1, chosen)[:, :, None].expand(-1, -1, 3)
        whole = self.step[owner[:, None], chosen] - wrapped.gather(1, of_image)
        return chosen, whole, key != _NOWHERE

    def _squared(self, near: Tensor, steps: Tensor) -> Tensor:
        """Squared distances from the nodes to all places, of the nearest copies (N, A, 3) and steps (n, C, 3), Å."""
        owner = self.symmetry.structure_index
        n_nodes, n_images, _ = near.shape
        if not self.is_fixed:
            # every image has the same steps: a product in place of vectors
            shared = steps[:, :_NEAREST][owner]
            squared = (2.0 * near) @ shared.mT + _squares(shared)[:, None]
            return (squared + _squares(near)[:, :, None]).flatten(1)
        first = torch.arange(n_nodes, device=near.device)[:, None] * n_images
        vectors = near.flatten(0, 1)[(self.image[owner] + first).flatten()].view(n_nodes, -1, 3)
        return _squares(vectors + steps[owner])

    def _reverse(
        self,
        vectors: Tensor,
        target: Tensor,
        operation: Tensor,
        counts: Tensor,
        cell: Tensor,
        tolerance: float,
    ) -> tuple[Tensor, Tensor]:
        """For each edge that of its target which is an image of its opposite."""
        owner = self.symmetry.structure_index
        inverse = self.symmetry.inverse[owner[:, None], operation]
        from_cartesian = torch.linalg.inv_ex(cell).inverse[owner]
        opposite = -(vectors @ from_cartesian)
        back = (opposite[:, :, None] @ inverse.mT)[:, :, 0] @ cell[owner]
        # squared distances from the opposites (N, K) to the K edges of their targets
        products = (vectors[target] @ back[..., None])[..., 0]
        apart = _squares(vectors)[target] - 2.0 * products + _squares(back)[:, :, None]
        home = torch.arange(len(target), device=cell.device)[:, None, None]
        fitting = (target[target] == home) & counts[target]
        apart = apart.masked_fill(~fitting, math.inf)
        least, edge = apart.min(dim=2)
        found = (least <= (tolerance + 1e-2) ** 2) & counts
        n_edges = target.shape[1]
        itself = torch.arange(target.numel(), device=cell.device).view_as(target)
        return torch.where(found, target * n_edges + edge, itself), found


def _squares(vectors: Tensor) -> Tensor:
    """Squared lengths, (..., 3) -> (...); faster than a sum over an axis of three."""
    x, y, z = vectors.unbind(-1)
    return x.square() + y.square() + z.square()


def _heights(basis: Tensor) -> Tensor:
    """Distances between the lattice planes opposite to each vector, (n, 3, 3) -> (n, 3), Å."""
    following, last = basis[:, [1, 2, 0]], basis[:, [2, 0, 1]]
    normal = torch.linalg.cross(following, last)
    return (normal * basis).sum(2).abs() / normal.norm(dim=2)


def _ranks(structure: Tensor, n: int) -> tuple[Tensor, tuple[int, int]]:
    """Place of each row among those of its structure, (M,) not decreasing, and the shape of a table of all."""
    sizes = torch.bincount(structure, minlength=n)
    rank = torch.arange(len(structure), device=structure.device) - (sizes.cumsum(0) - sizes)[structure]
    return rank, (n, int(sizes.max()) if n else 0)


def _box(steps: Tensor) -> tuple[Tensor, Tensor]:
    """All whole vectors up to ``steps`` (n, 3) in each direction: the structure of each, and the vectors (M, 3)."""
    widths = (2 * steps + 1).long()
    structure, place = expand(torch.zeros_like(widths[:, 0]), widths.prod(1))
    widths = widths[structure]
    z = place % widths[:, 2]
    y = (place // widths[:, 2]) % widths[:, 1]
    x = place // (widths[:, 1] * widths[:, 2])
    return structure, torch.stack([x, y, z], dim=1) - steps[structure]
