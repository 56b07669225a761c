"""Input features of the energy networks: elements as a ragged list, group, counts and lattice descriptors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gflownet_crystal.common.devices import on_device
from gflownet_crystal.common.errors import ProxyError
from gflownet_crystal.crystallography.cells import lattice_points
from gflownet_crystal.crystallography.space_groups import CRYSTAL_CLASSES, first_hand_of_group
from gflownet_crystal.models.spec_energy.lattice import lattice_features
from gflownet_crystal.structures.elements import FORMULA_ORDER, N_ATOMIC_NUMBERS
from gflownet_crystal.structures.formulas import greatest_common_divisor
from gflownet_crystal.structures.spec import CrystalSpec
from gflownet_crystal.structures.spec_checks import complaint, spec_faults

MAX_ATOMIC_NUMBER = 103
"""Elements beyond lawrencium have no row in the property table."""

N_RANKS = 6
N_TOKEN_FEATURES = 3 + N_RANKS
N_SCALAR_FEATURES = 6
N_BUCKETS = 32768
"""Prototypes (space group and sorted counts) are told apart by a hash of so many values."""

_LAST_GROUPS = [crystal_class.last for crystal_class in CRYSTAL_CLASSES]
KNOWN_HAND = first_hand_of_group.copy()
"""(231,) int64: the hand of an enantiomorphic pair that more crystals of the Materials Project have, else the group."""
# crystals of the training data: 43 in 95 to 28 in 91, 43 in 145 to 31 in 144; elsewhere the lower number has more
KNOWN_HAND[[91, 95]], KNOWN_HAND[[144, 145]] = 95, 145

CLASS_OF_GROUP = np.concatenate([[0], np.searchsorted(_LAST_GROUPS, np.arange(1, 231))])
"""Index in CRYSTAL_CLASSES by space-group number, (231,) int64; entry 0 unused."""

_CLASS_ORDERS = (
    1, 2, 2, 2, 4, 4, 4, 8, 4, 4, 8, 8, 8, 8, 16, 3, 6, 6, 6, 12, 6, 6, 12, 12, 12, 12, 24, 12, 24, 24, 24, 48,
)  # fmt: skip
_KNOWN_HAND = torch.from_numpy(KNOWN_HAND)
_ORDER_OF_GROUP = torch.tensor(_CLASS_ORDERS, dtype=torch.float64)[torch.from_numpy(CLASS_OF_GROUP)]
_PLACE_IN_FORMULAS = torch.zeros(N_ATOMIC_NUMBERS, dtype=torch.int64)
_PLACE_IN_FORMULAS[torch.from_numpy(FORMULA_ORDER)] = torch.arange(len(FORMULA_ORDER))


@dataclass(frozen=True)
class Composition:
    """Ragged element lists of n compositions with groups.

    Attributes:
        fractions: (n, 119) float32.
        row: (t,) int64, the composition each element belongs to, ascending.
        element: (t,) int64, atomic number.
        token: (t, 9) float32: fraction, log count in the primitive cell, log count over the point group's order, and
            the element's rank by count (ties by electronegativity) as one of six.
        scalar: (n, 6) float32: log atoms in the primitive cell, log formula units in it, number of elements, entropy
            of the fractions, log point-group order, largest fraction.
        space_group: (n,) int64; of two mirror images the better known one, as their energies are equal.
        bucket: (n,) int64, hash of space group and sorted counts, whatever the elements.
    """

    fractions: Tensor
    row: Tensor
    element: Tensor
    token: Tensor
    scalar: Tensor
    space_group: Tensor
    bucket: Tensor

    def __len__(self) -> int:
        return len(self.space_group)


def composition_features(composition: Tensor, space_group: Tensor) -> Composition:
    """Features of the composition in its conventional cell.

    Args:
        composition: (n, 119) int64 counts of the conventional cell.
        space_group: (n,) int64.

    Raises:
        ProxyError: a row has no atoms or an element without known properties; the message names the row.
    """
    _check(composition, space_group)
    device = composition.device
    space_group = on_device(_KNOWN_HAND, device)[space_group]
    counts = composition.to(torch.float64)
    total = counts.sum(1)
    points = lattice_points(space_group).to(torch.float64)
    order = on_device(_ORDER_OF_GROUP, device)[space_group]
    fractions = counts / total[:, None]
    ranked, order_of_rank = _ranked(composition)
    row, rank = (ranked > 0).nonzero(as_tuple=True)
    element = order_of_rank[row, rank]
    fraction = fractions[row, element]
    log_count = torch.log(counts[row, element] / points[row])
    ranks = rank.clamp(max=N_RANKS - 1)[:, None] == torch.arange(N_RANKS, device=device)
    token = torch.stack([fraction, log_count, log_count - torch.log(order[row])], dim=1)
    token = torch.cat([token, ranks], dim=1)
    entropy = torch.zeros_like(total).index_add_(0, row, -fraction * torch.log(fraction))
    units = greatest_common_divisor(composition).to(torch.float64) / points
    scalar = torch.stack(
        [
            torch.log(total / points),
            torch.log(units),
            (composition > 0).sum(1).to(torch.float64),
            entropy,
            torch.log(order),
            fractions.max(dim=1).values,
        ],
        dim=1,
    )
    return Composition(
        fractions.float(),
        row,
        element,
        token.float(),
        scalar.float(),
        space_group,
        _bucket(ranked, space_group),
    )


def _ranked(composition: Tensor) -> tuple[Tensor, Tensor]:
    """Counts (n, k) in descending order, ties by electronegativity, and their atomic numbers (n, k)."""
    place = on_device(_PLACE_IN_FORMULAS, composition.device)
    width = max(int((composition > 0).sum(1).max()), 1) if len(composition) else 1
    element = (composition * 128 + place).topk(width, dim=1).indices
    return composition.gather(1, element), element


def _bucket(ranked: Tensor, space_group: Tensor) -> Tensor:
    """Hash (n,) of space group and sorted counts; two prototypes share one by chance only."""
    hashed = space_group.clone()
    for column in ranked.unbind(1):
        # rows with fewer elements than the batch's most must not be mixed further
        mixed = (hashed * 1_000_003 + column * 7919 + 12345) % 2_147_483_647
        hashed = torch.where(column > 0, mixed, hashed)
    return hashed % N_BUCKETS


def shape_features(specs: CrystalSpec) -> tuple[Tensor, Tensor]:
    """Log volume per atom (n,) float64, log Å^3, and lattice descriptors (n, 15) float64.

    Raises:
        ProxyError: a cell is open or not finite; the message names the row.
    """
    log_volume = torch.log(specs.volume_per_atom)
    _check_closed(specs, log_volume)
    return log_volume, lattice_features(specs)


def check_specs(specs: CrystalSpec) -> None:
    """Check that every spec can be predicted.

    Raises:
        ProxyError: a spec has an element that is not known or is outside its contract, see
            :func:`gflownet_crystal.structures.spec_checks.spec_faults`; the message names the row.
    """
    _check(specs.composition, specs.space_group)
    if (fault := complaint(specs, spec_faults(specs))) is not None:
        raise ProxyError(fault)


def _check(composition: Tensor, space_group: Tensor) -> None:
    empty = (composition.sum(1) <= 0) | (composition < 0).any(1)
    unknown = (composition[:, MAX_ATOMIC_NUMBER + 1 :] != 0).any(1) | (composition[:, 0] != 0)
    outside = (space_group < 1) | (space_group > 230)
    if not bool((empty | unknown | outside).any()):
        return
    for mask, text in (
        (empty, "has no atoms or a negative count; give at least one atom"),
        (
            unknown,
            f"has an element outside 1 to {MAX_ATOMIC_NUMBER}, which this proxy does not know; leave it out",
        ),
        (outside, "has a space group outside 1 to 230; give an ITA number"),
    ):
        if bool(mask.any()):
            raise ProxyError(f"spec {int(mask.nonzero()[0, 0])} {text}")


def _check_closed(specs: CrystalSpec, volume: Tensor) -> None:
    bad = ~torch.isfinite(volume)
    if bool(bad.any()):
        row = int(bad.nonzero()[0, 0])
        parameters = [*specs.lengths[row].tolist(), *specs.angles[row].tolist()]
        raise ProxyError(
            f"spec {row}: lattice {parameters} closes no cell; give lengths > 0 Å and angles that close"
        )
