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
        is_needed: (n, T) bool; the others only fill up.
    """

    cell: Tensor
    to_reduced: Tensor
    basis: Tensor
    translations: Tensor
    is_needed: Tensor

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
        return cls(cell, cell @ torch.linalg.inv(basis), basis, chosen, lengths <= reach)

    def trimmed(self) -> SiteLattices:
        """Without translations that none of these crystals needs."""
        most = int(self.is_needed.sum(1).amax()) if len(self) else 1
        return SiteLattices(
            self.cell, self.to_reduced, self.basis, self.translations[:, :most], self.is_needed[:, :most]
        )


@dataclass(frozen=True)
class SiteGraph(CopiedToDevice):
    """O orbits of n crystals, and P pairs of the first atom of an orbit with an atom of the primitive cell.

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
        first: (P,) int64, orbit of the first atom.
        second: (P,) int64, orbit of the other.
        other_map: (P, 3, 3) float64, of the other atom.
        other_offset: (P, 3) float64.
        turn: (P, 3, 3) float32; a Cartesian row vector of the second orbit's first atom @ turn is the other atom's.
        itself: (P,) bool, whether both are the same atom.
        weight: (P,) float32, 1, or 0 for pairs that only fill up.
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
    first: Tensor
    second: Tensor
    other_map: Tensor
    other_offset: Tensor
    turn: Tensor
    itself: Tensor
    weight: Tensor

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
        other = torch.einsum("pi,pij->pj", parameters[self.second], self.other_map) + self.other_offset
        difference = other - origin[self.first]
        difference = difference - difference.round()
        return torch.einsum("pi,pij->pj", difference, self.lattices.basis[self.crystal[self.first]]).float()

    def images(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Vectors to all images that matter, (P, T, 3) Å, and their lengths, (P, T), infinite where they do not."""
        crystal = self.crystal[self.first]
        vectors = self.differences(parameters)[:, None] + self.lattices.translations[crystal]
        counted = self.lattices.is_needed[crystal].clone()
        counted[:, 0] &= ~self.itself
        lengths = vectors.square().sum(2).clamp(min=_SMALLEST).sqrt()
        return vectors, lengths.where(counted, torch.inf)

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
        # every first atom of a crystal meets all of its atoms: those that the crystal's first one meets are enough
        leads = torch.ones_like(self.crystal, dtype=torch.bool)
        leads[1:] = self.crystal[1:] != self.crystal[:-1]
        counted = (leads[self.first] * self.weight).to(displacement.dtype)
        turned = torch.einsum("pi,pij->pj", displacement[self.second], self.turn.to(displacement.dtype))
        crystal = self.crystal[self.first]
        total = displacement.new_zeros(self.n_crystals, 3).index_add_(0, crystal, turned * counted[:, None])
        return total / self.atoms.to(displacement.dtype)[:, None]

    def without_drift(self, displacement: Tensor) -> Tensor:
        """Displacements less the mean of their crystal, which nothing but a choice of origin can tell."""
        return displacement - self.drift(displacement)[self.crystal]
