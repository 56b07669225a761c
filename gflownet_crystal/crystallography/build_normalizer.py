"""Derive the table of normalisers: ``python -m gflownet_crystal.crystallography.build_normalizer [PATH]``.

The Euclidean normaliser of a group for the most general lattice of its lattice system (ITA 2006, section 15.2) holds
the motions (W, w) that keep the lattice's metric and take the group to itself: (W, w) G (W, w)^-1 = G.
"""

from __future__ import annotations

import sys
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from gflownet_crystal.common.files import atomic_path
from gflownet_crystal.crystallography.lattice import complete_parameters, parameters_to_matrix
from gflownet_crystal.crystallography.normalizer import TABLE_NAME
from gflownet_crystal.crystallography.site_projectors import site_flats
from gflownet_crystal.crystallography.space_groups import N_SPACE_GROUPS, lattice_system_of_group
from gflownet_crystal.crystallography.wyckoff import (
    DENOMINATOR,
    WyckoffPosition,
    wyckoff_positions,
    wyckoff_table,
)

# lengths in A and angles in degrees of a lattice without more symmetry than its system gives it
_GENERIC = (5.1, 6.3, 8.9, 78.0, 104.0, 97.0)
# free parameters of a point without more symmetry than its position gives it
_GENERIC_POINT = np.array([0.1234567, 0.2718282, 0.3819660])


@cache
def metric_rotations(lattice_system: int) -> NDArray[np.int64]:
    """Whole matrices, acting on columns of coordinates, that keep a general lattice of a system, (n, 3, 3)."""
    parameters = complete_parameters(
        torch.tensor([lattice_system]), torch.tensor([_GENERIC], dtype=torch.float64)
    )
    cell = parameters_to_matrix(parameters[:, :3], parameters[:, 3:])[0].numpy()
    metric = cell @ cell.T
    matrices = np.array(list(product((-1, 0, 1), repeat=9))).reshape(-1, 3, 3)
    kept = np.abs(matrices.transpose(0, 2, 1) @ metric @ matrices - metric).max((1, 2)) < 1e-9
    return matrices[kept]


def coset_representatives(group: int) -> NDArray[np.int64]:
    """One motion [W | w] of each coset of a group in its normaliser, w in 24ths, (n, 3, 4), the identity first.

    Along the axes in which a polar group has no origin, any shift belongs to the normaliser; w is zero there.
    """
    operations = np.rint(DENOMINATOR * wyckoff_positions(group)[0].operations).astype(np.int64)
    rotations, translations = operations[:, :, :3] // DENOMINATOR, operations[:, :, 3]
    is_pure = (rotations == np.eye(3)).all((1, 2))
    centring = translations[is_pure]
    translation_of = {
        rotation.tobytes(): shift for rotation, shift in zip(rotations, translations, strict=True)
    }
    has_origin = (rotations != np.eye(3)).any((0, 1))
    shifts = np.array(list(product(*(range(DENOMINATOR if axis else 1) for axis in has_origin))))
    found: list[NDArray[np.int64]] = []
    seen: set[bytes] = set()
    for rotation in sorted(metric_rotations(int(lattice_system_of_group[group])), key=_far_from_identity):
        if rotation.tobytes() in seen or not _same_points(centring @ rotation.T, centring):
            continue
        seen.update((one @ rotation).tobytes() for one in rotations)
        fitting = _fitting_shifts(rotation, translation_of, centring, shifts)
        distinct = _first_of_centred(fitting, centring)
        found += [np.column_stack([rotation, shift]) for shift in distinct]
    return np.array(found)


def _far_from_identity(rotation: NDArray[np.int64]) -> tuple[int, tuple[int, ...]]:
    return int(np.abs(rotation - np.eye(3)).sum()), tuple(rotation.ravel().tolist())


