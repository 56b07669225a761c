"""Make the tables of the reward for discovery: the reference hull and the known compounds.

    python -m gflownet_crystal.proxies.build_discovery data=FILE.parquet,FILE.parquet out=FOLDER

``data`` are crystals with formula (or composition), space_group, formation_energy_per_atom, energy_source and, for
validation, e_above_hull and mp20_split, as the development data have them. Written are ``reference_hull`` and
``known_compounds``, a ``.safetensors`` file and a card each. Labels come to one scheme, and labels that contradict more
trusted ones are left out. The hull is measured on MP-20 val, with its formulas and without them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from gflownet_crystal.common.programs import read_options, run
from gflownet_crystal.common.run_schema import FORMULA, HULL_COLUMN, SPACE_GROUP
from gflownet_crystal.data.known_formulas import read_formulas
from gflownet_crystal.data.label_schemes import to_one_scheme
from gflownet_crystal.data.schema import ENERGY_COLUMN
from gflownet_crystal.data.splits import reduced_formulas, without_formulas
from gflownet_crystal.data.trusted_labels import AGREEMENT, TRUST, trusted_energies
from gflownet_crystal.proxies import known_compounds, reference_hull
from gflownet_crystal.proxies.chemical_systems import FEWEST_ENTRIES, SystemEntries
from gflownet_crystal.proxies.known_compounds import KnownCompounds
from gflownet_crystal.proxies.reference_hull import ReferenceHull
from gflownet_crystal.structures.composition_keys import KEY_BITS, formula_keys
from gflownet_crystal.structures.formulas import reduce_composition, text_to_composition
from gflownet_crystal.weights import save_weights

_COMMAND = "python -m gflownet_crystal.proxies.build_discovery"


def trusted_hull(table: pd.DataFrame) -> tuple[ReferenceHull, pd.DataFrame]:
    """The stable compounds of a table of labels in one scheme, and the energies that they were found among."""
    trusted = trusted_energies(table)
    energy = torch.tensor(trusted[ENERGY_COLUMN].to_numpy(dtype=np.float64))
    return ReferenceHull(text_to_composition(trusted[FORMULA].tolist()), energy).stable(), trusted


def hull_figures(hull: ReferenceHull, rows: pd.DataFrame) -> dict[str, object]:
    """Errors of energies above the hull of crystals against their labels, each crystal's own entry in the hull too."""
    composition = text_to_composition(rows[FORMULA].tolist())
    above = rows[ENERGY_COLUMN].to_numpy(dtype=np.float64) - hull.hull_energy(composition).numpy()
    error = np.maximum(above, 0.0) - rows[HULL_COLUMN].to_numpy(dtype=np.float64)
    return {
        "n": len(rows),
        "mae_e_above_hull": round(float(np.abs(error).mean()), 5),
        "bias": round(float(error.mean()), 5),
        "share_above_by_0.1": round(float((error > 0.1).mean()), 5),
    }


def distinct_crystals(composition: Tensor, space_group: Tensor) -> Tensor:
    """Rows of crystals that differ in formula or group, the first of each."""
    pairs = torch.stack([formula_keys(composition), space_group], dim=1)
    distinct, inverse = pairs.unique(dim=0, return_inverse=True)
    order = torch.arange(len(pairs)).flip(0)
    return torch.empty(len(distinct), dtype=torch.int64).scatter_(0, inverse[order], order)


def build_hull(table: pd.DataFrame, entries: SystemEntries) -> tuple[ReferenceHull, dict[str, object]]:
    """The hull of all rows, and its card."""
    table = to_one_scheme(table[table[ENERGY_COLUMN].notna()].reset_index(drop=True))
    hull, trusted = trusted_hull(table)
    hull.entries = entries
    rows = table[(table["mp20_split"] == "val") & table[HULL_COLUMN].notna()]
    validation = {}
    if len(rows):
        others, _ = trusted_hull(without_formulas(table, reduced_formulas(rows)))
        validation = {
            "mp20_val": hull_figures(hull, rows),
            "mp20_val_without_its_formulas": hull_figures(others, rows),
        }
    return hull, {
        "kind": reference_hull.KIND,
        "property": "hull energy",
        "unit": "eV/atom",
        "settings": {"trust": [list(kind) for kind in TRUST], "agreement": AGREEMENT},
        "samples_seen": len(table),
        "formulas": len(trusted),
        "disagreeing": int(trusted["disagree"].sum()),
        "stable": len(hull),
        "systems": len(entries.entries),
        "fewest_entries": FEWEST_ENTRIES,
        "validation": validation,
    }


def build_known(composition: Tensor, space_group: Tensor) -> tuple[KnownCompounds, dict[str, object]]:
    """The known compounds, and their card."""
    known = KnownCompounds.of(composition, space_group)
    formulas = len(reduce_composition(composition).unique(dim=0))
    return known, {
        "kind": known_compounds.KIND,
        "property": "known formulas and space groups",
        "unit": "1",
        "settings": {"bits_of_a_formula": KEY_BITS},
        "samples_seen": len(composition),
        "formulas": len(known.formulas),
        "formulas_with_groups": len(known),
        "validation": {
            "formulas_that_share_a_key": formulas - len(known.formulas),
            "probability_to_take_an_unknown_formula_for_known": len(known.formulas) / 2**KEY_BITS,
        },
    }


def main(arguments: list[str]) -> None:
    """Read, build, write."""
    options = read_options(__doc__, {}, arguments, required=["data", "out"])
    paths, folder = [Path(path) for path in options["data"].split(",")], Path(options["out"])
    table = read_formulas(paths).reindex(
        columns=[FORMULA, SPACE_GROUP, ENERGY_COLUMN, "energy_source", HULL_COLUMN, "mp20_split"]
    )
    composition = text_to_composition(table[FORMULA].tolist())
    space_group = torch.from_numpy(table[SPACE_GROUP].to_numpy(dtype=np.int64).copy())
    entries = SystemEntries.count(composition[distinct_crystals(composition, space_group)])
    names = [path.name for path in paths]
    origin = {"data": names, "command": f"{_COMMAND} data={','.join(names)} out={folder.name}"}
    hull, card = build_hull(table, entries)
    save_weights(folder / f"{reference_hull.KIND}.safetensors", hull.tensors(), card | origin)
    known, card = build_known(composition, space_group)
    save_weights(folder / f"{known_compounds.KIND}.safetensors", known.tensors(), card | origin)


if __name__ == "__main__":
    run(main)
