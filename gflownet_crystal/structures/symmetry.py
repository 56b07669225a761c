"""Symmetry of structures: space groups, conventional cells, and deviations from a group."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from moyopy import Cell, MoyoDataset, Setting
from numpy.typing import NDArray
from torch import Tensor

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.crystallography import lattice
from gflownet_crystal.crystallography.space_groups import lattice_system_of_group
from gflownet_crystal.crystallography.wyckoff import group_operations
from gflownet_crystal.structures.convert import from_arrays, iterate_arrays
from gflownet_crystal.structures.structure import StructureBatch

SYMPREC = 0.05
"""Distance tolerance in Å with which the space groups of data are found."""

_THINNEST = 8.0
"""Least distance of a cell's opposite faces in tolerances: in thinner ones moyo's search can take all memory."""


def find_space_groups(structures: StructureBatch, symprec: float = SYMPREC) -> Tensor:
    """Space group of each structure by moyo.

    Args:
        structures: n structures, in any cell.
        symprec: distance tolerance, Å.

    Returns:
        (n,) int64 on the CPU; 0 where the search fails.
    """
    with quiet_moyo():
        datasets = [find_dataset(*arrays, symprec) for arrays in iterate_arrays(structures)]
    return torch.tensor([0 if dataset is None else dataset.number for dataset in datasets], dtype=torch.int64)


def equivalent_atoms(
    cell: NDArray[np.float64],
    numbers: NDArray[np.int64],
    points: NDArray[np.float64],
    symprec: float = SYMPREC,
) -> NDArray[np.int64]:
    """For each atom of a crystal the first one equivalent by symmetry, translations included, by moyo.

    Args:
        cell: (3, 3) rows, Å.
        numbers: (N,) atomic numbers.
        points: (N, 3) fractional.
        symprec: distance tolerance, Å.

    Returns:
        (N,); every atom itself where the search fails.
    """
    with quiet_moyo():
        dataset = find_dataset(cell, numbers, points, symprec)
    return np.arange(len(numbers)) if dataset is None else np.array(dataset.orbits, dtype=np.int64)


def conventional_structures(structures: StructureBatch, symprec: float = SYMPREC) -> StructureBatch:
    """Conventional cells in the ITA setting, with lattice and positions symmetrised; about 0.5 ms each.

    Args:
        structures: n structures, in any cell.
        symprec: distance tolerance, Å.

    Returns:
        n structures on the CPU, ``space_group`` set; ``specs()`` of them are the specs of the crystals.

    Raises:
        DataError: moyo finds no symmetry in a structure, named by its row.
    """
    with quiet_moyo():
        datasets = [find_dataset(*arrays, symprec) for arrays in iterate_arrays(structures)]
    failed = [row for row, dataset in enumerate(datasets) if dataset is None]
    if failed:
        raise DataError(
            f"no symmetry found in structure {failed[0]} at {symprec} Å: check its cell and its distances"
        )
    found = [dataset for dataset in datasets if dataset is not None]
    return from_arrays(
        symmetric_cells(
            np.array([dataset.std_cell.basis for dataset in found]),
            np.array([dataset.number for dataset in found]),
        ),
        [dataset.std_cell.numbers for dataset in found],
        [dataset.std_cell.positions for dataset in found],
        [dataset.number for dataset in found],
    )


def symmetric_cells(cells: NDArray[np.float64], space_group: NDArray[np.int64]) -> NDArray[np.float64]:
    """Conventional cells that obey the lattice system of their group exactly.

    Args:
        cells: (n, 3, 3) lattice vectors as rows, Å, already within tolerance of it.
        space_group: (n,) 1 to 230.

    Returns:
        (n, 3, 3), a along x and b in the xy plane.
    """
    parameters = torch.cat(lattice.matrix_to_parameters(torch.from_numpy(cells)), dim=1)
    system = torch.from_numpy(lattice_system_of_group[space_group])
    exact = lattice.complete_parameters(system, parameters)
    return lattice.parameters_to_matrix(exact[:, :3], exact[:, 3:]).numpy()


def symmetry_error(structures: StructureBatch) -> Tensor:
    """Deviation of each structure from its images under the operations of the claimed group.

    Args:
        structures: n structures in the ITA setting of ``space_group``, each 1 to 230.

    Returns:
        (n,) float64, A: the largest over all operations of the distance from an atom's image to the nearest
        atom of its element, and of the change in length of a cell edge or face diagonal. Exact while small; a
        structure without the symmetry gets an upper bound.

    Raises:
        DataError: a structure claims no group.
    """
    groups = structures.space_group.tolist()
    if 0 in groups:
        raise DataError(f"structure {groups.index(0)} claims no space group: set space_group to 1 to 230")
    errors = [
        max(
            cell_error(cell, group_operations(group)),
            _atom_error(cell, numbers, points, group_operations(group)),
        )
        for group, (cell, numbers, points) in zip(groups, iterate_arrays(structures), strict=True)
    ]
    return torch.tensor(errors, dtype=torch.float64)


def cell_error(cell: NDArray[np.float64], operations: NDArray[np.float64]) -> float:
    """Largest change in length of a cell edge or face diagonal by operations, Å.

    Args:
        cell: (3, 3) lattice vectors as rows, Å.
        operations: (m, 3, 4), [rotation | translation].
    """
    probes = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [1, 0, 1], [0, 1, 1]], dtype=np.float64)
    images = probes @ operations[:, :, :3].transpose(0, 2, 1)
    change = np.linalg.norm(images @ cell, axis=2) - np.linalg.norm(probes @ cell, axis=1)
    return float(np.abs(change).max())


def _atom_error(
    cell: NDArray[np.float64],
    numbers: NDArray[np.int64],
    points: NDArray[np.float64],
    operations: NDArray[np.float64],
) -> float:
    largest = 0.0
    for number in np.unique(numbers):
        atoms = points[numbers == number]
        images = atoms @ operations[:, :, :3].transpose(0, 2, 1) + operations[:, None, :, 3]
        difference = images[:, :, None] - atoms
        difference -= np.round(difference)
        largest = max(largest, float(np.linalg.norm(difference @ cell, axis=3).min(axis=2).max()))
    return largest


def find_dataset(
    cell: NDArray[np.float64],
    numbers: NDArray[np.integer],
    points: NDArray[np.float64],
    symprec: float = SYMPREC,
) -> MoyoDataset | None:
    """Symmetry of a crystal by moyo, the standard cell in the ITA's setting.

    Args:
        cell: (3, 3) rows, Å.
        numbers: (N,) atomic numbers.
        points: (N, 3) fractional.
        symprec: distance tolerance, Å.

    Returns:
        moyo's dataset; None where the search fails, or cannot end as the cell is too thin.
    """
    try:
        if not _THINNEST * symprec * np.linalg.norm(np.linalg.inv(cell), axis=0).max() <= 1.0:
            return None
        found = Cell(cell.tolist(), points.tolist(), [int(number) for number in numbers])
        return MoyoDataset(found, symprec=symprec, setting=Setting.standard())
    except (ValueError, RuntimeError, OverflowError):
        return None
    except BaseException as error:
        # a panic of moyo's Rust code is no Exception, and its class cannot be imported
        if type(error).__name__ != "PanicException":
            raise
        return None


@contextmanager
def quiet_moyo() -> Iterator[None]:
    """Without moyo's warnings of cells that are not primitive."""
    # moyo warns of every cell that is not primitive, as conventional cells are
    logger = logging.getLogger("moyo")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
