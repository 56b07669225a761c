"""Make the Wyckoff table from pyxtal: ``python -m gflownet_crystal.crystallography.build_wyckoff [PATH]``."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from gflownet_crystal.common.files import atomic_path
from gflownet_crystal.crystallography.space_groups import N_SPACE_GROUPS
from gflownet_crystal.crystallography.wyckoff import DENOMINATOR, TABLE_NAME, WyckoffTable


def build_table() -> WyckoffTable:
    """Read all positions from pyxtal (origin choice 2, hexagonal axes) and express them in exact 24ths.

    Raises:
        ValueError: an entry is no multiple of 1/24, or an orbit's length is not the multiplicity.
    """
    # imported here: only those who rebuild the table need pyxtal
    from pyxtal.symmetry import Group

    rows = []
    for group in range(1, N_SPACE_GROUPS + 1):
        for position in Group(group):
            position.get_site_symmetry()
            operations = np.array([operation.affine_matrix[:3] for operation in position.ops]) * DENOMINATOR
            exact = np.rint(operations).astype(np.int64)
            if np.abs(operations - exact).max() > 1e-3 or len(exact) != position.multiplicity:
                raise ValueError(
                    f"group {group} position {position.letter}: entries are not exact 24ths of an orbit"
                )
            exact[:, :, 3] %= DENOMINATOR
            rows.append((group, position, exact))
    positions = [position for _, position, _ in rows]
    return WyckoffTable(
        group=np.array([group for group, _, _ in rows], dtype=np.int16),
        letter=np.array([position.letter for position in positions]),
        multiplicity=np.array([position.multiplicity for position in positions], dtype=np.int16),
        degrees_of_freedom=np.array([position.get_dof() for position in positions], dtype=np.int8),
        site_symmetry=np.array([position.site_symm for position in positions]),
        operations=np.concatenate([exact for _, _, exact in rows]).astype(np.int8),
    )


def write_table(table: WyckoffTable, path: Path) -> None:
    """Write a table as a compressed .npz; symbols as bytes, which take a quarter of the space."""
    arrays = {
        name: column.astype(np.bytes_) if column.dtype.kind == "U" else column
        for name, column in vars(table).items()
    }
    with atomic_path(path) as temporary:
        np.savez_compressed(temporary, **arrays)


def main(arguments: list[str]) -> None:
    """Write the table to the path given, by default into the package."""
    path = Path(arguments[0]) if arguments else Path(__file__).with_name(TABLE_NAME)
    write_table(build_table(), path)
    print(f"{path}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
