"""One description of each lattice among equivalent settings of its space group, where simple bounds can pick it.

The same crystal has several cells in the standard setting of its group. Bounds keep one:

* triclinic: the Niggli cell (a <= b <= c, angles all acute or all at least 90, and the reduction conditions);
* monoclinic, unique axis b: beta >= 90 and the shortest a and c among the bases that keep the centring and the glide.
  With tau = a / c as a complex number these bases are an orbit of GL2(Z) (groups 3 4 6 10 11) or of its subgroup of
  index 3 (Gamma_0(2); the others), and the bounds on beta are those of the fundamental domain;
* orthorhombic: sorted axes, as far as permutations map the group onto itself (with a shift of the origin).

Not removed: multiplied cells of groups without fixed positions (a P1 cell doubled), and mirror images of
enantiomorphic pairs of groups.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gflownet_crystal.common.devices import on_device
from gflownet_crystal.crystallography.space_groups import N_SPACE_GROUPS

ALL_AXES_EQUIVALENT = (16, 19, 22, 23, 24, 47, 48, 69, 70, 71, 73)
"""Orthorhombic groups that every axis permutation maps onto themselves."""

CYCLIC_AXES = (61,)
"""Pbca: only the cyclic permutations keep it (Pcab is the other setting)."""

A_B_EQUIVALENT = (
    *(17, 18, 20, 21, 25, 27, 32, 34, 35, 37, 42, 43, 44, 45, 49, 50, 55, 56, 58, 59, 65, 66, 67, 68, 72, 74),
)
"""Orthorhombic groups that the exchange of a and b maps onto themselves, and no other permutation."""

PRIMITIVE_MONOCLINIC = (3, 4, 6, 10, 11)
GLIDE_MONOCLINIC = (7, 13, 14)
CENTRED_MONOCLINIC = (5, 8, 9, 12, 15)

_REDUCTION_STEPS = 64


def _flags(groups: tuple[int, ...]) -> Tensor:
    flags = torch.zeros(N_SPACE_GROUPS + 1, dtype=torch.bool)
    flags[list(groups)] = True
    return flags


ORDERED_A_B = _flags((1, 2, *ALL_AXES_EQUIVALENT, *CYCLIC_AXES, *A_B_EQUIVALENT))
"""(231,) bool: a <= b is a matter of the setting."""

ORDERED_B_C = _flags((1, 2, *ALL_AXES_EQUIVALENT))
"""(231,) bool: b <= c is a matter of the setting."""

ORDERED_A_C = _flags((*CYCLIC_AXES, *PRIMITIVE_MONOCLINIC))
"""(231,) bool: a <= c is a matter of the setting, not already implied by the other two."""


def _shear_limits() -> tuple[Tensor, Tensor]:
    """The bounds of :data:`SHEAR_LIMITS`, infinite where a group sets none."""
    p = torch.full((N_SPACE_GROUPS + 1,), torch.inf, dtype=torch.float64)
    q = p.clone()
    q[list(PRIMITIVE_MONOCLINIC)] = 0.5
    # a glide along c keeps c modulo 2 a; a centred ab face keeps a modulo 2 c
    p[list(GLIDE_MONOCLINIC)], q[list(GLIDE_MONOCLINIC)] = 0.5, 1.0
    p[list(CENTRED_MONOCLINIC)], q[list(CENTRED_MONOCLINIC)] = 1.0, 0.5
    return p, q


SHEAR_LIMITS = _shear_limits()
"""p and q, (231,) float64 each: monoclinic groups keep to ``-cos(beta) <= min(p c / a, q a / c)``, beta >= 90."""


def standardise(group: Tensor, lengths: Tensor, angles: Tensor) -> tuple[Tensor, Tensor]:
    """The equivalent lattice that the bounds pick in monoclinic and orthorhombic groups; others stay as given.

    Args:
        group: (n,) int64.
        lengths: (n, 3) float64, Å; angles: (n, 3) float64, degrees.

    Returns:
        Lengths and angles in the same units.
    """
    lengths = _sorted_axes(group, lengths)
    return _reduced_monoclinic(group, lengths, angles)


def _sorted_axes(group: Tensor, lengths: Tensor) -> Tensor:
    orthorhombic = (group >= 16) & (group <= 74)
    by_length = lengths.sort(dim=1).values
    first_two = torch.cat(
        [by_length.new_tensor([]), lengths[:, :2].sort(dim=1).values, lengths[:, 2:]], dim=1
    )
    # a cyclic permutation that brings the shortest axis first
    turned = lengths.gather(
        1, (lengths.argmin(dim=1, keepdim=True) + torch.arange(3, device=group.device)) % 3
    )
    a_b, b_c, a_c = (
        on_device(flags, group.device)[group] for flags in (ORDERED_A_B, ORDERED_B_C, ORDERED_A_C)
    )
    chosen = torch.where(b_c[:, None], by_length, torch.where(a_c[:, None], turned, first_two))
    return torch.where((orthorhombic & a_b)[:, None], chosen, lengths)


def _reduced_monoclinic(group: Tensor, lengths: Tensor, angles: Tensor) -> tuple[Tensor, Tensor]:
    """Shortest a and c within the bases that keep the group's setting."""
    monoclinic = (group >= 3) & (group <= 15)
    primitive, glide = (
        _flags(PRIMITIVE_MONOCLINIC).to(group.device)[group],
        _flags(GLIDE_MONOCLINIC).to(group.device)[group],
    )
    # how many c may be added to a, and a to c, in one elementary change of basis
    step_a = torch.where(primitive | glide, 1.0, 2.0).double()
    step_c = torch.where(glide, 2.0, 1.0).double()
    beta = torch.deg2rad(angles[:, 1])
    a = torch.stack([lengths[:, 0], torch.zeros_like(beta)], dim=1)
    c = lengths[:, 2:] * torch.stack([beta.cos(), beta.sin()], dim=1)
    for _ in range(_REDUCTION_STEPS):
        before = torch.cat([a, c], dim=1)
        a = a - (step_a * ((a * c).sum(1) / (step_a * (c * c).sum(1)) - _TOLERANCE).round())[:, None] * c
        c = c - (step_c * ((a * c).sum(1) / (step_c * (a * a).sum(1)) - _TOLERANCE).round())[:, None] * a
        if bool((torch.cat([a, c], dim=1) == before).all()):
            break
    length_a, length_c = a.norm(dim=1), c.norm(dim=1)
    cosine = -((a * c).sum(1) / (length_a * length_c)).abs()
    swapped = primitive & (length_a > length_c)
    first, last = torch.where(swapped, length_c, length_a), torch.where(swapped, length_a, length_c)
    new_lengths = torch.stack([first, lengths[:, 1], last], dim=1)
    new_angles = torch.stack([angles[:, 0], torch.rad2deg(torch.acos(cosine)), angles[:, 2]], dim=1)
    here = monoclinic[:, None]
    return torch.where(here, new_lengths, lengths), torch.where(here, new_angles, angles)


_TOLERANCE = 1e-9
