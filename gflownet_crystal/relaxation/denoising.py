"""A pass of a denoiser over a crystal whose atoms stand roughly right: a better start of a relaxation."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from gflownet_crystal.common.errors import ConfigError, DataError
from gflownet_crystal.models.denoiser import KIND, Denoiser, in_unit_cubes
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.weights import load_weights


@cache
def load_denoiser(weights: str) -> Denoiser:
    """A trained denoiser of positions on the CPU, read once.

    Args:
        weights: name of shipped weights, or a ``.safetensors`` file of ``train_denoiser``.

    Raises:
        WeightsError: there are none, or they are of another kind.
        ConfigError: they make lattices only.
    """
    task = load_weights(weights, KIND)[1].get("task")
    if task != "denoise":
        raise ConfigError(
            f"denoise={weights}: these weights were trained with task={task} and move no atoms; take weights of "
            "task=denoise, such as denoiser_gemsnet"
        )
    return Denoiser.from_weights(weights)


def denoising_displacements(structure: StructureBatch, denoiser: Denoiser) -> Tensor | None:
    """Displacements of the atoms of a crystal, in the cell that is given.

    A denoiser of several passes, whose later ones read lattices as they are, reads that of the crystal. One of a single
    pass reads fractional positions in a cube, and does not see the symmetry of an oblique cell. To keep the symmetry,
    project the displacements.

    Args:
        structure: one structure in a reduced primitive cell, as the network has learned them.
        denoiser: denoiser on the CPU.

    Returns:
        (N, 3) float64, Å; None if the network cannot read the crystal or has not learned one of its elements.
    """
    if not bool(denoiser.learned_elements[structure.atomic_numbers].all()):
        return None
    try:
        known = denoiser.settings.passes > 1
        given = structure if known else in_unit_cubes(structure)
        displacement = denoiser.actions(given, known=known).displacement
    except DataError:
        return None
    return displacement.double() @ structure.cell[0] if bool(torch.isfinite(displacement).all()) else None
