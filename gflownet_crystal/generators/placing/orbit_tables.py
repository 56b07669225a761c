"""The Wyckoff positions of all groups as tensors, and the simplest assignments of compositions, kept once found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gflownet_crystal.common.moving import CopiedToDevice
from gflownet_crystal.crystallography.cells import CENTRINGS, centring_of_group, centring_translations
from gflownet_crystal.crystallography.space_groups import N_SPACE_GROUPS
from gflownet_crystal.crystallography.wyckoff import DENOMINATOR, wyckoff_positions, wyckoff_table
from gflownet_crystal.generators.wyckoff_assignments import Assignment, WyckoffAssignments

_REMEMBERED = 50_000


@dataclass(frozen=True)
class OrbitTables(CopiedToDevice):
    """All positions of all groups, M operations in all; those of a position stand together.

    Attributes:
        rotation: (M, 3, 3) float64, from the free parameters to fractional coordinates.
        translation: (M, 3) float64, fractional.
        start: (1731,) int64, first operation of each position.
        multiplicity: (1731,) int64, its operations, one an atom of the conventional cell.
        primitive: (K,) int64, operations of one atom of each set that centring translations make of each other.
        primitive_start: (1731,) int64, where the position's begin in ``primitive``; its first operation is the first.
        primitive_multiplicity: (1731,) int64, atoms in the primitive cell.
    """

    rotation: Tensor
    translation: Tensor
    start: Tensor
    multiplicity: Tensor
    primitive: Tensor
    primitive_start: Tensor
    primitive_multiplicity: Tensor


@cache
def orbit_tables() -> OrbitTables:
    """The tables on the CPU, made once."""
    table = wyckoff_table()
    multiplicity = table.multiplicity.astype(np.int64)
    position = np.repeat(np.arange(len(multiplicity)), multiplicity)
    first = _first_of_centred(table.operations, position, table.group[position])
    held = np.bincount(position[first], minlength=len(multiplicity))
    arrays = [
        table.operations[:, :, :3] / DENOMINATOR,
        table.operations[:, :, 3] / DENOMINATOR,
        np.cumsum(multiplicity) - multiplicity,
        multiplicity,
        first,
        np.cumsum(held) - held,
        held,
    ]
    return OrbitTables(*(torch.from_numpy(np.ascontiguousarray(array)) for array in arrays))


def _first_of_centred(
    operations: NDArray[np.int8], position: NDArray[np.int64], group: NDArray[np.int16]
) -> NDArray[np.int64]:
    """The first operation of each set that centring translations make of each other, rising."""
    rotation = operations[:, :, :3].reshape(len(operations), 9).astype(np.int64)
    translation = operations[:, :, 3].astype(np.int64)
    kept = np.zeros(len(operations), dtype=bool)
    for index, name in enumerate(CENTRINGS):
        shifts = np.rint(DENOMINATOR * centring_translations(name).numpy()).astype(np.int64)
        rows = np.flatnonzero(centring_of_group.numpy()[group] == index)
        # the set is known by the smallest of its translations
        images = (translation[rows, None] + shifts) % DENOMINATOR
        keys = (images * [DENOMINATOR**2, DENOMINATOR, 1]).sum(2).min(1)
        classes = np.column_stack([position[rows], rotation[rows], keys])
        kept[rows[np.unique(classes, axis=0, return_index=True)[1]]] = True
    return np.flatnonzero(kept)


@cache
def first_position(group: int) -> int:
    """Where a group's positions begin in the tables, general position first."""
    return int(np.searchsorted(wyckoff_table().group, group))


@dataclass(frozen=True)
class Assignments:
    """Some assignments of one composition, one after the other.

    Attributes:
        n_orbits: (A,) int64, orbits of each assignment.
        position: (O,) int64, the position of each orbit in :func:`orbit_tables`.
        element: (O,) int64, the element of each orbit, by its place in the composition.
        is_free: (A,) bool, whether an orbit has a free parameter.
    """

    n_orbits: NDArray[np.int64]
    position: NDArray[np.int64]
    element: NDArray[np.int64]
    is_free: NDArray[np.bool_]


@lru_cache(maxsize=_REMEMBERED)
def simplest_assignments(group: int, counts: tuple[int, ...], listed: int, kept: int) -> Assignments | None:
    """The assignments with the fewest orbits, and among those with the fewest free parameters.

    Args:
        group: ITA number, 1 to 230.
        counts: atoms of each element in the conventional cell.
        listed: assignments looked at; those with fewest orbits come first.
        kept: assignments kept.

    Returns:
        None if the composition does not fit the group.
    """
    if not 1 <= group <= N_SPACE_GROUPS or not counts:
        return None
    positions = wyckoff_positions(group)

    def rank(assignment: Assignment) -> tuple[int, int]:
        used = [index for own in assignment for index in own]
        return len(used), sum(positions[index].degrees_of_freedom for index in used)

    found = sorted(islice(WyckoffAssignments(group, counts), listed), key=rank)[:kept]
    return flat_assignments(group, found) if found else None


def flat_assignments(group: int, found: Sequence[Assignment]) -> Assignments:
    """Assignments of one composition, at least one, as arrays."""
    positions = wyckoff_positions(group)
    orbits = [[(index, element) for element, own in enumerate(one) for index in own] for one in found]
    flat = np.array([pair for one in orbits for pair in one], dtype=np.int64)
    free = [any(positions[index].degrees_of_freedom for index, _ in one) for one in orbits]
    return Assignments(
        np.array([len(one) for one in orbits]), first_position(group) + flat[:, 0], flat[:, 1], np.array(free)
    )
