"""Finished relaxations: one line each in a file that only grows, and the tables and CIFs made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.common.files import atomic_path
from gflownet_crystal.common.metrics import reopened
from gflownet_crystal.common.run_schema import (
    CIF_FILE,
    ENERGY_AFTER,
    ENERGY_BEFORE,
    ENERGY_COLUMN,
    FORMULA,
    REASON,
    RELAXATIONS,
    RELAXED,
    RELAXED_CSV,
    SPACE_GROUP,
    STATUS,
)
from gflownet_crystal.common.tables import write_parquet
from gflownet_crystal.relaxation.changes import changes
from gflownet_crystal.relaxation.inputs import Item
from gflownet_crystal.relaxation.results import Relaxation, Status
from gflownet_crystal.structures.convert import from_arrays
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.structures.symmetry import conventional_structures
from gflownet_crystal.structures.writing import CIF, write_structures

_GEOMETRY = ("cell", "atomic_numbers", "frac_coords")
_COLUMNS = (
    "row", "name", FORMULA, STATUS, REASON, "steps", "denoised", "seconds", ENERGY_BEFORE, ENERGY_AFTER,
    "max_force_before", "max_force_after", "pressure_before", "pressure_after", "volume_change",
    "length_change", "angle_change", "max_strain", "rms_displacement", "max_displacement",
    "space_group_before", "space_group_after", CIF_FILE,
)  # fmt: skip


@dataclass(frozen=True)
class Record:
    """A finished relaxation: energies in eV/atom, forces in eV/Å, pressures in GPa, lengths in Å, angles in degrees.

    Attributes:
        row: row of the crystal among all.
        name: name of the crystal.
        formula: formula of its cell; "" where it could not be read.
        status: ``converged``, ``not_converged`` or ``failed``.
        reason: reason of a failure, else empty.
        steps: number of steps.
        seconds: duration.
        denoised: whether it started from the pass of a denoiser.
        energy_before: formation energy as given; this and the three that follow are None where it failed at once.
        max_force_before: largest force on an atom.
        pressure_before: pressure of the cell.
        space_group_before: space group.
        energy_after: formation energy after it; this and all that follow are None where it failed.
        max_force_after: largest force on an atom.
        pressure_after: pressure of the cell.
        space_group_after: space group.
        volume_change: relative change of the volume; see :func:`~gflownet_crystal.relaxation.changes.changes`.
        length_change: largest relative change of a cell length.
        angle_change: largest change of a cell angle.
        max_strain: largest relative change in length of a direction.
        rms_displacement: root mean square of the displacements.
        max_displacement: largest displacement.
        cell: (3, 3) lattice vectors.
        atomic_numbers: (n,) atomic numbers.
        frac_coords: (3 n,) fractional coordinates.
    """

    row: int
    name: str
    formula: str
    status: Status
    reason: str
    steps: int
    seconds: float
    denoised: bool = False
    energy_before: float | None = None
    max_force_before: float | None = None
    pressure_before: float | None = None
    space_group_before: int | None = None
    energy_after: float | None = None
    max_force_after: float | None = None
    pressure_after: float | None = None
    space_group_after: int | None = None
    volume_change: float | None = None
    length_change: float | None = None
    angle_change: float | None = None
    max_strain: float | None = None
    rms_displacement: float | None = None
    max_displacement: float | None = None
    cell: list[list[float]] | None = None
    atomic_numbers: list[int] | None = None
    frac_coords: list[float] | None = None

    @property
    def is_relaxed(self) -> bool:
        """Whether there is a relaxed crystal."""
        return self.cell is not None

    def as_json(self) -> dict[str, object]:
        """The values that there are."""
        return {name: value for name, value in vars(self).items() if value is not None}


class RecordsFile:
    """The records of a folder, in the order in which they were finished.

    Args:
        folder: folder of the records; a line cut off by a kill is removed.

    Raises:
        DataError: the file cannot be read or written.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / RELAXATIONS
        self._file, lines = reopened(path)
        names = {field.name for field in fields(Record)}
        try:
            self.records = [
                Record(**{name: value for name, value in stored.items() if name in names}) for stored in lines
            ]
        except (AttributeError, TypeError) as error:
            raise DataError(
                f"{path} has a line that is not from a relaxation; give another out=..."
            ) from error

    def add(self, record: Record) -> None:
        """Append one record; it is on disk when this returns."""
        self._file.write(record.as_json())
        self._file.settle()
        self.records.append(record)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def to_record(row: int, item: Item, result: Relaxation, seconds: float) -> Record:
    """Record of a relaxation.

    Args:
        row: row of the item among all.
        item: relaxed item.
        result: result of its relaxation.
        seconds: duration.
    """
    formula = "" if item.structure is None else item.structure.specs().formulas()[0]
    values: dict[str, Any] = {"denoised": result.denoised}
    for when, state in (("before", result.before), ("after", result.after)):
        if state is not None:
            values |= {f"{name}_{when}": value for name, value in vars(state).items()}
    if result.structure is not None and item.structure is not None:
        values |= changes(item.structure, result.structure) | _geometry(result.structure)
    seconds = round(seconds, 3)
    return Record(row, item.name, formula, result.status, result.reason, result.steps, seconds, **values)


