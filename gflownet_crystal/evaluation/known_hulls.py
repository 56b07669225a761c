"""The hull that judged structures are measured from: of a reference set's labels, shipped public labels, or a file."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow.parquet
import torch
from torch import Tensor

from gflownet_crystal.common.errors import ConfigError, DataError
from gflownet_crystal.common.run_schema import FORMULA
from gflownet_crystal.common.tables import DAMAGES, read_parquet
from gflownet_crystal.data.public_sets import data_path
from gflownet_crystal.data.schema import ENERGY_COLUMN
from gflownet_crystal.data.sources import kind_of
from gflownet_crystal.proxies.e_above_hull import REFERENCE, load_hull
from gflownet_crystal.proxies.hull import MAX_ELEMENTS, Hull
from gflownet_crystal.proxies.reference_hull import ReferenceHull
from gflownet_crystal.structures.formulas import text_to_composition


def known_hull(hull: str | None, reference: Path) -> tuple[Hull, str]:
    """A hull of known compounds, and a text on its source.

    Args:
        hull: ``reference`` for the shipped hull and the labels of the reference set, where that has some; a file or
            another name of :func:`~gflownet_crystal.proxies.e_above_hull.load_hull`; None for the labels alone.
        reference: file or folder of the reference set.

    Raises:
        ConfigError: ``hull`` is None, and the reference set has no labels.
        DataError: the file of a hull is none, or a formula of the reference set is malformed.
    """
    if hull is not None and hull != REFERENCE:
        return load_hull(hull), hull
    labels = labelled_formulas(reference)
    if hull is None:
        if labels is None:
            raise ConfigError(
                "stability needs a hull, and the reference has none of formula and formation energies; give "
                f"hull=reference, or hull=FILE, a Parquet file with formula and {ENERGY_COLUMN}"
            )
        return ReferenceHull(*labels), f"{len(labels[1])} labels of the reference set"
    shipped = ReferenceHull.from_weights()
    if labels is None:
        return shipped, "the shipped reference hull"
    joined = shipped.with_compounds(*labels)
    return joined, f"the shipped reference hull and {len(labels[1])} labels of the reference set"


def labelled_formulas(path: Path) -> tuple[Tensor, Tensor] | None:
    """Counts (m, 119) int64 and formation energies (m,) float64 in eV/atom of the crystals of a file that have some.

    Args:
        path: a file or folder of crystals, or the name of a public data set; only Parquet files have labels.

    Returns:
        The labels; None where there are none.

    Raises:
        DataError: the file is damaged, or a formula is malformed.
    """
    path = data_path(path)
    if not path.is_file() or kind_of(path) != "parquet":
        return None
    try:
        columns = pyarrow.parquet.read_schema(path).names
    except DAMAGES as error:
        raise DataError(f"cannot read {path} as Parquet: {error}; give another file") from error
    if not {FORMULA, ENERGY_COLUMN} <= set(columns):
        return None
    frame = read_parquet(path)
    energy = torch.tensor(pd.to_numeric(frame[ENERGY_COLUMN], errors="coerce").to_numpy(dtype="float64"))
    labelled = energy.isfinite()
    if not bool(labelled.any()):
        return None
    try:
        composition = text_to_composition(frame.loc[labelled.numpy(), FORMULA].tolist())
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    return composition, energy[labelled]


def known_entries(hull: Hull, composition: Tensor) -> Tensor | None:
    """Known crystals (n,) int64 that a hull rests on at compositions (n, 119); None where the hull does not know.

    Compositions of more elements than a hull takes have none.
    """
    entries = hull.entries if isinstance(hull, ReferenceHull) else None
    if entries is None:
        return None
    found = torch.zeros(len(composition), dtype=torch.int64)
    rows = ((composition > 0).sum(1) <= MAX_ELEMENTS).nonzero()[:, 0]
    if len(rows):
        found[rows] = entries.within(composition[rows])
    return found
