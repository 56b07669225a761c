"""Structures as rows of a table in the package's schema, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.common.run_schema import FORMULA, SPACE_GROUP
from gflownet_crystal.crystallography.lattice import matrix_to_parameters, parameters_to_matrix
from gflownet_crystal.structures.formulas import composition_to_text
from gflownet_crystal.structures.structure import StructureBatch


def structures_to_frame(structures: StructureBatch, **columns: Any) -> pd.DataFrame:
    """One row a structure.

    Args:
        structures: n structures.
        columns: n values each, placed after the others.

    Returns:
        Columns formula (of the cell as it is), n_atoms, space_group (0 where none is claimed), lattice [a b c Å, alpha
        beta gamma degrees], atomic_numbers and frac_coords (flat), then the given ones.
    """
    on_cpu = structures.to("cpu")
    ends = on_cpu.n_atoms.cumsum(0)[:-1].numpy()
    lengths, angles = matrix_to_parameters(on_cpu.cell)
    data = {
        FORMULA: composition_to_text(on_cpu.composition),
        "n_atoms": on_cpu.n_atoms.numpy(),
        SPACE_GROUP: on_cpu.space_group.numpy(),
        "lattice": list(torch.cat([lengths, angles], dim=1).numpy()),
        "atomic_numbers": np.split(on_cpu.atomic_numbers.numpy(), ends) if len(on_cpu) else [],
        "frac_coords": np.split(on_cpu.fractional.numpy().ravel(), 3 * ends) if len(on_cpu) else [],
    }
    return pd.DataFrame({**data, **columns})


def frame_to_structures(frame: pd.DataFrame) -> StructureBatch:
    """Structures of rows in the package's schema.

    Args:
        frame: columns lattice, atomic_numbers, frac_coords, and space_group where it is known. The rotation of a cell
            is not part of a row.

    Raises:
        DataError: a row lacks a part, its atoms and coordinates do not fit together, or an atomic number is not whole.
    """
    sizes, sides, places = (_lengths(frame[name]) for name in ("atomic_numbers", "lattice", "frac_coords"))
    faulty = np.flatnonzero((sides != 6) | (places != 3 * sizes))
    if faulty.size:
        row = faulty[0]
        raise DataError(
            f"row {row} has {sizes[row]} atoms, {places[row]} coordinates and {sides[row]} lattice parameters; "
            "an atom has 3 coordinates, a lattice 6 parameters"
        )
    numbers = _flat(frame["atomic_numbers"])
    if (~np.isfinite(numbers) | (numbers != np.round(numbers))).any():
        raise DataError("column atomic_numbers has numbers that are not whole")
    points = _flat(frame["frac_coords"])
    lattice = torch.from_numpy(_flat(frame["lattice"]).reshape(-1, 6))
    group = frame[SPACE_GROUP] if SPACE_GROUP in frame.columns else pd.Series(0, index=frame.index)
    return StructureBatch(
        parameters_to_matrix(lattice[:, :3], lattice[:, 3:]),
        torch.from_numpy(numbers.astype(np.int64)),
        torch.from_numpy(points.reshape(-1, 3)),
        torch.repeat_interleave(torch.arange(len(sizes)), torch.from_numpy(sizes)),
        torch.from_numpy(group.fillna(0).to_numpy(dtype=np.int64).copy()),
    )


def _lengths(column: pd.Series) -> NDArray[np.int64]:
    """Number of values in each row of a column; 0 where it is empty."""
    return np.array([len(row) if np.ndim(row) == 1 else 0 for row in column], dtype=np.int64)


def _flat(column: pd.Series) -> NDArray[np.float64]:
    """The numbers of all rows, one after the other."""
    try:
        return np.concatenate([np.empty(0), *column]).astype(np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"column {column.name} is not numbers: {error}") from error
