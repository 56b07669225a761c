"""Energies of the elements by a potential.

    python -m benchmarks.potential_references potential=chgnet|sevenn version=VERSION data=FILE.parquet,FILE.parquet

Potential and version are those of ``load_energies``; the files, one or more, hold crystals in the package's schema with
formation energies. Of each element the lowest few crystals of the files, and the metal structure that ASE lists for it,
get a single point; the lowest of them is relaxed. The least energy goes to
``gflownet_crystal/models/potential_references.json``, with the crystal it belongs to.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator

import numpy as np
import pandas as pd
import torch
from ase import Atoms
from ase.build import bulk
from ase.data import reference_states

from benchmarks.options import names, read_options, run
from gflownet_crystal.common.files import read_json, write_json
from gflownet_crystal.data.standardize import parameters_to_rows
from gflownet_crystal.models.energies.potentials import REFERENCES, load_energies
from gflownet_crystal.relaxation.elements import ElementSettings, least_energy
from gflownet_crystal.structures.elements import SYMBOLS

LOWEST = 4
RELAXATION = ElementSettings(fmax=0.03, steps=50, max_volume_change=0.2, largest=12)
METALS = ("fcc", "bcc", "hcp", "diamond", "sc")
COLUMNS = ["material_id", "lattice", "atomic_numbers", "frac_coords", "formation_energy_per_atom"]


def elemental_crystals(paths: list[str]) -> pd.DataFrame:
    """Crystals of one element, lowest first, with their atomic number as ``element``."""
    frame = pd.concat([pd.read_parquet(path, columns=COLUMNS) for path in paths], ignore_index=True)
    frame = frame[[len(set(numbers)) == 1 for numbers in frame["atomic_numbers"]]]
    frame = frame.assign(element=[int(numbers[0]) for numbers in frame["atomic_numbers"]])
    return frame.sort_values("formation_energy_per_atom")


def candidates(frame: pd.DataFrame, element: int) -> Iterator[tuple[str, Atoms]]:
    """Names and crystals that may be the ground state of an element."""
    for crystal in frame[frame["element"] == element].head(LOWEST).itertuples():
        lattice = np.asarray(crystal.lattice, dtype=np.float64)
        points = np.asarray(crystal.frac_coords, dtype=np.float64).reshape(-1, 3)
        cell = parameters_to_rows(lattice[None])[0]
        yield (
            str(crystal.material_id),
            Atoms(crystal.atomic_numbers, scaled_positions=points, cell=cell, pbc=True),
        )
    state = reference_states[element]
    # some of the listed cells need positions that ASE does not list
    if state is not None and state["symmetry"] in METALS and "basis" not in state:
        yield state["symmetry"], bulk(SYMBOLS[element])


def main(arguments: list[str]) -> None:
    """Compute the table of one potential."""
    options = read_options(__doc__, {}, arguments, required=["potential", "version", "data"])
    name, version = options["potential"], options["version"]
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    frame = elemental_crystals(names(options, "data"))
    calculator = load_energies(name, version=version).calculator()
    energies, crystals = {}, {}
    start = time.perf_counter()
    for element in range(1, 95):
        result = least_energy(candidates(frame, element), calculator, RELAXATION)
        if not result.reason:
            energies[SYMBOLS[element]], crystals[SYMBOLS[element]] = round(result.energy, 5), result.crystal
            seconds = time.perf_counter() - start
            print(
                f"{SYMBOLS[element]:<3} {result.energy:9.4f}  {result.crystal:<12} {seconds:5.0f} s",
                flush=True,
            )
    table = read_json(REFERENCES) if REFERENCES.is_file() else {}
    table[f"{name} {version}"] = {"energy": energies, "crystal": crystals}
    write_json(REFERENCES, dict(sorted(table.items())))
    print(f"{len(energies)} elements in {REFERENCES}")


if __name__ == "__main__":
    run(main)
