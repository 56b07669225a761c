"""Structures with formation energies, split by reduced formula."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.common.tables import read_parquet
from gflownet_crystal.data.label_schemes import to_one_scheme
from gflownet_crystal.data.left_out import LeftOut
from gflownet_crystal.data.quality import is_plausible
from gflownet_crystal.data.readers import map_files, read_file, readable
from gflownet_crystal.data.schema import ENERGY_COLUMN, STRUCTURE_COLUMNS
from gflownet_crystal.data.sources import SourceFile
from gflownet_crystal.data.splits import in_holdout
from gflownet_crystal.data.table_checks import check_strained
from gflownet_crystal.structures.checks import CLOSEST
from gflownet_crystal.structures.formulas import composition_to_text, reduce_composition
from gflownet_crystal.structures.frames import frame_to_structures
from gflownet_crystal.structures.periodic_pairs import usable
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.training.energies.strained import strained_copies


@dataclass(frozen=True)
class LabelledStructures:
    """n structures with their labels.

    Attributes:
        structures: n structures, cells as their source stores them.
        energy: (n,) float64, formation energy, eV/atom, all in the MaterialsProject2020 scheme.
        source: (n,) text, where each label comes from.
        formula: (n,) text, reduced formulas.
        split: (n,) text, MP-20's split (train, val, none).
    """

    structures: StructureBatch
    energy: Tensor
    source: NDArray[np.str_]
    formula: NDArray[np.str_]
    split: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.structures)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> LabelledStructures:
        """The structures of a mask or an index."""
        chosen = torch.from_numpy(np.arange(len(self))[rows])
        return LabelledStructures(
            self.structures[chosen],
            self.energy[chosen],
            self.source[rows],
            self.formula[rows],
            self.split[rows],
        )


@dataclass(frozen=True)
class Splits:
    """Structures in three parts; training shares no reduced formula with the others.

    Attributes:
        train: training data.
        validation: MP-20's val, or the held-out formulas where there is none.
        holdout: the other structures of held-out formulas.
    """

    train: LabelledStructures
    validation: LabelledStructures
    holdout: LabelledStructures


def read_labelled(
    paths: Sequence[Path],
    one_scheme: bool = True,
    strained: float = 1.0,
    seed: int = 0,
    left_out: LeftOut | None = None,
) -> LabelledStructures:
    """Read structures with energies.

    Rows without an energy (empty or NaN), of an impossible volume, or with atoms on top of each other are left out.

    Args:
        paths: files or folders that :func:`~gflownet_crystal.data.readers.read_source` reads, and strained-energies
            files of the crystals in them.
        one_scheme: bring labels with earlier corrections to the MaterialsProject2020 scheme.
        strained: average number of strained copies per crystal that has some.
        seed: random seed of the choice of strained copies.
        left_out: collector of names and reasons of unusable records; None raises at one that cannot be read.

    Raises:
        DataError: a file cannot be read, holds no structure with an energy, or one that is no finite number.
    """
    tables, strains = _read_tables(paths, left_out)
    table = pd.concat(tables, ignore_index=True)
    table = table[table[ENERGY_COLUMN].notna()].reset_index(drop=True)
    if table.empty:
        raise DataError(f"no structure with an energy in {', '.join(map(str, paths))}")
    structures = frame_to_structures(table)
    composition = structures.composition
    fractions = composition.double() / composition.sum(1, keepdim=True)
    plausible = is_plausible(fractions, structures.volume / structures.n_atoms)
    plausible = _keep(table, plausible, "a volume that no crystal of its elements has", left_out)
    table = table[plausible]
    copies = [strained_copies(table, rows, strained, seed, path) for path, rows in strains.items()]
    added = [frame_to_structures(rows) for rows in copies if len(rows)]
    structures = StructureBatch.cat([structures[torch.from_numpy(plausible)], *added])
    table = pd.concat([table, *copies], ignore_index=True)
    kept = _keep(table, usable(structures, CLOSEST).numpy(), f"atoms closer than {CLOSEST} Å", left_out)
    table, structures = table[kept].reset_index(drop=True), structures[torch.from_numpy(kept)]
    composition = reduce_composition(structures.composition)
    formula = np.array(composition_to_text(composition, separator="", write_one=False), dtype=np.str_)
    table = table.assign(formula=formula, energy_source=_text(table, "energy_source"))
    if one_scheme:
        table = to_one_scheme(table)
    energy = torch.from_numpy(table[ENERGY_COLUMN].to_numpy(dtype=np.float64).copy())
    return LabelledStructures(
        structures, energy, _text(table, "energy_source"), formula, _text(table, "mp20_split")
    )


def _keep(
    table: pd.DataFrame, kept: NDArray[np.bool_], reason: str, left_out: LeftOut | None
) -> NDArray[np.bool_]:
    """The mask of rows to keep, the others told to ``left_out``."""
    if left_out is not None:
        left_out.add_rows(table["material_id"], np.where(kept, "", reason).tolist())
    return kept


def _read_tables(
    paths: Sequence[Path], left_out: LeftOut | None
) -> tuple[list[pd.DataFrame], dict[Path, pd.DataFrame]]:
    """The tables of crystals, and those of strained cells."""
    strains: dict[Path, pd.DataFrame] = {}

    def read(file: SourceFile) -> list[pd.DataFrame]:
        frame = read_parquet(file.path) if file.kind == "parquet" else None
        if frame is not None and "delta_energy_per_atom" in frame.columns:
            strains[file.path] = check_strained(frame, None, file.path, left_out)
            return []
        rows = read_file(file, frame=frame)
        missing = {*STRUCTURE_COLUMNS, ENERGY_COLUMN} - set(rows.columns)
        if missing:
            raise DataError(
                f"{file.path} has no column {', '.join(sorted(missing))}: give structures with energies"
            )
        return [_with_structures(rows, file.path, left_out)]

    tables = [table for found in map_files(paths, read, left_out) for table in found]
    if not tables:
        raise DataError("strained energies need the file of their structures as well")
    return tables, strains


def _with_structures(rows: pd.DataFrame, path: Path, left_out: LeftOut | None) -> pd.DataFrame:
    """The rows that are structures."""
    _check_energies(rows)
    return readable(rows, path, left_out)


def split_labelled(
    data: LabelledStructures, holdout: float, seed: int = 0, max_atoms: int | None = None
) -> Splits:
    """Split by reduced formula, as the tables of specs are split.

    Args:
        data: all structures.
        holdout: share of all formulas held out in addition to MP-20's val.
        seed: random seed of the choice of formulas.
        max_atoms: largest cells to train on; None for all.

    Raises:
        DataError: nothing is left to train or to validate on.
    """
    held = in_holdout(data.formula, holdout, seed)
    validation = data.split == "val"
    if not validation.any():
        validation = held
    banned = np.isin(data.formula, np.unique(data.formula[validation]))
    train = ~banned & ~held
    if max_atoms is not None:
        train &= (data.structures.n_atoms <= max_atoms).numpy()
    if not train.any() or not validation.any():
        raise DataError(
            f"{int(train.sum())} structures to train and {int(validation.sum())} to validate on; "
            "give more data, a greater holdout, or rows with mp20_split val"
        )
    return Splits(data.take(train), data.take(validation), data.take(held & ~banned))


def _check_energies(table: pd.DataFrame) -> None:
    given = table[table[ENERGY_COLUMN].notna()]
    energy = pd.to_numeric(given[ENERGY_COLUMN], errors="coerce").to_numpy(dtype=np.float64)
    faulty = given["material_id"][~np.isfinite(energy)]
    if len(faulty):
        raise DataError(
            f"{ENERGY_COLUMN} of {len(faulty)} structure(s), {faulty.iloc[0]} the first, is no finite number: "
            "correct it, or leave it empty"
        )


def _text(table: pd.DataFrame, column: str) -> NDArray[np.str_]:
    if column not in table.columns:
        return np.full(len(table), "", dtype=np.str_)
    return table[column].fillna("").astype(str).to_numpy(dtype=np.str_)
