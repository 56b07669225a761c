"""Relaxation in batches against a plain loop of ASE over the same disturbed crystals.

    OMP_NUM_THREADS=1 python -m benchmarks.relaxation model=NAME data=FILE [n=10] [batch=1,128] [symmetry=false]
        [torchsim=true]

FILE holds crystals in the package's schema; of those of MP-20's val, where it says so, ``n`` random ones are taken.
With ``symmetry=false`` their cells are strained by up to 3 % and their atoms displaced by 0.05 Å along each axis; with
``symmetry=true`` they are stretched by 3 % and keep their groups. The loop is ASE's FIRE on ``FrechetCellFilter`` with
the model's own calculator and, where symmetry is kept, ``FixSymmetry``. ``torchsim=true`` relaxes all of them together
by torch-sim's FIRE too: it needs the package torch-sim-atomistic and a model of SevenNet without modalities. Times are
of the processor, in one thread.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from importlib.util import find_spec

import numpy as np
import pandas as pd
import torch
from ase.constraints import FixSymmetry
from ase.filters import FrechetCellFilter
from ase.optimize import FIRE
from torch import Tensor

from benchmarks.options import read_options, run
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.data.standardize import parameters_to_rows
from gflownet_crystal.models.energies.potentials import load_energies
from gflownet_crystal.models.energies.structure_energies import StructureEnergies
from gflownet_crystal.relaxation.relax import relax_in_batches
from gflownet_crystal.relaxation.settings import RelaxationSettings
from gflownet_crystal.structures.convert import from_arrays, from_ase, to_ase
from gflownet_crystal.structures.structure import StructureBatch

STRAIN, DISPLACEMENT = 0.03, 0.05


@dataclass(frozen=True)
class Outcome:
    """Relaxations of n crystals.

    Attributes:
        energy: (n,) formation energies, eV/atom; NaN where a relaxation failed.
        steps: mean number of steps.
        seconds: processor time of a crystal.
    """

    energy: Tensor
    steps: float
    seconds: float


def disturbed_crystals(path: str, n: int, symmetric: bool) -> StructureBatch:
    """Random crystals, away from their minima."""
    frame = pd.read_parquet(path)
    if "mp20_split" in frame and (frame["mp20_split"] == "val").any():
        frame = frame[frame["mp20_split"] == "val"]
    frame = frame.sample(n, random_state=0)
    generator = np.random.default_rng(0)
    cells, points = [], []
    for cell, given in zip(
        parameters_to_rows(np.stack(frame["lattice"].to_list())), frame["frac_coords"], strict=True
    ):
        fractional = np.asarray(given).reshape(-1, 3)
        strain = generator.normal(size=(3, 3))
        strain = strain + strain.T
        strain *= STRAIN / np.abs(np.linalg.eigvalsh(strain)).max()
        moved = DISPLACEMENT * generator.normal(size=fractional.shape)
        if symmetric:
            strain, moved = STRAIN * np.eye(3), np.zeros_like(moved)
        cells.append(cell @ (np.eye(3) + strain))
        points.append(fractional + moved @ np.linalg.inv(cell))
    return from_arrays(cells, frame["atomic_numbers"].tolist(), points)


def by_ase(energies: StructureEnergies, structures: StructureBatch, settings: RelaxationSettings) -> Outcome:
    """A plain loop of ASE."""
    calculator = energies.calculator()
    calculator = getattr(calculator, "inner", calculator)
    relaxed, steps = [], []
    start = time.process_time()
    for atoms in to_ase(structures):
        atoms.calc = calculator
        if settings.symmetry:
            atoms.set_constraint(FixSymmetry(atoms, symprec=settings.symprec))
        optimizer = FIRE(FrechetCellFilter(atoms), logfile=None)
        optimizer.run(fmax=settings.fmax, steps=settings.steps)
        steps.append(optimizer.nsteps)
        plain = atoms.copy()
        plain.set_constraint()
        relaxed.append(plain)
    seconds = (time.process_time() - start) / len(relaxed)
    return Outcome(energies.predict(from_ase(relaxed))[0], float(np.mean(steps)), seconds)


def in_batches(
    energies: StructureEnergies, structures: StructureBatch, settings: RelaxationSettings
) -> Outcome:
    """The package's own relaxation."""
    single = [(row, structures[row : row + 1]) for row in range(len(structures))]
    start = time.process_time()
    done = {one.key: one.result for one in relax_in_batches(single, energies, settings)}
    seconds = (time.process_time() - start) / len(single)
    after = [done[row].after for row in range(len(single))]
    energy = torch.tensor([float("nan") if one is None else one.energy for one in after], dtype=torch.float64)
    return Outcome(energy, float(np.mean([one.steps for one in done.values()])), seconds)


