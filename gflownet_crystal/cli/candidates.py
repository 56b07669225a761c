"""The best samples as crystals with atoms: one table and one CIF each."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pandas as pd
import torch
from tqdm import tqdm

from gflownet_crystal.cli.generated import cif_texts
from gflownet_crystal.common.errors import DataError
from gflownet_crystal.common.files import atomic_path, write_text
from gflownet_crystal.evaluation.ranking import HULL_COLUMN, Selection, distinct_rows
from gflownet_crystal.generators.base import Generator
from gflownet_crystal.structures.spec_io import RESULT_COLUMNS, SPEC_COLUMNS, frame_to_specs
from gflownet_crystal.structures.structure import StructureBatch

TABLE = "candidates.csv"
_BATCH = 8
_OWN_NAME = re.compile(r"(cif/)?\d{3,}_([A-Z][a-z]?\d*)+\.cif")


@dataclass(frozen=True)
class Candidates:
    """The best crystals of a table.

    Attributes:
        frame: rank from 1, the columns of a spec file, e_above_hull (eV/atom) and the name of the CIF, which is NaN
            where there is none.
        structures: the atoms of those with a CIF, in the same order; conventional cells in the ITA setting.
        n_unplaced: better-ranked specs left out since their atoms could not be placed.
    """

    frame: pd.DataFrame
    structures: StructureBatch
    n_unplaced: int


def choose_candidates(
    frame: pd.DataFrame,
    k: int,
    generator: Generator,
    selection: Selection,
    *,
    seed: int = 0,
    device: torch.device | str = "cpu",
    quiet: bool = False,
) -> Candidates:
    """The best distinct specs of a table whose atoms can be placed.

    Args:
        frame: columns of a spec file and ``e_above_hull``.
        k: candidates wanted; there are fewer if the table runs out of specs.
        generator: places the atoms. A spec that it leaves out gives its rank to the next.
        selection: what is a duplicate.
        seed: of the placement.
        device: where atoms are placed.
        quiet: show no progress.

    Raises:
        DataError: a row is not a spec, or no row could be placed.
    """
    remaining = distinct_rows(frame, selection)
    placed: list[StructureBatch] = []
    rows: list[int] = []
    n_tried = 0
    with tqdm(total=k, desc="placing atoms", unit="crystal", disable=quiet or None) as bar:
        while batch := list(islice(remaining, min(_BATCH, k - len(rows)))):
            n_tried += len(batch)
            made = generator.generate(frame_to_specs(frame.iloc[batch], device), seed)
            placed.append(made.structures)
            rows += [batch[index] for index in made.rows.tolist()]
            bar.update(len(made.rows))
    if not rows:
        raise DataError(
            f"none of {n_tried} distinct samples could be placed: draw more samples or train longer"
        )
    structures = StructureBatch.cat(placed)
    return Candidates(_table(frame.iloc[rows], structures), structures, n_tried - len(rows))


def with_results(frame: pd.DataFrame) -> pd.DataFrame:
    """A table of specs with its results as numbers, NaN where a value is none.

    Raises:
        DataError: a column of a spec file is missing.
    """
    missing = [name for name in SPEC_COLUMNS if name not in frame.columns]
    if missing:
        raise DataError(
            f"the samples have no column {', '.join(missing)}: give a file that sample has written"
        )
    return frame.assign(**{name: pd.to_numeric(frame[name], errors="coerce") for name in RESULT_COLUMNS})


def write_candidates(folder: Path, candidates: Candidates) -> None:
    """Write one CIF a candidate, then the table; CIFs that an earlier table listed and this one does not are removed.

    Raises:
        DataError: the folder cannot be written.
    """
    names = candidates.frame["cif"].dropna().tolist()
    earlier = _listed(folder)
    for name, text in zip(names, cif_texts(candidates.structures), strict=True):
        write_text(folder / name, text)
    with atomic_path(folder / TABLE) as temporary:
        candidates.frame.to_csv(temporary, index=False)
    for name in earlier.difference(names):
        (folder / name).unlink(missing_ok=True)


def _table(frame: pd.DataFrame, structures: StructureBatch) -> pd.DataFrame:
    table = frame[[*SPEC_COLUMNS, HULL_COLUMN]].reset_index(drop=True)
    table.insert(0, "rank", range(1, len(frame) + 1))
    table["cif"] = cif_names(structures)
    return table


def cif_names(structures: StructureBatch) -> list[str]:
    """Names of the CIFs of ranked structures, best first: rank and reduced formula."""
    formulas = structures.specs().reduced_formulas()
    width = max(3, len(str(len(formulas))))
    return [f"{rank:0{width}d}_{formula}.cif" for rank, formula in enumerate(formulas, 1)]


def _listed(folder: Path) -> set[str]:
    """CIFs of an earlier table; only names that :func:`cif_names` gives, so that nothing else is touched."""
    try:
        names = pd.read_csv(folder / TABLE)["cif"].astype(str)
    except (OSError, ValueError, KeyError):
        return set()
    return {name for name in names if _OWN_NAME.fullmatch(name)}
