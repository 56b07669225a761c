"""Finished relaxations: one line each in a file that only grows, and the tables and CIFs made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.common.files import atomic_path
from gflownet_crystal.common.metrics import MetricsFile, read_metrics
from gflownet_crystal.common.tables import write_parquet
from gflownet_crystal.relaxation.changes import changes
from gflownet_crystal.relaxation.inputs import Item
from gflownet_crystal.relaxation.relax import Relaxation
from gflownet_crystal.structures.convert import from_arrays
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.structures.symmetry import conventional_structures
from gflownet_crystal.structures.writing import CIF, write_structures

RECORDS, TABLE, STRUCTURES = "records.jsonl", "relaxed.csv", "relaxed.parquet"

_GEOMETRY = ("cell", "atomic_numbers", "frac_coords")
_COLUMNS = (
    "row", "name", "formula", "status", "reason", "steps", "denoised", "seconds", "energy_before", "energy_after",
    "max_force_before", "max_force_after", "pressure_before", "pressure_after", "volume_change",
    "length_change", "angle_change", "max_strain", "rms_displacement", "max_displacement",
    "space_group_before", "space_group_after", "cif",
)  # fmt: skip


class RecordsFile:
    """The records of a folder, in the order in which they were finished.

    Args:
        folder: folder of the records; a line cut off by a kill is removed.

    Raises:
        DataError: the file cannot be read or written.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / RECORDS
        whole = path.read_bytes().rfind(b"\n") + 1 if path.is_file() else 0
        self._file = MetricsFile(path, whole)
        self.records = read_metrics(path)

    def add(self, record: dict[str, Any]) -> None:
        """Append one record; it is on disk when this returns."""
        self._file.write(record)
        self._file.settle()
        self.records.append(record)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def to_record(row: int, item: Item, result: Relaxation, seconds: float) -> dict[str, Any]:
    """Record of a relaxation, as JSON values; energies in eV/atom, pressures in GPa, lengths in Å.

    Args:
        row: row of the item among all.
        item: relaxed item.
        result: result of its relaxation.
        seconds: that it took.
    """
    formula = "" if item.structure is None else item.structure.specs().formulas()[0]
    record: dict[str, Any] = {"row": row, "name": item.name, "formula": formula, "status": result.status}
    record |= {
        "reason": result.reason,
        "steps": result.steps,
        "denoised": result.denoised,
        "seconds": round(seconds, 3),
    }
    for when, state in (("before", result.before), ("after", result.after)):
        if state is not None:
            record |= {f"{name}_{when}": value for name, value in vars(state).items()}
    if result.structure is not None and item.structure is not None:
        record |= changes(item.structure, result.structure) | _geometry(result.structure)
    return record


def _geometry(structure: StructureBatch) -> dict[str, Any]:
    return {
        "cell": structure.cell[0].tolist(),
        "atomic_numbers": structure.atomic_numbers.tolist(),
        "frac_coords": structure.fractional.flatten().tolist(),
    }


def write_results(
    folder: Path,
    records: Sequence[Mapping[str, Any]],
    model: str,
    symprec: float,
    formats: Sequence[str] = (CIF,),
) -> None:
    """Write the tables of all records, and the structures of those that did not fail.

    Args:
        folder: folder for ``relaxed.csv``, ``relaxed.parquet`` (the schema of :mod:`gflownet_crystal.data.schema`) and
            files of structures.
        records: records of :func:`to_record`, in any order.
        model: the name of the energies.
        symprec: Å, with which space groups are found: CIFs have the cell in the setting of the group, other formats the
            one that was given.
        formats: file formats of the structures, CIF among them, see :mod:`gflownet_crystal.structures.writing`.
    """
    ordered = sorted(records, key=lambda record: record["row"])
    width = max(3, len(str(len(ordered))))
    table, rows, relaxed = [], [], []
    for record in ordered:
        shown = {name: record.get(name) for name in _COLUMNS}
        if "cell" in record:
            structure = structure_of(record)
            name = f"{record['row'] + 1:0{width}d}_{structure.specs().reduced_formulas()[0]}.cif"
            shown["cif"] = f"cif/{name}"
            rows.append(_schema_row(record, structure, model))
            relaxed.append(structure)
        table.append(shown)
    frame = pd.DataFrame(table, columns=list(_COLUMNS))
    if relaxed:
        schema = pd.DataFrame(rows)
        values = schema.assign(**{CIF: frame["cif"].dropna().to_numpy()}).drop(columns="formula")
        settings = StructureBatch.cat([in_setting(structure, symprec) for structure in relaxed])
        write_structures(folder, settings, values, [CIF])
        others = [name for name in formats if name != CIF]
        write_structures(folder, StructureBatch.cat(relaxed), values, others)
        write_parquet(folder / STRUCTURES, schema)
    whole = [name for name in _COLUMNS if name == "steps" or name.startswith("space_group")]
    with atomic_path(folder / TABLE) as temporary:
        frame.astype(dict.fromkeys(whole, "Int64")).to_csv(temporary, index=False)


def structure_of(record: Mapping[str, Any]) -> StructureBatch:
    """The relaxed crystal of a record, in the cell that was given."""
    cell, numbers, points = (np.array(record[name]) for name in _GEOMETRY)
    return from_arrays(cell[None], [numbers], [points.reshape(-1, 3)])


def in_setting(structure: StructureBatch, symprec: float) -> StructureBatch:
    """The crystal in the ITA setting of its group; where none is found, as it is, without one."""
    try:
        return conventional_structures(structure, symprec)
    except DataError:
        return structure


def _schema_row(record: Mapping[str, Any], structure: StructureBatch, model: str) -> dict[str, Any]:
    specs = structure.specs()
    return {
        "material_id": record["name"],
        "formula": specs.formulas()[0],
        "n_atoms": len(structure.atomic_numbers),
        "space_group": record["space_group_after"],
        "lattice": [*specs.lengths[0].tolist(), *specs.angles[0].tolist()],
        "atomic_numbers": record["atomic_numbers"],
        "frac_coords": record["frac_coords"],
        "formation_energy_per_atom": record["energy_after"],
        "energy_source": model,
        "structure_source": f"relaxed with {model}",
        "status": record["status"],
    }
