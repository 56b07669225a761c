"""Conversion of crystals to tables of specs, structures, energies of strained copies, and reference hulls."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import torch
from tqdm import tqdm

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.common.files import write_text
from gflownet_crystal.common.outputs import check_new, check_new_folder
from gflownet_crystal.common.run_schema import FORMULA, LEFT_OUT
from gflownet_crystal.common.tables import write_parquet
from gflownet_crystal.data.compounds import read_compounds
from gflownet_crystal.data.label_schemes import to_one_scheme
from gflownet_crystal.data.left_out import LeftOut
from gflownet_crystal.data.prepared_structures import prepared_structures
from gflownet_crystal.data.readers import read_source
from gflownet_crystal.data.schema import ENERGY_COLUMN
from gflownet_crystal.data.strain_energies import strained_energies
from gflownet_crystal.proxies.reference_hull import ReferenceHull
from gflownet_crystal.structures.formulas import text_to_composition
from gflownet_crystal.structures.writing import write_structures
from gflownet_crystal.workflows.data.tables import crystal_bar, read_prepared
from gflownet_crystal.workflows.settings.data import PrepareDataSettings


def prepare(settings: PrepareDataSettings) -> dict[str, object]:
    """Write the outputs that are asked for, and beside each a table of the records that were left out.

    Args:
        settings: settings of ``prepare_data``.

    Returns:
        Figures of the outputs, as JSON values.

    Raises:
        DataError: an output is there already, or a file cannot be read.
    """
    out, hull, formats = settings.out, settings.hull, settings.format
    for path, key in ((out, "out"), (hull, "hull")):
        if path is not None:
            (check_new_folder if formats and key == "out" else check_new)(path, key, settings.overwrite)
    left_out = LeftOut()
    done: dict[str, object] = {}
    if out is not None and settings.is_table:
        table = (_prepared if settings.strain is None else _strained)(settings, left_out)
        write_parquet(out, table)
        done |= {"out": str(out), "rows": len(table), "columns": list(table.columns)}
    elif out is not None:
        structures, values = prepared_structures(_prepared(settings, left_out, atoms=True), left_out)
        write_structures(out, structures, values, formats or None)
        done |= {"out": str(out), "structures": len(structures)}
    if hull is not None:
        done |= _write_hull(settings, hull, left_out)
    done["left_out"] = {"n": len(left_out), "reasons": left_out.counts()}
    folders = {out if formats and path == out else path.parent for path in (out, hull) if path is not None}
    for folder in folders:
        write_text(folder / LEFT_OUT, left_out.frame().to_csv(index=False))
    return done


def _write_hull(settings: PrepareDataSettings, out: Path, left_out: LeftOut) -> dict[str, object]:
    """Write the convex hull of the compounds of all sources; returns its figures."""
    sources = settings.source
    compounds = read_compounds(sources, settings.one_scheme, settings.formula_check, left_out)
    energy = torch.tensor(compounds[ENERGY_COLUMN].to_numpy(dtype="float64"))
    known = ReferenceHull(text_to_composition(compounds[FORMULA].tolist()), energy)
    with tqdm(total=len(known), desc="hull", unit="compound", disable=settings.quiet, file=sys.stderr) as bar:
        hull = known.stable(bar.update)
    if len(hull) == 0:
        raise DataError(
            f"no compound of {', '.join(map(str, sources))} has an energy below 0: there is no hull"
        )
    hull.write(out)
    return {"hull": str(out), "formulas": len(compounds), "stable": len(hull)}


def _prepared(settings: PrepareDataSettings, left_out: LeftOut, atoms: bool = False) -> pd.DataFrame:
    table = read_prepared(settings.source, settings.quiet, settings.formula_check, left_out, atoms=atoms)
    return to_one_scheme(table) if settings.one_scheme else table


def _strained(settings: PrepareDataSettings, left_out: LeftOut) -> pd.DataFrame:
    model = str(settings.strain)

    tables = [read_source(path, settings.formula_check, left_out) for path in settings.source]
    frame = pd.concat(tables, ignore_index=True)
    return strained_energies(
        frame, model, settings.strains, settings.seed, crystal_bar(model, settings.quiet)
    )
