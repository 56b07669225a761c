"""CIFs of folders, read by this package and by gemmi's own reader; prints one JSON object.

    OMP_NUM_THREADS=1 python -m benchmarks.cif_folder folders=DIR,DIR [symprec=0.05] [most=0]

All files below the folders whose names end in ``.cif``, ``.mcif`` or ``.cif.gz`` are read, or the first ``most`` of
them if that is not 0. The other reading is gemmi's small structure, expanded by gemmi. They agree if their cells are
the same, each atom of one lies within 0.1 Å of an atom of that element of the other, their numbers are the same, and
spglib finds one space group in both at ``symprec`` (A). Printed are how many files agree, are refused, by reason, and
are read otherwise, with their names and the difference; exit status 1 if there are such. ``processor_seconds`` is the
time of this package's reading alone. Where gemmi gives no crystal, the file is counted as ``not_compared``.
"""

from __future__ import annotations

import gzip
import json
import re
import time
from collections import Counter
from pathlib import Path
from typing import Any

import gemmi
import numpy as np
import spglib
from scipy.spatial import cKDTree

from benchmarks.options import names, read_options, run
from gflownet_crystal.common.errors import ConfigError, DataError
from gflownet_crystal.structures.cif_reading import CifCrystal, read_cif

_DEFAULTS = {"symprec": "0.05", "most": "0"}
_ENDS = (".cif", ".mcif", ".cif.gz")
_SAME_ATOM, _SAME_LENGTH = 0.1, 1e-3
_SHOWN = 8


def files_of(folders: list[str], most: int) -> list[Path]:
    """The CIFs below folders.

    Raises:
        ConfigError: a folder is none, or has no CIF.
    """
    files: list[Path] = []
    for folder in map(Path, folders):
        if not folder.is_dir():
            raise ConfigError(f"no folder {folder}; give folders with CIFs")
        files += sorted(
            path for path in folder.rglob("*") if path.name.lower().endswith(_ENDS) and path.is_file()
        )
    if not files:
        raise ConfigError(f"no CIFs below {', '.join(folders)}; give folders with CIFs")
    return files[:most] if most else files


def read_by_gemmi(content: bytes) -> CifCrystal | None:
    """gemmi's reading of the one block with atoms; ``None`` where there is no such crystal."""
    try:
        document = gemmi.cif.read_string(content.decode("utf-8-sig", errors="replace"), 0)
        structures = [gemmi.make_small_structure_from_block(block) for block in document]
    except (ValueError, RuntimeError):
        return None
    structures = [structure for structure in structures if len(structure.sites)]
    if len(structures) != 1:
        return None
    sites = structures[0].get_all_unit_cell_sites()
    return CifCrystal(
        np.array(structures[0].cell.orth.mat.tolist()).T,
        np.array([site.element.atomic_number for site in sites], dtype=np.int64),
        np.array([site.fract.tolist() for site in sites]).reshape(-1, 3) % 1.0,
        0 if structures[0].spacegroup is None else structures[0].spacegroup.number,
    )


def difference(mine: CifCrystal, other: CifCrystal, symprec: float) -> str:
    """In words how two readings differ; empty if they agree."""
    if not np.allclose(mine.cell, other.cell, atol=_SAME_LENGTH):
        return "another cell"
    counts = [Counter(crystal.atomic_numbers.tolist()) for crystal in (mine, other)]
    if counts[0] != counts[1]:
        return f"{formula(mine)} here, {formula(other)} by gemmi"
    for element in counts[0]:
        points, others = (crystal.frac_coords[crystal.atomic_numbers == element] for crystal in (mine, other))
        shifts = np.stack(np.meshgrid(*[(-1, 0, 1)] * 3), axis=-1).reshape(-1, 3)
        images = (others[:, None] + shifts).reshape(-1, 3) @ mine.cell
        if cKDTree(images).query(points @ mine.cell)[0].max() > _SAME_ATOM:
            return f"{gemmi.Element(element).name} elsewhere"
    groups = [group_of(crystal, symprec) for crystal in (mine, other)]
    return "" if groups[0] == groups[1] else f"space group {groups[0]} here, {groups[1]} by gemmi"


def group_of(crystal: CifCrystal, symprec: float) -> int:
    """Space group by spglib; 0 where it finds none."""
    cell = (crystal.cell, crystal.frac_coords, crystal.atomic_numbers)
    dataset = spglib.get_symmetry_dataset(cell, symprec)
    return 0 if dataset is None else int(dataset.number)


def formula(crystal: CifCrystal) -> str:
    """Atoms of the cell."""
    counts = Counter(crystal.atomic_numbers.tolist())
    return " ".join(f"{gemmi.Element(element).name}{count}" for element, count in sorted(counts.items()))


def kind_of(reason: str) -> str:
    """A reason without the names and numbers of one file."""
    return re.sub(r"'[^']*'|\"[^\"]*\"", "...", re.sub(r"\d+(\.\d+)?", "#", reason))


def main(words: list[str]) -> None:
    """Read the folders of the command line."""
    options = read_options(__doc__, _DEFAULTS, words, ["folders"])
    symprec, counts = float(options["symprec"]), Counter[str]()
    reasons: dict[str, list[str]] = {}
    differing: dict[str, str] = {}
    seconds = 0.0
    for path in files_of(names(options, "folders"), int(options["most"])):
        opener: Any = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rb") as file:
            content = file.read()
        begun = time.process_time()
        try:
            crystal = read_cif(content, "")
        except DataError as error:
            counts["refused"] += 1
            reasons.setdefault(kind_of(str(error)[2:]), []).append(path.name)
            continue
        finally:
            seconds += time.process_time() - begun
        other = read_by_gemmi(content)
        fault = (
            difference(crystal, other, symprec) if other is not None and len(other.atomic_numbers) else None
        )
        counts["not_compared" if fault is None else "differ" if fault else "agree"] += 1
        if fault:
            differing[str(path)] = fault
    shown = {
        reason: {"files": len(found), "names": found[:_SHOWN]}
        for reason, found in sorted(reasons.items(), key=lambda pair: -len(pair[1]))
    }
    figures = {"files": counts.total(), **counts, "processor_seconds": round(seconds, 2)}
    print(json.dumps({**figures, "reasons": shown, "differing": differing}, indent=1))
    if differing:
        raise SystemExit(1)


if __name__ == "__main__":
    run(main)
