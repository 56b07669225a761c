"""Inputs and targets of a denoiser: noise on fractional positions, and lattice parameters.

Klipfel et al., "Unified model for crystal material generation", IJCAI 2023, equations 18 to 20.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from gflownet_crystal.models.denoiser import CLOSEST, in_unit_cubes
from gflownet_crystal.structures.periodic_pairs import usable
from gflownet_crystal.structures.structure import StructureBatch

_MOST_DRAWS = 20


def noisy_cubes(
    structures: StructureBatch, sigma: float | Tensor, generator: torch.Generator
) -> tuple[StructureBatch, Tensor]:
    """Noise on the positions, and cubes of 1 Å for the lattices (equation 18).

    Args:
        structures: n clean structures with N atoms, on the CPU.
        sigma: standard deviation of each fractional coordinate, for all structures or (n,) float64; 0 for none.
        generator: random generator of the noise, on the CPU.

    Returns:
        The network's input, with positions wrapped to [0, 1), and the displacement back to the clean positions, (N, 3)
        float64: :func:`way_back` of the two.
    """
    cubes = in_unit_cubes(structures)
    deviation = torch.as_tensor(sigma, dtype=torch.float64).expand(len(structures))[
        structures.structure_index
    ]
    if not deviation.any():
        return cubes, torch.zeros_like(structures.fractional)
    fractional = structures.fractional.clone()
    atoms = torch.arange(len(fractional))
    for _ in range(_MOST_DRAWS):
        noise = torch.randn((len(atoms), 3), generator=generator, dtype=torch.float64)
        fractional[atoms] = structures.fractional[atoms] + deviation[atoms, None] * noise
        noisy = replace(cubes, fractional=fractional % 1.0)
        crowded = ~usable(noisy, CLOSEST)
        atoms = crowded[noisy.structure_index].nonzero()[:, 0]
        if len(atoms) == 0:
            break
    return noisy, way_back(noisy.fractional, structures.fractional)


def way_back(noisy: Tensor, clean: Tensor) -> Tensor:
    """Shortest way from noisy to clean positions, fractional, (N, 3) each (equation 19).

    Taken coordinate by coordinate, each in [-0.5, 0.5): in a reduced cell that is the shortest way in Å too, unless
    the noise is a sizable part of the cell.
    """
    difference = clean - noisy
    return difference - (difference + 0.5).floor()


def without_mean(displacement: Tensor, structures: StructureBatch) -> Tensor:
    """Displacements (N, 3) less their mean over the atoms of each structure.

    Noise moves a crystal as a whole too, of which a crystal moved shows nothing: no network can tell that part.
    """
    index = structures.structure_index
    total = displacement.new_zeros((len(structures), 3)).index_add_(0, index, displacement)
    return displacement - (total / structures.n_atoms[:, None]).index_select(0, index)


def lattice_parameters(cell: Tensor) -> Tensor:
    """(a, b, c, alpha, beta, gamma) in Å and degrees, (n, 3, 3) -> (n, 6); gradients stay finite in flat cells."""
    following, last = cell[:, [1, 2, 0]], cell[:, [2, 0, 1]]
    tiny = torch.finfo(cell.dtype).eps
    lengths = (cell.square().sum(2) + tiny**2).sqrt()
    sines = (torch.linalg.cross(following, last).square().sum(2) + tiny**2).sqrt()
    angles = torch.rad2deg(torch.atan2(sines, (following * last).sum(2)))
    return torch.cat([lengths, angles], dim=1)