def _fitting_shifts(
    rotation: NDArray[np.int64],
    translation_of: dict[bytes, NDArray[np.int64]],
    centring: NDArray[np.int64],
    shifts: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Shifts w with which (rotation, w) takes every operation of a group to an operation of it."""
    inverse = np.rint(np.linalg.inv(rotation)).astype(np.int64)
    keys = _key(centring)
    for name, translation in translation_of.items():
        turned = rotation @ np.frombuffer(name, dtype=np.int64).reshape(3, 3) @ inverse
        target = translation_of.get(np.ascontiguousarray(turned).tobytes())
        if target is None:
            return shifts[:0]
        # (W, w) (R, t) (W, w)^-1 = (W R W^-1, W t + w - W R W^-1 w)
        image = rotation @ translation + shifts @ (np.eye(3, dtype=np.int64) - turned).T
        shifts = shifts[np.isin(_key(image - target), keys)]
    return shifts


def _first_of_centred(shifts: NDArray[np.int64], centring: NDArray[np.int64]) -> NDArray[np.int64]:
    """The smallest shift of each set of shifts that differ by centring translations."""
    smallest = _key(shifts[:, None] + centring).min(1)
    return shifts[np.unique(smallest, return_index=True)[1]]


def _same_points(first: NDArray[np.int64], second: NDArray[np.int64]) -> bool:
    return np.array_equal(np.sort(_key(first)), np.sort(_key(second)))


def _key(shifts: NDArray[np.int64]) -> NDArray[np.int64]:
    """One number a shift modulo whole cells."""
    keys: NDArray[np.int64] = (shifts % DENOMINATOR) @ np.array([DENOMINATOR**2, DENOMINATOR, 1])
    return keys


def permutation_of(group: int, motion: NDArray[np.int64]) -> tuple[int, ...]:
    """The position to which a motion of the normaliser takes each position of a group.

    Args:
        group: ITA number.
        motion: (3, 4), [W | w] with w in 24ths.
    """
    positions = wyckoff_positions(group)
    return tuple(_image(positions, group, position, motion) for position in positions)


def _image(
    positions: tuple[WyckoffPosition, ...], group: int, position: WyckoffPosition, motion: NDArray[np.int64]
) -> int:
    point = position.orbit(_GENERIC_POINT)[0]
    moved = torch.from_numpy(motion[:, :3] @ point + motion[:, 3] / DENOMINATOR)
    first = int(wyckoff_table().multiplicity[: np.searchsorted(wyckoff_table().group, group)].sum())
    for index, other in enumerate(positions):
        operations = torch.arange(first, first + other.multiplicity)
        first += other.multiplicity
        if other.multiplicity == position.multiplicity:
            miss = site_flats().parameters(moved.expand(len(operations), 3), operations)[1]
            if bool((miss.abs().amax(1) < 1e-6).any()):
                return index
    raise ValueError(f"a motion {motion.tolist()} takes a position of group {group} to none of it")


def build_table() -> dict[str, NDArray[np.int16]]:
    """Distinct permutations of the positions of every group, and one motion for each.

    Returns:
        group (n,), motion (n, 3, 4) with translations in 24ths, and permutation, the rows of all groups flat.
    """
    groups, motions, permutations = [], [], []
    for group in range(1, N_SPACE_GROUPS + 1):
        distinct: dict[tuple[int, ...], NDArray[np.int64]] = {}
        for motion in coset_representatives(group):
            distinct.setdefault(permutation_of(group, motion), motion)
        groups += [group] * len(distinct)
        motions += list(distinct.values())
        permutations += [index for permutation in distinct for index in permutation]
    return {
        "group": np.array(groups, dtype=np.int16),
        "motion": np.array(motions, dtype=np.int16),
        "permutation": np.array(permutations, dtype=np.int16),
    }


def main(arguments: list[str]) -> None:
    """Write the table to the path given, by default into the package."""
    path = Path(arguments[0]) if arguments else Path(__file__).with_name(TABLE_NAME)
    with atomic_path(path) as temporary:
        np.savez_compressed(temporary, **build_table())  # type: ignore[arg-type]
    print(f"{path}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
