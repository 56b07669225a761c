"""Small crystals that every metric can judge, and disturbed copies of them."""

from __future__ import annotations

import torch
from ase.build import bulk

from gflownet_crystal.crystallography.lattice import matrix_to_parameters
from gflownet_crystal.evaluation.parallel import Crystal, to_crystals
from gflownet_crystal.structures.convert import from_ase
from gflownet_crystal.structures.structure import StructureBatch

KINDS = (
    ("NaCl", "rocksalt", 5.64),
    ("MgO", "rocksalt", 4.21),
    ("CsCl", "cesiumchloride", 4.12),
    ("ZnS", "zincblende", 5.41),
    ("GaAs", "zincblende", 5.65),
    ("Cu", "fcc", 3.61),
    ("Fe", "bcc", 2.87),
    ("Si", "diamond", 5.43),
)


def some_crystals(scale: float = 1.0) -> StructureBatch:
    """Primitive cells of eight crystals, their lattice constants scaled."""
    return from_ase([bulk(name, structure, scale * a) for name, structure, a in KINDS])


def arrays(structures: StructureBatch) -> list[Crystal]:
    """Arrays of each structure."""
    return to_crystals(structures)


def rattled(structures: StructureBatch, amount: float, seed: int = 0) -> StructureBatch:
    """Atoms moved by normal numbers of a deviation in A."""
    generator = torch.Generator().manual_seed(seed)
    moves = amount * torch.randn(structures.fractional.shape, generator=generator, dtype=torch.float64)
    inverse = torch.linalg.inv(structures.cell)[structures.structure_index]
    return with_points(structures, structures.fractional + torch.einsum("ni,nij->nj", moves, inverse))


def with_points(structures: StructureBatch, fractional: torch.Tensor) -> StructureBatch:
    """The same cells and elements with other coordinates."""
    return StructureBatch(
        structures.cell,
        structures.atomic_numbers,
        fractional,
        structures.structure_index,
        structures.space_group,
    )


def tensors(crystals: StructureBatch) -> dict[str, torch.Tensor]:
    """As the code of CDVAE writes one try of each crystal."""
    lengths, angles = matrix_to_parameters(crystals.cell)
    parts = {
        "frac_coords": crystals.fractional,
        "atom_types": crystals.atomic_numbers,
        "lengths": lengths,
        "angles": angles,
        "num_atoms": crystals.n_atoms,
    }
    return {
        name: (tensor.float() if tensor.is_floating_point() else tensor.clone())[None]
        for name, tensor in parts.items()
    }
