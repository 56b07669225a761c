"""The start of a relaxation: the smallest cell of a crystal, its symmetry, and the coordinates that may move."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.relaxation.coordinates import Coordinates
from gflownet_crystal.relaxation.denoising import denoising_displacements, load_denoiser
from gflownet_crystal.relaxation.primitive_cell import PrimitiveCell
from gflownet_crystal.relaxation.settings import RelaxationSettings
from gflownet_crystal.relaxation.springs import spring_hessian
from gflownet_crystal.relaxation.symmetry import KeptSymmetry
from gflownet_crystal.structures.checks import CLOSEST
from gflownet_crystal.structures.convert import from_arrays, iterate_arrays
from gflownet_crystal.structures.periodic_pairs import usable
from gflownet_crystal.structures.structure import StructureBatch

# Å; rounding error of a translation in a file
_EXACT = 1e-4


@dataclass(frozen=True)
class Prepared:
    """A crystal that is ready to be relaxed.

    Attributes:
        reduced: its primitive cell, and the way back.
        coordinates: its coordinates, f of them; at zero it obeys the symmetry that is kept.
        hessian: (f, f) float64, a guess of the second derivatives of its energy by them.
        first: (f,) float64, coordinates that are tried first; None for none.
    """

    reduced: PrimitiveCell
    coordinates: Coordinates
    hessian: Tensor
    first: Tensor | None = None

    @property
    def n_atoms(self) -> int:
        """Number of atoms that are moved."""
        return len(self.coordinates.start.fractional)

    @classmethod
    def of(cls, structure: StructureBatch, settings: RelaxationSettings) -> Prepared:
        """Prepare one structure.

        Raises:
            DataError: atoms overlap, or no symmetry is found that could be kept.
        """
        reduced = _reduced(structure, settings)
        if not bool(usable(reduced.structure, CLOSEST)[0]):
            raise DataError(f"atoms closer than {CLOSEST} Å, a flat cell, or numbers that are not finite")
        cell, numbers, points = next(iterate_arrays(reduced.structure))
        kept = KeptSymmetry.none(cell, points)
        if settings.symmetry:
            kept = KeptSymmetry.of(cell, numbers, points, settings.symprec)
        start = from_arrays([kept.cell], [numbers], [kept.fractional])
        displacements, strains = (torch.from_numpy(x) for x in (kept.displacements(), kept.strains()))
        n_moves, n_strains = displacements.shape[-1], strains.shape[-1] if settings.cell else 0
        displacements = pad(displacements, (0, n_strains))
        strains = pad(strains[..., :n_strains], (n_moves, 0))
        hessian = spring_hessian(start, displacements, strains)
        first = None
        if settings.denoise is not None:
            moved = denoising_displacements(start, load_denoiser(settings.denoise))
            first = None if moved is None else torch.einsum("ai,aif->f", moved, displacements)
        return cls(reduced, Coordinates(start, displacements, strains[None]), hessian, first)


def _reduced(structure: StructureBatch, settings: RelaxationSettings) -> PrimitiveCell:
    """The crystal in the cell that is relaxed; where no symmetry is kept, only exact translations are."""
    if not settings.primitive:
        return PrimitiveCell.same(structure)
    return PrimitiveCell.of(structure, settings.symprec if settings.symmetry else _EXACT)
