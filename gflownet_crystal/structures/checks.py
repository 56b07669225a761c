"""The one set of checks that structures pass wherever they are read: which are no crystals, and why."""

from __future__ import annotations

import torch
from torch import Tensor

from gflownet_crystal.crystallography.lattice import is_closed, is_possible, parameters_to_matrix
from gflownet_crystal.structures.elements import N_ATOMIC_NUMBERS
from gflownet_crystal.structures.periodic_pairs import has_cell, usable
from gflownet_crystal.structures.structure import StructureBatch

CLOSEST = 0.5
"""Å; structures with atoms closer than this are no crystals."""

LONGEST = 1e3
"""Å; the longest lattice vector. Searches for neighbours and symmetry in longer cells would not end."""

FARTHEST = 1e6
"""Largest fractional coordinate. Far beyond it rounding loses the place in the cell, and symmetry searches fail."""

_SHORTEST = 1e-3


def check_parameters(parameters: Tensor) -> list[str]:
    """Why lattice parameters belong to no cell.

    Args:
        parameters: (n, 6) float64: a, b, c in Å, alpha, beta, gamma in degrees.

    Returns:
        n reasons, empty for those that close a cell of a usable size.
    """
    lengths, angles = parameters[:, :3], parameters[:, 3:]
    reasons = [""] * len(parameters)
    _mark(
        reasons,
        ~is_possible(lengths, angles),
        "lattice lengths that are not finite and above 0, or angles not between 0 and 180 degrees",
    )
    _mark(reasons, ~is_closed(angles), "lattice angles that close no cell")
    _mark(reasons, (lengths > LONGEST).any(1), f"a lattice vector longer than {LONGEST:g} Å")
    _mark(reasons, ~(_thickness(lengths, angles) >= _SHORTEST), f"a cell thinner than {_SHORTEST:g} Å")
    return reasons


def _thickness(lengths: Tensor, angles: Tensor) -> Tensor:
    """Least distance of opposite faces, Å, (n,); meaningless where the parameters do not make a cell."""
    cell = parameters_to_matrix(lengths, angles)
    normals = torch.linalg.cross(cell[:, [1, 2, 0]], cell[:, [2, 0, 1]])
    return cell.det().abs() / normals.norm(dim=2).amax(1)


def check_structures(structures: StructureBatch, closest: float | None = None) -> list[str]:
    """Why structures are no crystals.

    Args:
        structures: n structures; any numbers may stand in them.
        closest: Å, the least distance between atoms; None leaves distances to the caller.

    Returns:
        n reasons, each the first that was found; empty for crystals.
    """
    reasons = [""] * len(structures)
    numbers, points = structures.atomic_numbers, structures.fractional
    _mark(reasons, structures.n_atoms == 0, "no atoms")
    _mark(
        reasons,
        _having(structures, (numbers < 1) | (numbers >= N_ATOMIC_NUMBERS)),
        f"unknown elements, atomic numbers outside 1 to {N_ATOMIC_NUMBERS - 1}",
    )
    _mark(reasons, _having(structures, ~points.isfinite().all(1)), "coordinates that are not finite")
    _mark(
        reasons,
        _having(structures, (points.abs() > FARTHEST).any(1)),
        f"fractional coordinates beyond {FARTHEST:g}",
    )
    _mark(reasons, ~structures.cell.isfinite().all(2).all(1), "a cell that is not finite")
    _mark(
        reasons, (structures.cell.norm(dim=2) > LONGEST).any(1), f"a lattice vector longer than {LONGEST:g} Å"
    )
    _mark_sound(reasons, structures, "a flat cell, or one without lattice vectors", closest)
    return reasons


def _mark(reasons: list[str], faulty: Tensor, reason: str) -> None:
    for row in faulty.nonzero()[:, 0].tolist():
        reasons[row] = reasons[row] or reason


def _having(structures: StructureBatch, atoms: Tensor) -> Tensor:
    """Structures (n,) bool with an atom of a mask (N,)."""
    rows = torch.zeros(len(structures), dtype=torch.bool)
    rows[structures.structure_index[atoms]] = True
    return rows


def _mark_sound(reasons: list[str], structures: StructureBatch, flat: str, closest: float | None) -> None:
    """Mark flat cells and crowded atoms among the structures without an earlier fault, whose numbers are finite."""
    sound = torch.tensor([not reason for reason in reasons], dtype=torch.bool)
    rows = sound.nonzero()[:, 0]
    if not len(rows):
        return
    sound[rows] = has_cell(structures[rows], _SHORTEST)
    _mark(reasons, ~sound, flat)
    rows = sound.nonzero()[:, 0]
    if closest is not None and len(rows):
        sound[rows] = usable(structures[rows], closest)
        _mark(reasons, ~sound, f"atoms closer than {closest:g} Å")