def _geometry(structure: StructureBatch) -> dict[str, object]:
    return {
        "cell": structure.cell[0].tolist(),
        "atomic_numbers": structure.atomic_numbers.tolist(),
        "frac_coords": structure.fractional.flatten().tolist(),
    }


def write_results(
    folder: Path,
    records: Sequence[Record],
    model: str,
    symprec: float,
    formats: Sequence[str] = (CIF,),
) -> None:
    """Write the tables of all records, and the structures of those that did not fail.

    Args:
        folder: folder for ``relaxed.csv``, ``relaxed.parquet`` (the schema of :mod:`gflownet_crystal.data.schema`) and
            files of structures.
        records: records in any order.
        model: the name of the energies.
        symprec: tolerance with which space groups are found, Å: CIFs have the cell in the setting of the group, other
            formats the one that was given.
        formats: file formats of the structures, CIF among them, see :mod:`gflownet_crystal.structures.writing`.
    """
    ordered = sorted(records, key=lambda record: record.row)
    width = max(3, len(str(len(ordered))))
    table, rows, relaxed = [], [], []
    for record in ordered:
        shown = {name: getattr(record, name, None) for name in _COLUMNS}
        if record.is_relaxed:
            structure = structure_of(record)
            name = f"{record.row + 1:0{width}d}_{structure.specs().reduced_formulas()[0]}.cif"
            shown[CIF_FILE] = f"cif/{name}"
            rows.append(_schema_row(record, structure, model))
            relaxed.append(structure)
        table.append(shown)
    frame = pd.DataFrame(table, columns=list(_COLUMNS))
    if relaxed:
        schema = pd.DataFrame(rows)
        values = schema.assign(**{CIF: frame[CIF_FILE].dropna().to_numpy()}).drop(columns=FORMULA)
        settings = StructureBatch.cat([in_setting(structure, symprec) for structure in relaxed])
        write_structures(folder, settings, values, [CIF])
        others = [name for name in formats if name != CIF]
        write_structures(folder, StructureBatch.cat(relaxed), values, others)
        write_parquet(folder / RELAXED, schema)
    whole = [name for name in _COLUMNS if name == "steps" or name.startswith("space_group")]
    with atomic_path(folder / RELAXED_CSV) as temporary:
        frame.astype(dict.fromkeys(whole, "Int64")).to_csv(temporary, index=False)


def structure_of(record: Record) -> StructureBatch:
    """The relaxed crystal of a record, in the cell that was given."""
    cell, numbers, points = (np.array(getattr(record, name)) for name in _GEOMETRY)
    return from_arrays(cell[None], [numbers], [points.reshape(-1, 3)])


def in_setting(structure: StructureBatch, symprec: float) -> StructureBatch:
    """The crystal in the ITA setting of its group; where none is found, as it is, without one."""
    try:
        return conventional_structures(structure, symprec)
    except DataError:
        return structure


def _schema_row(record: Record, structure: StructureBatch, model: str) -> dict[str, object]:
    specs = structure.specs()
    return {
        "material_id": record.name,
        FORMULA: specs.formulas()[0],
        "n_atoms": len(structure.atomic_numbers),
        SPACE_GROUP: record.space_group_after,
        "lattice": [*specs.lengths[0].tolist(), *specs.angles[0].tolist()],
        "atomic_numbers": record.atomic_numbers,
        "frac_coords": record.frac_coords,
        ENERGY_COLUMN: record.energy_after,
        "energy_source": model,
        "structure_source": f"relaxed with {model}",
        STATUS: record.status,
    }
