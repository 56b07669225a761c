"""Tables in the package's schema from the files of public data sets, read a part at a time to spare memory."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path

import pandas as pd

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.common.run_schema import HULL_COLUMN
from gflownet_crystal.common.tables import read_csv
from gflownet_crystal.data.left_out import LeftOut
from gflownet_crystal.data.public_sets import PublicSet
from gflownet_crystal.data.pymatgen_json import matbench_rows, row_of_structure
from gflownet_crystal.data.readers import readable
from gflownet_crystal.data.rows import REASON, Row, rows_to_frame
from gflownet_crystal.data.schema import ENERGY_COLUMN
from gflownet_crystal.data.sources import SourceFile
from gflownet_crystal.data.structure_table import structure_table
from gflownet_crystal.data.tables import rows_of_cif_column

_ROWS = 2000
_DAMAGES = (OSError, EOFError, zlib.error, UnicodeDecodeError, json.JSONDecodeError, RecursionError)

Report = Callable[[int], None]
"""Receives the number of crystals of each part that was read."""


def public_tables(
    public: PublicSet, folder: Path, left_out: LeftOut, report: Report = lambda rows: None
) -> dict[str, pd.DataFrame]:
    """Tables of a public set by name.

    Args:
        public: data set.
        folder: folder of its files.
        left_out: collector of names and reasons of records that are no crystals.
        report: receives the progress.

    Returns:
        Tables with the columns of structures, ``formula``, ``n_atoms``, ``space_group`` (by moyo at 0.05 Å),
        ``energy_source``, ``mp20_split`` and the labels that the files have.

    Raises:
        DataError: a file is damaged or lacks a column.
    """
    paths = {file.name: folder / file.name for file in public.files}
    return FORMS[public.form](public.name, paths, left_out, report)


def _of_cdvae(
    name: str, paths: Mapping[str, Path], left_out: LeftOut, report: Report
) -> dict[str, pd.DataFrame]:
    """The splits of CDVAE's CSVs; the first table is train and val, so that nobody trains on test."""
    splits: dict[str, pd.DataFrame] = {}
    for path in paths.values():
        split = path.stem
        file, frame = SourceFile(path, "csv", f"{name}_{split}"), read_csv(path)
        parts = (
            rows_of_cif_column(frame.iloc[start : start + _ROWS].reset_index(drop=True), file)
            for start in range(0, len(frame), _ROWS)
        )
        splits[split] = _joined(parts, path, file.name, split, left_out, report)
    both = pd.concat([splits["train"], splits["val"]], ignore_index=True)
    return {name: both, **{f"{name}_{split}": table for split, table in splits.items()}}


def _of_matbench(
    name: str, paths: Mapping[str, Path], left_out: LeftOut, report: Report
) -> dict[str, pd.DataFrame]:
    (path,) = paths.values()
    return {name: _of_rows(matbench_rows(path, name), path, "matbench", left_out, report)}


def _of_wbm(
    name: str, paths: Mapping[str, Path], left_out: LeftOut, report: Report
) -> dict[str, pd.DataFrame]:
    """Relaxed structures with the labels of the summary, which leaves out suspicious records."""
    structures, summary = (
        next(path for file, path in paths.items() if word in file) for word in ("entries", "summary")
    )
    labels = read_csv(summary)
    missing = {"material_id", *_WBM_LABELS} - set(labels.columns)
    if missing:
        raise DataError(
            f"{summary} lacks the columns {', '.join(sorted(missing))}; delete it and fetch it again"
        )
    labels = labels[["material_id", *_WBM_LABELS]].rename(columns=_WBM_LABELS).set_index("material_id")
    known = dict(zip(labels.index, labels.to_dict("records"), strict=True))
    rows = _wbm_rows(structures, known)
    return {name: _of_rows(rows, structures, "wbm", left_out, report)}


_WBM_LABELS = {
    # energies as published by WBM, with the corrections of before 2020, as the package's figures have them
    "e_form_per_atom_wbm": ENERGY_COLUMN,
    "e_above_hull_wbm": HULL_COLUMN,
    "bandgap_pbe": "band_gap",
    "e_form_per_atom_mp2020_corrected": "formation_energy_per_atom_mp2020",
}


def _wbm_rows(path: Path, labels: Mapping[str, dict[str, object]]) -> Iterator[Row]:
    """One crystal a line."""
    try:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                record = json.loads(line)
                entry = record.get("computed_structure_entry", record)
                name = str(record.get("material_id", entry.get("entry_id", "")))
                if name in labels:
                    yield row_of_structure(entry.get("structure"), name, labels[name])
    except (*_DAMAGES, AttributeError) as error:
        raise DataError(f"cannot read {path}: {error}; delete it and fetch it again") from error


def _of_rows(rows: Iterator[Row], path: Path, source: str, left_out: LeftOut, report: Report) -> pd.DataFrame:
    """The table of crystals that are read one by one."""
    parts = (rows_to_frame(some) for some in iter(lambda: list(islice(rows, _ROWS)), []))
    return _joined(parts, path, source, "none", left_out, report)


def _joined(
    parts: Iterable[pd.DataFrame], path: Path, source: str, split: str, left_out: LeftOut, report: Report
) -> pd.DataFrame:
    """One table of checked rows that come in parts."""
    tables = []
    for rows in parts:
        if (rows[REASON] == "").any():
            tables.append(_table(readable(rows, path, left_out), source, split))
        else:
            left_out.add_rows(rows["material_id"], rows[REASON])
        report(len(rows))
    if not tables:
        raise DataError(f"{path} holds no crystals; delete it and fetch it again")
    return pd.concat(tables, ignore_index=True)


def _table(frame: pd.DataFrame, source: str, split: str) -> pd.DataFrame:
    """Table of crystals that were read, with their source and split."""
    origin = {"energy_source": source, "structure_source": source, "mp20_split": split}
    frame = frame.assign(**origin, energy_matches_structure=True)
    return structure_table(frame, "energy_matches_structure", *_WBM_LABELS.values(), *_OF_ELASTICITY)


_OF_ELASTICITY = ("log10(K_VRH)", "log10(G_VRH)")

FORMS: dict[str, Callable[[str, Mapping[str, Path], LeftOut, Report], dict[str, pd.DataFrame]]] = {
    "cdvae": _of_cdvae,
    "matbench": _of_matbench,
    "wbm": _of_wbm,
}
"""Readers of the formats of public sets."""
