"""Pretrained potentials on labelled crystals.

    OMP_NUM_THREADS=1 python -m benchmarks.potentials potential=chgnet|sevenn version=VERSION data=FILE.parquet [n=200]

FILE holds crystals in the package's schema; of those with at most 12 atoms and, where it says so, of MP-20's val, ``n``
random ones are judged, and five of 6 to 10 atoms are relaxed. SevenNet's energies without corrections are shown too.
"""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from benchmarks.options import read_options, run
from gflownet_crystal.data.standardize import parameters_to_rows
from gflownet_crystal.models.energies.potentials import load_energies
from gflownet_crystal.models.energies.structure_energies import StructureEnergies
from gflownet_crystal.relaxation.changes import max_strain, rms_displacement
from gflownet_crystal.relaxation.relax import relax
from gflownet_crystal.relaxation.settings import RelaxationSettings
from gflownet_crystal.structures.convert import from_arrays, to_ase
from gflownet_crystal.structures.structure import StructureBatch

LARGEST, RELAXED, N_RELAXED = 12, (6, 10), 5


def crystals(path: str, n: int) -> tuple[StructureBatch, Tensor]:
    """Random crystals and their formation energies (n,), eV/atom."""
    frame = pd.read_parquet(path)
    if "mp20_split" in frame and (frame["mp20_split"] == "val").any():
        frame = frame[frame["mp20_split"] == "val"]
    frame = frame[frame["n_atoms"] <= LARGEST].sample(n, random_state=0)
    cells = parameters_to_rows(np.stack(frame["lattice"].to_list()))
    structures = from_arrays(cells, frame["atomic_numbers"].tolist(), frame["frac_coords"].tolist())
    return structures, torch.from_numpy(frame["formation_energy_per_atom"].to_numpy().copy())


def judge(energies: StructureEnergies, structures: StructureBatch, labels: Tensor, what: str) -> None:
    """Print the errors and the time of energies."""
    energies.predict(structures[:1])
    start = time.perf_counter()
    energy, _ = energies.predict(structures)
    seconds = (time.perf_counter() - start) / len(structures)
    error = (energy - labels)[energy.isfinite()]
    print(
        f"{what}: MAE {error.abs().mean():.4f}, median {error.abs().median():.4f}, mean {error.mean():+.4f} eV/atom "
        f"on {len(error)} of {len(structures)} crystals; {seconds:.3f} s each"
    )


def forces_and_relaxations(energies: StructureEnergies, structures: StructureBatch) -> None:
    """Print the time of forces, and how far crystals move."""
    few = structures[:N_RELAXED]
    calculator = energies.calculator()
    start = time.perf_counter()
    for atoms in to_ase(few):
        atoms.calc = calculator
        atoms.get_forces()
    print(f"energy, forces and stress: {(time.perf_counter() - start) / len(few):.3f} s each")
    for row in range(len(few)):
        given = few[row : row + 1]
        start = time.perf_counter()
        result = relax(given, energies, RelaxationSettings())
        seconds = time.perf_counter() - start
        formula = given.specs().reduced_formulas()[0]
        if result.structure is None or result.before is None or result.after is None:
            print(f"{formula:<12} failed: {result.reason}")
            continue
        strain = max_strain(given.cell[0].numpy(), result.structure.cell[0].numpy())
        print(
            f"{formula:<12} {result.status}, {result.steps} steps, {seconds:.1f} s: "
            f"{1000 * (result.after.energy - result.before.energy):+.1f} meV/atom, strain {strain:.4f}, "
            f"atoms {rms_displacement(given, result.structure):.4f} Å, volume "
            f"{100 * float(result.structure.volume[0] / given.volume[0] - 1):+.2f} %"
        )


def main(arguments: list[str]) -> None:
    """Judge and relax with one potential."""
    options = read_options(__doc__, {"n": "200"}, arguments, required=["potential", "version", "data"])
    name, version = options["potential"], options["version"]
    torch.set_num_threads(1)
    structures, labels = crystals(options["data"], int(options["n"]))
    energies = load_energies(name, version=version)
    if name == "sevenn":
        judge(load_energies(name, version=version, corrected=False), structures, labels, "uncorrected")
    judge(energies, structures, labels, f"{name} {version}")
    sizes = structures.n_atoms
    forces_and_relaxations(energies, structures[(sizes >= RELAXED[0]) & (sizes <= RELAXED[1])])


if __name__ == "__main__":
    run(main)
