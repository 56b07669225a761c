"""Crystals to learn from in standard primitive cells, computed once and kept in the user's cache."""

from __future__ import annotations

import hashlib
import importlib.metadata
import sys
from dataclasses import replace
from pathlib import Path

import torch

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.common.executors import LocalProcesses
from gflownet_crystal.common.tables import read_parquet, write_parquet
from gflownet_crystal.common.user_cache import user_cache
from gflownet_crystal.evaluation.parallel import Crystal, Work, from_crystals, run_all, to_crystals
from gflownet_crystal.structures.frames import frame_to_structures, structures_to_frame
from gflownet_crystal.structures.standard_cells import SYMPREC, standard_primitive_cells
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.training.energies.labelled import LabelledStructures


def in_standard_cells(data: LabelledStructures, processes: int, quiet: bool) -> LabelledStructures:
    """Crystals in standard primitive cells, but for MP-20's val, whose cells belong to its published task.

    Args:
        data: n crystals.
        processes: number of processes that compute cells.
        quiet: show no progress.

    Returns:
        The crystals in their order.
    """
    changed = torch.from_numpy(data.split != "val")
    if not changed.any():
        return data
    made = _cells(data.structures[changed], processes, quiet)
    order = torch.cat([changed.nonzero()[:, 0], (~changed).nonzero()[:, 0]]).argsort()
    return replace(data, structures=StructureBatch.cat([made, data.structures[~changed]])[order])


def _cells(structures: StructureBatch, processes: int, quiet: bool) -> StructureBatch:
    """The crystals in standard primitive cells, from the cache if it has them."""
    path = _path(structures)
    if path.is_file():
        try:
            return frame_to_structures(read_parquet(path))
        except (DataError, KeyError):
            sys.stderr.write(f"{path} is damaged: computed again\n")
    work = Work(LocalProcesses(processes), quiet=quiet)
    table = structures_to_frame(
        from_crystals(run_all(_standard, to_crystals(structures), work, "standard cells"))
    )
    try:
        write_parquet(path, table)
    except (DataError, OSError) as error:
        sys.stderr.write(f"standard cells are not kept for the next training: {error}\n")
    # the same numbers whether computed or read
    return frame_to_structures(table)


def _standard(crystal: Crystal) -> Crystal:
    """A crystal in its standard primitive cell."""
    return to_crystals(standard_primitive_cells(from_crystals([crystal])))[0]


def _path(structures: StructureBatch) -> Path:
    """A file of the user's cache that belongs to these crystals and this spglib."""
    digest = hashlib.sha256(f"{SYMPREC} {importlib.metadata.version('spglib')} ".encode())
    digest.update(structures.digest().encode())
    return user_cache() / "standard_cells" / f"{digest.hexdigest()}.parquet"
