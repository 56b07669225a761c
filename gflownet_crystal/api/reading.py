"""Crystals and samples from files."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from gflownet_crystal.api.crystals import Crystals
from gflownet_crystal.api.placing import check_specs
from gflownet_crystal.api.run import Run
from gflownet_crystal.api.samples import Samples
from gflownet_crystal.common.errors import DataError
from gflownet_crystal.common.run_schema import FORMULA, SPACE_GROUP
from gflownet_crystal.data.readers import read_rows, with_numbers
from gflownet_crystal.data.rows import CELL, CLAIMED, REASON, frame_to_oriented, structure_reasons
from gflownet_crystal.data.schema import STRUCTURE_COLUMNS
from gflownet_crystal.structures.spec_io import read_specs
from gflownet_crystal.structures.symmetry import SYMPREC, find_space_groups

_GEOMETRY = (
    *STRUCTURE_COLUMNS, REASON, CELL, CLAIMED, "name", FORMULA, "n_atoms", SPACE_GROUP, "volume_per_atom",
)  # fmt: skip


def read(source: str | Path, *, formula_check: str = "refuse", symprec: float = SYMPREC) -> Crystals:
    """Read crystals from a file or folder.

    Args:
        source: file or folder of ``.cif``, POSCAR, ``.json`` of pymatgen, extended ``.xyz``, or ``.csv`` and
            ``.parquet`` of this package.
        formula_check: rule for CIFs whose own formula differs from the structure: ``refuse`` or ``warn``.
        symprec: tolerance with which space groups are found, Å.

    Returns:
        The crystals, with the labels that the source has (``formation_energy_per_atom``, ``band_gap``, ...). Records
        that cannot be read are named in a warning and listed in ``left_out`` with the reason.

    Raises:
        DataError: nothing readable.

    Example:
        >>> gfc.read("candidates/").judge("alignn")
    """
    frame = read_rows(source, formula_check)
    frame, faults = with_numbers(frame)
    reasons = [reason or fault for reason, fault in zip(structure_reasons(frame), faults, strict=True)]
    good = np.array([not reason for reason in reasons], dtype=bool)
    if not good.any():
        raise DataError(f"{source}: none of {len(frame)} crystals could be read; the first: {reasons[0]}")
    left_out = pd.DataFrame({"name": frame["material_id"], REASON: reasons})[~good].reset_index(drop=True)
    if len(left_out):
        warnings.warn(
            f"{source}: {len(left_out)} of {len(frame)} crystals could not be read, see left_out; the first, "
            f"{left_out['name'][0]}: {left_out['reason'][0]}",
            stacklevel=2,
        )
    frame = frame[good].reset_index(drop=True)
    structures = frame_to_oriented(frame)
    table = pd.DataFrame({"name": frame["material_id"].astype(str)})
    table[SPACE_GROUP] = find_space_groups(structures, symprec).numpy()
    labels = frame.drop(columns=[name for name in _GEOMETRY if name in frame.columns])
    return Crystals(structures, table.join(labels.loc[:, labels.notna().any()]), left_out)


def read_samples(source: str | Path, run: Run | None = None) -> Samples:
    """Read samples from a spec file.

    Args:
        source: file, ``.parquet`` or ``.csv``, as :meth:`gflownet_crystal.Samples.save` and the verb ``sample`` write.
        run: sampler that they come from, which knows their property and draws more; or None.

    Raises:
        DataError: the file is missing, lacks a column, or a cell does not fit its space group.

    Example:
        >>> gfc.read_samples("samples.parquet").place()
    """
    frame = read_specs(source)
    check_specs(frame)
    return Samples(frame, run)
