"""Descriptors of a conventional cell that do not depend on which of its equivalent settings was chosen.

A crystal has several conventional cells: axis permutations that its group allows, monoclinic cell choices, any basis
of a triclinic lattice. A network that sees raw parameters gives them different energies. Here every descriptor is a
function of the lattice itself (Conway and Sloane's seven vonorms, Proc. R. Soc. A 436, 55, 1992) or of the axes up to
the permutations of the group's affine normaliser.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gflownet_crystal.common.devices import asks_in, on_device
from gflownet_crystal.crystallography.cells import (
    CENTRINGS,
    centring_of_group,
    lattice_points,
    to_primitive_cell,
)
from gflownet_crystal.crystallography.lattice import parameters_to_matrix
from gflownet_crystal.crystallography.space_groups import N_SPACE_GROUPS
from gflownet_crystal.structures.spec import CrystalSpec

N_LATTICE_FEATURES = 15
"""Width of :func:`lattice_features`."""

# Orthorhombic groups that an axis permutation maps to themselves, up to a shift of origin (recomputed in a test)
FREELY_PERMUTED = (16, 19, 22, 23, 24, 47, 48, 69, 70, 71, 73)
CYCLICALLY_PERMUTED = (61,)
A_B_SWAPPED = (
    17, 18, 20, 21, 25, 27, 32, 34, 35, 37, 42, 43, 44, 45, 49, 50, 55, 56, 58, 59, 65, 66, 67, 68, 72, 74,
)  # fmt: skip

# Pairs of the four superbase vectors, and the pair of the other two
_PAIRS = torch.tensor([(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)])
_PERMUTED = tuple(
    torch.tensor([group in groups for group in range(N_SPACE_GROUPS + 1)])
    for groups in (FREELY_PERMUTED, CYCLICALLY_PERMUTED, A_B_SWAPPED)
)
_MAX_REDUCTION_STEPS = 200


def lattice_features(specs: CrystalSpec) -> Tensor:
    """Shape of each lattice: dimensionless, the same for equivalent settings and for any choice of basis.

    Args:
        specs: n specs.

    Returns:
        (n, 15) float64: 7 sorted log vonorm lengths of the primitive lattice over the cube root of its volume; 3 log
        axes over the cube root of the cell's volume, in an order that the group's normaliser leaves unchanged (zero
        for triclinic groups; for monoclinic ones only the unique axis); 3 sorted log vonorm lengths of the lattice
        projected along the unique axis (zero except for monoclinic groups); the log of the largest and smallest of
        the seven vonorm lengths' ratio; the log number of lattice points.
    """
    cell = parameters_to_matrix(specs.lengths, specs.angles)
    primitive = to_primitive_cell(cell, specs.space_group)
    points = lattice_points(specs.space_group).to(cell.dtype)
    log_volume = torch.log(specs.volume)
    vonorms = 0.5 * torch.log(lattice_vonorms(primitive)) - ((log_volume - torch.log(points)) / 3)[:, None]
    spread = vonorms[:, -1:] - vonorms[:, :1]
    monoclinic = (specs.space_group >= 3) & (specs.space_group <= 15)
    axes = torch.log(canonical_lengths(specs)) - (log_volume / 3)[:, None]
    axes = axes * (specs.space_group >= 16)[:, None]
    axes[:, 1] = torch.where(monoclinic, torch.log(specs.lengths[:, 1]) - log_volume / 3, axes[:, 1])
    plane = torch.where(monoclinic[:, None], _projected_vonorms(specs), 0.0)
    return torch.cat([vonorms, axes, plane, spread, torch.log(points)[:, None]], dim=1)


def canonical_lengths(specs: CrystalSpec) -> Tensor:
    """Conventional axes of orthorhombic and higher groups, permuted to one representative, (n, 3) float64, Å.

    Args:
        specs: n specs; rows of other groups pass through.
    """
    lengths = specs.lengths
    swapped = torch.cat([lengths[:, :2].sort(dim=1).values, lengths[:, 2:]], dim=1)
    first = lengths.argmin(dim=1, keepdim=True)
    turned = lengths.gather(1, (first + torch.arange(3, device=lengths.device)) % 3)
    for groups, permuted in (
        (_PERMUTED[0], lengths.sort(dim=1).values),
        (_PERMUTED[1], turned),
        (_PERMUTED[2], swapped),
    ):
        member = on_device(groups, lengths.device)[specs.space_group]
        lengths = torch.where(member[:, None], permuted, lengths)
    return lengths


def lattice_vonorms(basis: Tensor) -> Tensor:
    """Shortest squared length in each of the seven non-zero classes of L / 2L, by Selling reduction.

    Args:
        basis: (n, 3, 3) float64 lattice vectors as rows, any basis of the lattice.

    Returns:
        (n, 7) float64, sorted, Å^2; continuous in the lattice and independent of the basis.
    """
    superbase = torch.cat([basis, -basis.sum(dim=1, keepdim=True)], dim=1)
    pairs = on_device(_PAIRS, basis.device)
    others = pairs.flip(0)
    active = torch.arange(len(basis), device=basis.device)
    for step in range(_MAX_REDUCTION_STEPS):
        vectors = superbase[active]
        products = (vectors[:, pairs[:, 0]] * vectors[:, pairs[:, 1]]).sum(dim=2)
        largest, pair = products.max(dim=1)
        acute = largest > 1e-9 * (vectors**2).sum(dim=(1, 2))
        if asks_in(step, basis.device):
            left = acute.nonzero()[:, 0]
            active, vectors, pair, acute = active[left], vectors[left], pair[left], acute[left]
            if len(active) == 0:
                break
        rows = torch.arange(len(active), device=basis.device)
        i, _ = pairs[pair].T
        k, m = others[pair].T
        # the pair (i, j) is acute: u_i -> -u_i, and u_i is added to the two others
        flipped = vectors.clone()
        flipped[rows, i] = -vectors[rows, i]
        flipped[rows, k] = vectors[rows, k] + vectors[rows, i]
        flipped[rows, m] = vectors[rows, m] + vectors[rows, i]
        superbase = superbase.index_copy(0, active, torch.where(acute[:, None, None], flipped, vectors))
    singles = (superbase**2).sum(dim=2)
    sums = ((superbase[:, :1] + superbase[:, 1:]) ** 2).sum(dim=2)
    return torch.cat([singles, sums], dim=1).sort(dim=1).values


def _projected_vonorms(specs: CrystalSpec) -> Tensor:
    """Sorted log vonorm lengths (n, 3) of the lattice projected along b, over the root of the projected area."""
    a, c = specs.lengths[:, 0], specs.lengths[:, 2]
    beta = torch.deg2rad(specs.angles[:, 1])
    halved = on_device(centring_of_group, specs.device)[specs.space_group] == CENTRINGS.index("C")
    # C centring puts a lattice point over a/2
    first = torch.where(halved, a / 2, a)
    zero = torch.zeros_like(a)
    u = torch.stack([first, zero], dim=1)
    v = torch.stack([c * torch.cos(beta), c * torch.sin(beta)], dim=1)
    area = first * c * torch.sin(beta)
    for step in range(_MAX_REDUCTION_STEPS):
        longer = (u**2).sum(1) < (v**2).sum(1)
        u, v = torch.where(longer[:, None], v, u), torch.where(longer[:, None], u, v)
        shift = torch.round((u * v).sum(1) / (v**2).sum(1))
        if asks_in(step, u.device) and not bool((shift != 0).any()):
            break
        u = u - shift[:, None] * v
    third = torch.where(((u * v).sum(1) > 0)[:, None], u - v, u + v)
    squares = torch.stack([(u**2).sum(1), (v**2).sum(1), (third**2).sum(1)], dim=1).sort(dim=1).values
    return 0.5 * torch.log(squares / area[:, None])
