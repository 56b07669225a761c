"""Files of generated structures: batches kept, a table in the package's schema, extended XYZ, and a CIF each."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd

from gflownet_crystal.common.files import atomic_path, write_text
from gflownet_crystal.structures.cif import structures_to_cif
from gflownet_crystal.structures.convert import to_ase
from gflownet_crystal.structures.frames import frame_to_structures
from gflownet_crystal.structures.spec_io import REQUIRED_COLUMNS
from gflownet_crystal.structures.structure import StructureBatch

TABLE, XYZ, UNPLACED = "structures.parquet", "structures.extxyz", "unplaced.csv"
COLUMNS = (
    "material_id", "row", "try", "formula", "n_atoms", "space_group", "lattice", "atomic_numbers", "frac_coords",
    "formation_energy_per_atom", "distance_ratio",
)  # fmt: skip
"""Columns of the table: the spec's row, the try, energies in eV/atom where a judge was given, and the smallest distance
over summed covalent radii."""


def cif_texts(structures: StructureBatch) -> list[str]:
    """A CIF of each structure; one that claims no group stands in P1."""
    return structures_to_cif(replace(structures, space_group=structures.space_group.clamp(min=1)))


def write_generated(folder: Path, made: pd.DataFrame, specs: pd.DataFrame, with_cif: bool = True) -> str:
    """Write what was generated, and which specs were left out.

    Args:
        folder: for the files.
        made: structures with the columns of the table.
        specs: all specs; ``row`` of ``made`` is their index.
        with_cif: write ``cif/`` too.

    Returns:
        A summary in a few words.
    """
    from ase.io import write

    with atomic_path(folder / TABLE) as temporary:
        made[list(COLUMNS)].to_parquet(temporary, index=False)
    left_out = specs[~specs.index.isin(made["row"])]
    with atomic_path(folder / UNPLACED) as temporary:
        left_out[list(REQUIRED_COLUMNS)].rename_axis("row").to_csv(temporary)
    if len(made):
        structures = frame_to_structures(made)
        atoms = to_ase(structures)
        for one, name in zip(atoms, made["material_id"], strict=True):
            one.info["name"] = name
        with atomic_path(folder / XYZ) as temporary:
            write(temporary, atoms, format="extxyz")
        if with_cif:
            for name, text in zip(made["material_id"], cif_texts(structures), strict=True):
                write_text(folder / "cif" / f"{name}.cif", text)
    placed = made["row"].nunique()
    parts = [f"{len(made)} structures of {placed} specs in {folder}"]
    if len(left_out):
        parts.append(f"{len(left_out)} specs could not be placed, see {UNPLACED}")
    return "; ".join(parts)
