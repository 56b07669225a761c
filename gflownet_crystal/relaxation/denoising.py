"""A pass of a denoiser over a crystal whose atoms stand roughly right: a better start of a relaxation."""

from __future__ import annotations

from functools import cache

import torch
from ase import Atoms

from gflownet_crystal.common.errors import ConfigError, DataError
from gflownet_crystal.models.denoiser import KIND, Denoiser, in_unit_cubes
from gflownet_crystal.structures.convert import from_ase
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


def denoised(atoms: Atoms, denoiser: Denoiser) -> Atoms | None:
    """A crystal after one pass: atoms moved in the cell that is given.

    The network reads fractional positions alone, in a cube, and does not see the symmetry of an oblique cell:
    constraints of the atoms, such as ASE's ``FixSymmetry``, project its displacements.

    Args:
        atoms: crystal in a reduced primitive cell, as the network has learned them.
        denoiser: denoiser on the CPU.

    Returns:
        A copy without calculator; None if the network cannot read the crystal or has not learned one of its elements.
    """
    structure = from_ase([atoms])
    if not bool(denoiser.learned_elements[structure.atomic_numbers].all()):
        return None
    try:
        displacement = denoiser.actions(in_unit_cubes(structure)).displacement
    except DataError:
        return None
    if not bool(torch.isfinite(displacement).all()):
        return None
    moved = atoms.copy()
    moved.set_positions(atoms.positions + displacement.numpy() @ atoms.cell.array)
    return moved
