"""The groups as spglib's database has them: an answer that owes nothing to pyxtal."""

from __future__ import annotations

from functools import cache

import numpy as np
import spglib
from numpy.typing import NDArray

N_HALL_NUMBERS = 530


@cache
def hall_numbers() -> dict[int, int]:
    """Hall number of each group's standard setting: origin choice 2, hexagonal axes, unique axis b."""
    chosen: dict[int, int] = {}
    for hall in range(1, N_HALL_NUMBERS + 1):
        kind = spglib.get_spacegroup_type(hall)
        if kind.number not in chosen or kind.choice in ("2", "H"):
            chosen[kind.number] = hall
    return chosen


def rotations_and_translations(group: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    operations = spglib.get_symmetry_from_database(hall_numbers()[group])
    return operations["rotations"].astype(np.int64), operations["translations"]
