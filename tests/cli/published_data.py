"""Files of public data sets in the forms of the real ones, with a few crystals."""

from __future__ import annotations

import functools
import gzip
import io
import json

import pandas as pd
from pymatgen.core import Structure
from pymatgen.entries.computed_entries import ComputedStructureEntry
from pymatgen.io.cif import CifWriter

from tests.data.crystals import ENERGIES, KNOWN, conventional_structures

GROUPS = [group for _, group, *_ in KNOWN]
N = len(KNOWN)


@functools.cache
def primitive_structures() -> list[Structure]:
    return [crystal.get_primitive_structure() for crystal in conventional_structures()]


def mp20_csv(split: str, rows: list[int]) -> bytes:
    """A CSV as CDVAE publishes it: CIFs of primitive cells, beside columns that nobody needs."""
    crystals = [primitive_structures()[row] for row in rows]
    frame = pd.DataFrame(
        {
            "material_id": [f"mp-{split}-{row}" for row in rows],
            "formation_energy_per_atom": [ENERGIES[row] for row in rows],
            "band_gap": [0.5 * row for row in rows],
            "pretty_formula": [crystal.composition.reduced_formula for crystal in crystals],
            "e_above_hull": 0.01,
            "elements": "of no use, but long " * 10_000,
            "cif": [str(CifWriter(crystal)) for crystal in crystals],
            "spacegroup.number": [GROUPS[row] for row in rows],
        }
    )
    return frame.to_csv().encode()


def matbench_json(target: str, values: list[float]) -> bytes:
    """A file as MatBench publishes it."""
    whole = {
        "index": [f"mb-{number:06d}" for number in range(len(values))],
        "columns": ["structure", target],
        "data": [[s.as_dict(), v] for s, v in zip(conventional_structures(), values, strict=False)],
    }
    return gzip.compress(json.dumps(whole).encode())


def disordered() -> Structure:
    """A crystal that cannot be used."""
    crystal = conventional_structures()[0]
    crystal[0] = {"Na": 0.5, "K": 0.5}
    return crystal


def wbm_files() -> dict[str, bytes]:
    """Entries and summary as Matbench Discovery publishes them; a record of the entries is not in the summary."""
    lines, rows = [], []
    for number, crystal in enumerate([*conventional_structures(), disordered()]):
        entry = ComputedStructureEntry(crystal, -10.0, entry_id=f"wbm-1-{number}")
        lines.append(
            {
                "material_id": f"wbm-1-{number}",
                "formula_from_cse": "x",
                "computed_structure_entry": entry.as_dict(),
            }
        )
        rows.append({
            "material_id": f"wbm-1-{number}", "e_form_per_atom_wbm": -0.1 * number, "e_above_hull_wbm": 0.2,
            "bandgap_pbe": 1.0, "e_form_per_atom_mp2020_corrected": -0.1 * number - 0.05, "volume": 1.0,
        })  # fmt: skip
    text = "\n".join(json.dumps(line) for line in lines) + "\n"
    summary = io.StringIO()
    pd.DataFrame(rows[1:]).to_csv(summary, index=False)
    return {
        "wbm-computed-structure-entries.jsonl.gz": gzip.compress(text.encode()),
        "wbm-summary.csv.gz": gzip.compress(summary.getvalue().encode()),
    }


def published_files() -> dict[str, bytes]:
    """Files of all sets by name."""
    return {
        "train.csv": mp20_csv("train", [0, 1, 2, 3]),
        "val.csv": mp20_csv("val", [4, 5]),
        "test.csv": mp20_csv("test", [6, 7]),
        "matbench_mp_e_form.json.gz": matbench_json("e_form", list(ENERGIES)),
        "matbench_mp_gap.json.gz": matbench_json("gap pbe", [0.5 * row for row in range(N)]),
        "matbench_log_kvrh.json.gz": matbench_json("log10(K_VRH)", [float(row) for row in range(N)]),
        **wbm_files(),
    }
