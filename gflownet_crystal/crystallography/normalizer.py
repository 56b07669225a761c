"""Wyckoff assignments that are one structure in different coordinates: the letters that the normaliser exchanges.

A motion that takes a group to itself and keeps the metric of the lattice turns a structure into the same one with
another origin or other axes of the same lengths, or into its mirror image. It may exchange Wyckoff positions (a and b
of Pm-3m). The table is derived from the operations by :mod:`gflownet_crystal.crystallography.build_normalizer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.resources import as_file, files

import numpy as np
from numpy.typing import NDArray

from gflownet_crystal.crystallography.space_groups import check_space_group
from gflownet_crystal.crystallography.wyckoff import wyckoff_positions

TABLE_NAME = "normalizer.npz"


@cache
def _table() -> dict[str, NDArray[np.int16]]:
    with (
        as_file(files(__package__).joinpath(TABLE_NAME)) as path,
        np.load(path, allow_pickle=False) as arrays,
    ):
        return {name: arrays[name] for name in arrays.files}


@cache
def position_permutations(group: int) -> NDArray[np.int64]:
    """Permutations of the positions of a group by its normaliser, distinct, the identity first.

    Args:
        group: ITA number, 1 to 230.

    Returns:
        (k, p) int64: ``[i, j]`` is the index in ``wyckoff_positions(group)`` of the image of position j under
            operation i.

    Raises:
        ConfigError: the group does not exist.
    """
    group = check_space_group(group)
    n_positions = np.array([len(wyckoff_positions(int(one))) for one in _table()["group"]])
    rows = _table()["group"] == group
    flat = _table()["permutation"][np.repeat(rows, n_positions)]
    return flat.reshape(int(rows.sum()), -1).astype(np.int64)


@cache
def _permutations(group: int) -> tuple[tuple[int, ...], ...]:
    return tuple(map(tuple, position_permutations(group).tolist()))


def equivalent_assignments(
    group: int, assignment: Sequence[Sequence[int]]
) -> set[tuple[tuple[int, ...], ...]]:
    """All assignments that the normaliser makes of one, itself included.

    Args:
        group: ITA number, 1 to 230.
        assignment: assignment, for each element the indices of its orbits' positions.
    """
    return {
        tuple(tuple(sorted(permutation[index] for index in own)) for own in assignment)
        for permutation in _permutations(group)
    }


def canonical_assignment(group: int, assignment: Sequence[Sequence[int]]) -> tuple[tuple[int, ...], ...]:
    """The smallest of the assignments that the normaliser makes of one: the same for equivalent ones.

    Args:
        group: ITA number, 1 to 230.
        assignment: assignment, for each element the indices of its orbits' positions.
    """
    return min(equivalent_assignments(group, assignment))
