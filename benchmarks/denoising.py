"""Relaxations from rough crystals, with and without the pass of a denoiser. Prints one JSON object.

    OMP_NUM_THREADS=1 python -m benchmarks.denoising data=FILE.parquet [start=noise] [noise=0.05] [n=40] [atoms=12]
        [weights=denoiser_gemsnet] [energies=alignn] [steps=200] [seed=0]

n crystals of MP-20's val with at most ``atoms`` atoms are made rough: with ``start=noise`` their fractional coordinates
in the primitive cell get normal noise, projected on the symmetry of the crystal; else ``start`` is a config of the
group ``generator``, whose first try places the atoms of their specs in the true cells. Each is relaxed by ``energies``
twice, from the rough crystal and with ``denoise``. Beside steps, processor seconds and energies above the true crystal
(eV/atom, by the same model) stand the root mean square distances to the true crystal of those that pymatgen matches
before and after the pass alone (stol 0.5, in units of the cube root of the volume of an atom), and how many match.
"""

from __future__ import annotations

import json
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase.constraints import FixSymmetry
from numpy.typing import NDArray

from benchmarks.options import read_options, run
from gflownet_crystal.config.build import build
from gflownet_crystal.config.compose import compose_config
from gflownet_crystal.evaluation.matching import Pair, Tolerances, rms_distances
from gflownet_crystal.evaluation.parallel import Work
from gflownet_crystal.generators.base import Generator
from gflownet_crystal.models.energies.potentials import load_energies
from gflownet_crystal.relaxation.preparing import Prepared
from gflownet_crystal.relaxation.primitive_cell import PrimitiveCell
from gflownet_crystal.relaxation.relax import relax
from gflownet_crystal.relaxation.results import Relaxation
from gflownet_crystal.relaxation.settings import RelaxationSettings
from gflownet_crystal.structures.convert import from_ase, iterate_arrays, to_ase
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.structures.symmetry import conventional_structures
from gflownet_crystal.training.energies.labelled import read_labelled

_DEFAULTS = {"start": "noise", "noise": "0.05", "n": "40", "atoms": "12", "weights": "denoiser_gemsnet",
             "energies": "alignn", "steps": "200", "seed": "0"}  # fmt: skip
_SYMPREC = 0.01


def true_crystals(path: Path, n: int, atoms: int, seed: int) -> StructureBatch:
    """Conventional cells of n crystals of MP-20's val."""
    labelled = read_labelled([path])
    rows = np.random.default_rng(seed).permutation(np.flatnonzero(labelled.split == "val"))
    rows = rows[labelled.structures.n_atoms.numpy()[rows] <= atoms][:n]
    return conventional_structures(labelled.structures[torch.from_numpy(np.sort(rows))])


def primitive(structures: StructureBatch) -> StructureBatch:
    """The structures in primitive, reduced cells."""
    cells = [PrimitiveCell.of(structures[row : row + 1], _SYMPREC) for row in range(len(structures))]
    return StructureBatch.cat([cell.structure for cell in cells])


def shaken(structures: StructureBatch, deviation: float, seed: int) -> StructureBatch:
    """The structures with noise of a standard deviation in fractional coordinates, within their symmetry."""
    random = np.random.default_rng(seed)
    crystals = to_ase(structures)
    for atoms in crystals:
        atoms.set_constraint(FixSymmetry(atoms, symprec=_SYMPREC))
        noise = deviation * random.normal(size=(len(atoms), 3))
        atoms.set_positions(atoms.positions + noise @ atoms.cell.array)
        atoms.set_constraint()
    return from_ase(crystals)


def passed(structures: StructureBatch, weights: str) -> StructureBatch:
    """The structures after the denoiser's pass alone, within their symmetry."""
    settings = RelaxationSettings(primitive=False, denoise=weights)
    crystals = []
    for row in range(len(structures)):
        prepared = Prepared.of(structures[row : row + 1], settings)
        first = prepared.first
        moved = prepared.coordinates.start if first is None else prepared.coordinates.structures(first[None])
        crystals.append(moved)
    return StructureBatch.cat(crystals)


def distances(made: StructureBatch, true: StructureBatch) -> NDArray[np.float64]:
    """Root mean square distances to the true crystals, NaN without a match."""
    pairs = [Pair(*both) for both in zip(iterate_arrays(made), iterate_arrays(true), strict=True)]
    return rms_distances(pairs, Tolerances(), Work())[0].numpy()


def figures(ended: list[tuple[Relaxation, float]], true: NDArray[np.float64]) -> dict[str, Any]:
    """Steps, processor seconds and energies above the true crystals (eV/atom) of relaxations."""
    results = [result for result, _ in ended]
    after = np.array([np.nan if one.after is None else one.after.energy for one in results]) - true
    return {
        "converged": sum(one.status == "converged" for one in results),
        "steps_mean": float(np.mean([one.steps for one in results])),
        "seconds": sum(seconds for _, seconds in ended),
        "energy_mean": float(np.nanmean(after)),
        "energy_median": float(np.nanmedian(after)),
        "taken": sum(one.denoised for one in results),
    }


def main(arguments: list[str]) -> None:
    """Make rough, relax and print."""
    options = read_options(__doc__, _DEFAULTS, arguments, required=["data"])
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    seed, weights = int(options["seed"]), options["weights"]
    crystals = true_crystals(Path(options["data"]), int(options["n"]), int(options["atoms"]), seed)
    true = primitive(crystals)
    if options["start"] == "noise":
        rough = shaken(true, float(options["noise"]), seed)
    else:
        config = compose_config("generate", [f"generator={options['start']}"])
        if "tries" in config.generator:
            config.generator.tries = 1
        made = build(config.generator, Generator, "generator").generate(crystals.specs(), seed)
        rough, true = primitive(made.structures), true[made.rows]
    energies = load_energies(options["energies"])
    known = energies.predict(true)[0].numpy()
    ends: dict[str | None, list[tuple[Relaxation, float]]] = {None: [], weights: []}
    for row in range(len(rough)):
        for denoise, ended in ends.items():
            start = time.process_time()
            settings = RelaxationSettings(steps=int(options["steps"]), denoise=denoise)
            ended.append((relax(rough[row : row + 1], energies, settings), time.process_time() - start))
    better = passed(rough, weights)
    before, after = distances(rough, true), distances(better, true)
    both = np.isfinite(before) & np.isfinite(after)
    shown = {
        "options": options,
        "n": len(rough),
        "energy_rough_mean": float(np.nanmean(energies.predict(rough)[0].numpy() - known)),
        "energy_passed_mean": float(np.nanmean(energies.predict(better)[0].numpy() - known)),
        "matched": [int(np.isfinite(one).sum()) for one in (before, after)],
        "rms_of_both": [float(one[both].mean()) for one in (before, after)],
        "from_rough": figures(ends[None], known),
        "with_denoise": figures(ends[weights], known),
    }
    print(json.dumps(shown, indent=2))


if __name__ == "__main__":
    run(main)
