"""Orbits of symmetric crystals as graphs: the first atom of each orbit, and all atoms of the primitive cell."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from gflownet_crystal.common.batch import TensorBatch
from gflownet_crystal.common.moving import CopiedToDevice

_LARGEST_STEP = 4
_SMALLEST = 1e-6
_LEAST_REACH = 0.1


@dataclass(frozen=True)
class SiteLattices(TensorBatch):
    """Primitive lattices of n crystals, and which of their translations matter.

    Attributes:
        cell: (n, 3, 3) float64, conventional lattice vectors as rows, Å.
        to_reduced: (n, 3, 3) float64; fractional coordinates of the conventional cell @ to_reduced are those in the
            reduced basis of the primitive lattice.
        basis: (n, 3, 3) float64, that basis, Å.
        translations: (n, T, 3) float32, lattice vectors by rising length, the first one zero, Å.
        n_needed: (n,) int64, number of the first translations that matter; the others only fill up.
    """

    cell: Tensor
    to_reduced: Tensor
    basis: Tensor
    translations: Tensor
    n_needed: Tensor

    @classmethod
    def of(cls, cell: Tensor, basis: Tensor, cutoff: float, images: int) -> SiteLattices:
        """List the translations of which an image of a wrapped vector can be within a cutoff.

        Args:
            cell: (n, 3, 3) float64, conventional lattice vectors, Å.
            basis: (n, 3, 3) float64, reduced vectors of the primitive lattice, Å.
            cutoff: Å.
            images: most translations of a crystal.
        """
        steps = torch.arange(-_LARGEST_STEP, _LARGEST_STEP + 1, dtype=cell.dtype, device=cell.device)
        vectors = torch.cartesian_prod(steps, steps, steps) @ basis
        lengths, order = vectors.norm(dim=2).sort(dim=1, stable=True)
        corners = cell.new_tensor(list(product((-0.5, 0.5), repeat=3))) @ basis
        reach = cutoff + corners.norm(dim=2).amax(1, keepdim=True)
        order, lengths = order[:, :images], lengths[:, :images]
        chosen = vectors.gather(1, order[:, :, None].expand(-1, -1, 3)).float()
        return cls(cell, cell @ torch.linalg.inv(basis), basis, chosen, (lengths <= reach).sum(1))


@dataclass(frozen=True)
class SiteGraph(CopiedToDevice):
    """O orbits of n crystals, their N atoms in primitive cells, and P pairs of the first atom of an orbit with an atom.

    Coordinates of an atom are ``parameters @ map + offset``, fractional in the reduced basis.

    Attributes:
        lattices: lattices of the crystals.
        crystal: (O,) int64, not decreasing.
        atomic_number: (O,) int64.
        multiplicity: (O,) float32, atoms in the primitive cell.
        freedom: (O,) int64, number of free parameters.
        is_free: (O, 3) bool, which parameters are.
        span: (O, 3, 3) float64, from parameters to Cartesian displacements of the first atom, Å.
        read: (O, 3, 3) float64, from such displacements, or the nearest ones that are allowed, to parameters.
        map: (O, 3, 3) float64, of the first atoms.
        offset: (O, 3) float64.
        orbit: (N,) int64, not decreasing, the orbit of each atom.
        atom_map: (N, 3, 3) float64, of the atoms.
        atom_offset: (N, 3) float64.
        turn: (N, 3, 3) float32; a Cartesian row vector of the first atom of its orbit @ turn is the atom's.
        first: (P,) int64, not decreasing, orbit of the first atom.
        atom: (P,) int64, the other atom.
        n_pairs: number of pairs; those after it only fill up.
        pair: (I,) int64, not decreasing, the pair of each image of an atom; images of a first atom do not count itself.
        translation: (I, 3) float32, lattice vector from the nearest image in the reduced basis, Å.
    """

    lattices: SiteLattices
    crystal: Tensor
    atomic_number: Tensor
    multiplicity: Tensor
    freedom: Tensor
    is_free: Tensor
    span: Tensor
    read: Tensor
    map: Tensor
    offset: Tensor
    orbit: Tensor
    atom_map: Tensor
    atom_offset: Tensor
    turn: Tensor
    first: Tensor
    atom: Tensor
    n_pairs: int
    pair: Tensor
    translation: Tensor

    @property
    def n_crystals(self) -> int:
        """Number of crystals."""
        return len(self.lattices)

    @property
    def atoms(self) -> Tensor:
        """Atoms of each crystal's primitive cell, (n,) float32."""
        return self.multiplicity.new_zeros(self.n_crystals).index_add_(0, self.crystal, self.multiplicity)

    @property
    def length(self) -> Tensor:
        """Cube root of the volume of an atom, (n,) float32, A."""
        return (self.lattices.basis.det().abs().float() / self.atoms) ** (1.0 / 3.0)

    @property
    def mobile(self) -> Tensor:
        """Atoms of each orbit that can move, (O,) float32: all or none."""
        return self.multiplicity * (self.freedom > 0)

    @property
    def reach(self) -> Tensor:
        """Root mean square distance of mobile atoms from the middle of their range, (n,) float32, A."""
        squared = self.span.square().sum((1, 2)).float() / 12.0
        zero = self.multiplicity.new_zeros(self.n_crystals)
        total = zero.index_add(0, self.crystal, squared * self.mobile)
        atoms = zero.index_add(0, self.crystal, self.mobile)
        return (total / atoms.clamp(min=1.0)).sqrt().clamp(min=_LEAST_REACH)

    def differences(self, parameters: Tensor) -> Tensor:
        """From the first atoms of the pairs to some image of the other ones, (O, 3) -> (P, 3) float32, A.

        Differences are wrapped in the reduced basis.
        """
        origin = torch.einsum("oi,oij->oj", parameters, self.map) + self.offset
        atoms = torch.einsum("ni,nij->nj", parameters[self.orbit], self.atom_map) + self.atom_offset
        difference = atoms[self.atom] - origin[self.first]
        difference = difference - difference.round()
        return torch.einsum("pi,pij->pj", difference, self.lattices.basis[self.crystal[self.first]]).float()

    def images(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Vectors to all images that matter, (I, 3) float32 Å, and their lengths, (I,)."""
        vectors = self.differences(parameters).index_select(0, self.pair) + self.translation
        return vectors, vectors.square().sum(1).clamp(min=_SMALLEST).sqrt()

    def in_parameters(self, displacement: Tensor) -> Tensor:
        """Displacements of first atoms, (O, 3) Å, as changes of the parameters, (O, 3) float64."""
        return torch.einsum("oi,oij->oj", displacement.double(), self.read)

    def displacement(self, change: Tensor) -> Tensor:
        """Changes of parameters, (O, 3), as displacements of first atoms, (O, 3) Å."""
        return torch.einsum("oi,oij->oj", change, self.span)

    def drift(self, displacement: Tensor) -> Tensor:
        """Mean displacement of all atoms of each crystal, images included: zero unless its group is polar.

        Args:
            displacement: (O, 3) of the first atoms, Å.

        Returns:
            (n, 3) Å.
        """
        # no matrix product, which a training with bfloat16 would round
        turned = (displacement[self.orbit][:, :, None] * self.turn.to(displacement.dtype)).sum(1)
        total = displacement.new_zeros(self.n_crystals, 3).index_add_(0, self.crystal[self.orbit], turned)
        return total / self.atoms.to(displacement.dtype)[:, None]

    def without_drift(self, displacement: Tensor) -> Tensor:
        """Displacements less the mean of their crystal, which nothing but a choice of origin can tell."""
        return displacement - self.drift(displacement)[self.crystal]