def by_torch_sim(
    name: str, energies: StructureEnergies, structures: StructureBatch, settings: RelaxationSettings
) -> Outcome:
    """All crystals at once by torch-sim's FIRE with the same network.

    Raises:
        ConfigError: torch-sim is not installed, or the model is not of SevenNet.
    """
    package, _, version = name.partition(":")
    if package != "sevenn" or settings.symmetry or find_spec("torch_sim") is None:
        raise ConfigError(
            "torchsim=true needs model=sevenn:7net-0, symmetry=false and pip install torch-sim-atomistic"
        )
    import sevenn.calculator

    # torch-sim 0.3.0 looks for scripted networks by this name, which newer versions of SevenNet lack
    sevenn.calculator.torch_script_type = torch.jit.ScriptModule
    import torch_sim
    from torch_sim.models.sevennet import SevenNetModel

    network = sevenn.calculator.SevenNetCalculator(version or "7net-0", device="cpu").model
    model = SevenNetModel(network, device="cpu")
    evaluated: list[int] = []
    model.register_forward_hook(lambda _, __, found: evaluated.append(len(found["energy"])))
    start = time.process_time()
    relaxed = torch_sim.optimize(
        system=to_ase(structures),
        model=model,
        optimizer=torch_sim.frechet_cell_fire,
        convergence_fn=torch_sim.generate_force_convergence_fn(settings.fmax),
        max_steps=settings.steps,
        steps_between_swaps=1,
    )
    seconds = (time.process_time() - start) / len(structures)
    found = energies.predict(from_ase(relaxed.to_atoms()))[0]
    return Outcome(found, sum(evaluated) / len(structures), seconds)


def show(name: str, found: Outcome, plain: Outcome) -> None:
    """Print an outcome and how it compares to the loop."""
    difference = 1000 * (found.energy - plain.energy)
    difference = difference[difference.isfinite()]
    print(
        f"{name}: {found.seconds:.2f} s and {found.steps:.1f} steps a crystal, {plain.seconds / found.seconds:.2f} "
        f"times as fast; energies against the loop's: median {difference.median():+.2f}, from "
        f"{difference.min():+.2f} to {difference.max():+.2f} meV/atom, {int(found.energy.isnan().sum())} failed",
        flush=True,
    )


def main(arguments: list[str]) -> None:
    """Relax the same crystals in all ways."""
    options = read_options(
        __doc__,
        {"n": "10", "batch": "1,128", "symmetry": "false", "torchsim": "false"},
        arguments,
        required=["model", "data"],
    )
    torch.set_num_threads(1)
    symmetric = options["symmetry"] == "true"
    structures = disturbed_crystals(options["data"], int(options["n"]), symmetric)
    energies = load_energies(options["model"])
    settings = RelaxationSettings(symmetry=symmetric)
    # the first use of a model loads and compiles, which is no part of the times
    energies.predict(structures[:1])
    in_batches(energies, structures[:1], replace(settings, steps=1))
    plain = by_ase(energies, structures, settings)
    show("a plain loop of ASE", plain, plain)
    for atoms in options["batch"].split(","):
        show(
            f"batches of {atoms} atoms",
            in_batches(energies, structures, replace(settings, batch=int(atoms))),
            plain,
        )
    if options["torchsim"] == "true":
        show("torch-sim", by_torch_sim(options["model"], energies, structures, settings), plain)


if __name__ == "__main__":
    run(main)
