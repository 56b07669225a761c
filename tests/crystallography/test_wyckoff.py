from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.crystallography.build_wyckoff import build_table, write_table
from gflownet_crystal.crystallography.wyckoff import (
    group_operations,
    read_table,
    wyckoff_positions,
    wyckoff_table,
)
from tests.crystallography.spglib_groups import rotations_and_translations

GROUPS = range(1, 231)


def _points(coordinates: NDArray[np.float64]) -> set[tuple[int, ...]]:
    """Points modulo lattice translations, exact enough to compare."""
    return set(map(tuple, (np.rint(coordinates * 1e6).astype(np.int64) % 10**6).tolist()))


def test_table_is_rebuilt_from_pyxtal(tmp_path: Path) -> None:
    write_table(build_table(), tmp_path / "table.npz")
    rebuilt, packaged = read_table(tmp_path / "table.npz"), wyckoff_table()
    for name, column in vars(packaged).items():
        assert np.array_equal(getattr(rebuilt, name), column), name
        assert getattr(rebuilt, name).dtype == column.dtype, name


def test_reading_the_table_does_not_import_pyxtal() -> None:
    program = (
        "import sys; from gflownet_crystal.crystallography import wyckoff_positions; wyckoff_positions(225);"
        "sys.exit(any(name in sys.modules for name in ('pyxtal', 'pymatgen')))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_group_operations_are_those_of_spglib() -> None:
    for group in GROUPS:
        rotations, translations = rotations_and_translations(group)
        expected = np.concatenate([rotations, np.mod(translations, 1.0)[:, :, None]], axis=2).reshape(-1, 12)
        operations = group_operations(group).reshape(-1, 12)
        assert len(operations) == len(expected), group
        assert _points_of_operations(operations) == _points_of_operations(expected), group


def _points_of_operations(operations: NDArray[np.float64]) -> set[tuple[int, ...]]:
    rounded = np.rint(operations * 24).astype(np.int64)
    rounded[:, 3::4] %= 24
    return set(map(tuple, rounded.tolist()))


@pytest.mark.parametrize("groups", [range(first, min(first + 46, 231)) for first in range(1, 231, 46)])
def test_each_position_is_one_orbit_of_its_group(groups: range) -> None:
    parameters = np.array([0.1234567, 0.2718282, 0.4142136])
    for group in groups:
        operations = group_operations(group)
        for position in wyckoff_positions(group):
            orbit = position.orbit(parameters)
            images = operations[:, :, :3] @ orbit[0] + operations[:, :, 3]
            assert len(_points(orbit)) == position.multiplicity == len(orbit), (group, position.letter)
            assert _points(images) == _points(orbit), (group, position.letter)


def test_degrees_of_freedom_are_the_rank_of_the_map() -> None:
    for group in GROUPS:
        for position in wyckoff_positions(group):
            rank = np.linalg.matrix_rank(position.operations[0, :, :3])
            assert rank == position.degrees_of_freedom, (group, position.letter)


def test_positions_stand_in_order_from_the_general_one_down_to_a() -> None:
    alphabet = "abcdefghijklmnopqrstuvwxyzA"
    for group in GROUPS:
        positions = wyckoff_positions(group)
        assert "".join(position.letter for position in reversed(positions)) == alphabet[: len(positions)]
        assert positions[0].degrees_of_freedom == 3
        assert positions[0].site_symmetry == "1"


def test_orbits_are_batched_and_wrapped() -> None:
    position = wyckoff_positions(14)[0]
    parameters = np.array([[[-1e-18, 0.5, 2.25]], [[0.1, -0.2, 0.3]]])
    orbit = position.orbit(parameters)
    assert orbit.shape == (2, 1, 4, 3)
    assert (orbit >= 0.0).all() and (orbit < 1.0).all()
    np.testing.assert_array_equal(orbit[1, 0], position.orbit(parameters[1, 0]))


def test_unknown_group_is_refused() -> None:
    with pytest.raises(ConfigError, match="space group 231"):
        wyckoff_positions(231)
