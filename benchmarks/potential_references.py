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
from ase.calculators.calculator import Calculator
from ase.data import reference_states
from ase.filters import FrechetCellFilter
from ase.optimize import FIRE

from benchmarks.options import names, read_options, run
from gflownet_crystal.common.files import read_json, write_json
from gflownet_crystal.data.standardize import parameters_to_rows
from gflownet_crystal.models.potentials import REFERENCES, load_energies
from gflownet_crystal.structures.elements import SYMBOLS

LOWEST, LARGEST_RELAXED = 4, 12
FMAX, STEPS, MAX_VOLUME_CHANGE = 0.03, 50, 0.2
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


def energy_per_atom(atoms: Atoms) -> float:
    """eV/atom; infinite where the potential refuses the crystal."""
    try:
        return float(atoms.get_potential_energy()) / len(atoms)
    except (ValueError, RuntimeError):
        return np.inf


def relaxed_energy(atoms: Atoms) -> float:
    """Energy per atom after a short relaxation; infinite if it runs away."""
    volume = atoms.get_volume()
    try:
        FIRE(FrechetCellFilter(atoms), logfile=None).run(fmax=FMAX, steps=STEPS)
    except (ValueError, RuntimeError):
        return np.inf
    return energy_per_atom(atoms) if abs(atoms.get_volume() / volume - 1) < MAX_VOLUME_CHANGE else np.inf


def reference(frame: pd.DataFrame, element: int, calculator: Calculator) -> tuple[float, str] | None:
    """Least energy of an element in eV/atom and its crystal; None where there is no crystal."""
    found = []
    for name, atoms in candidates(frame, element):
        atoms.calc = calculator
        found.append((energy_per_atom(atoms), name, atoms))
    found = sorted((entry for entry in found if np.isfinite(entry[0])), key=lambda entry: entry[0])
    if not found:
        return None
    energy, name, atoms = found[0]
    if len(atoms) <= LARGEST_RELAXED:
        energy = min(energy, relaxed_energy(atoms))
    # what a potential never saw in training it does not bind
    return (energy, name) if energy < 0.0 else None


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
        result = reference(frame, element, calculator)
        if result is not None:
            energies[SYMBOLS[element]], crystals[SYMBOLS[element]] = round(result[0], 5), result[1]
            seconds = time.perf_counter() - start
            print(f"{SYMBOLS[element]:<3} {result[0]:9.4f}  {result[1]:<12} {seconds:5.0f} s", flush=True)
    table = read_json(REFERENCES) if REFERENCES.is_file() else {}
    table[f"{name} {version}"] = {"energy": energies, "crystal": crystals}
    write_json(REFERENCES, dict(sorted(table.items())))
    print(f"{len(energies)} elements in {REFERENCES}")


if __name__ == "__main__":
    run(main)
