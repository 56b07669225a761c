"""Speed and exactness of GemsDiff on known crystals.

    OMP_NUM_THREADS=1 python -m benchmarks.gemsdiff data=FILE.parquet [n=64] [weights=NAME|FILE.safetensors]

FILE holds crystals in the columns ``lattice``, ``atomic_numbers`` and ``frac_coords``; rows with ``mp20_split`` val are
taken if there are any. Without weights, networks of both presets with random weights are timed: that costs the same.
Times are of one thread, in seconds of the processor.
"""

from __future__ import annotations

import time
from pathlib import Path

import torch

from benchmarks.options import read_options, run
from gflownet_crystal.common.tables import read_parquet
from gflownet_crystal.crystallography.lattice import matrix_to_parameters
from gflownet_crystal.generators.gemsdiff import GemsDiff
from gflownet_crystal.models.gemsdiff.lattice_diffusion import exp_cell, log_cell
from gflownet_crystal.models.gemsdiff.learned_cells import in_learned_cells
from gflownet_crystal.models.gemsdiff.model import GemsDiffModel
from gflownet_crystal.models.gemsdiff.settings import GemsDiffSettings
from gflownet_crystal.structures.frames import frame_to_structures
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.structures.symmetry import conventional_structures, symmetry_error

_DEFAULTS = {"n": "64", "weights": ""}
STEPS = 10
"""Steps that are timed; the figures are for all of the model's."""


def round_trip(structures: StructureBatch) -> None:
    """Exponential and logarithm of all cells."""
    wanted = matrix_to_parameters(structures.cell)
    found = matrix_to_parameters(exp_cell(log_cell(structures.cell)))
    lengths, angles = ((a - b).abs().max().item() for a, b in zip(wanted, found, strict=True))
    print(f"exp and log on {len(structures)} cells: lengths {lengths:.1e} Å, angles {angles:.1e} degrees")


def paper_mode(name: str, model: GemsDiffModel, structures: StructureBatch, batch_atoms: int) -> None:
    """Structures a second from compositions alone."""
    generator = GemsDiff(model, mode="paper", steps=STEPS, atoms=batch_atoms)
    generator.generate(structures[:2].specs())
    start = time.process_time()
    generator.generate(structures.specs())
    seconds = (time.process_time() - start) * model.settings.steps / STEPS
    mean = float(structures.n_atoms.double().mean())
    print(
        f"{name:24} {len(structures) / seconds:6.2f} structures/s at {model.settings.steps} steps, "
        f"{mean:.1f} atoms each, about {batch_atoms} atoms a batch"
    )


def spec_mode(model: GemsDiffModel, structures: StructureBatch) -> None:
    """Structures a second in the lattice and the group of specs, and how exact they are."""
    specs = conventional_structures(structures).specs()
    generator = GemsDiff(model, steps=STEPS, ranking=None, assignments=1, tries=1)
    start = time.process_time()
    made = generator.generate(specs)
    seconds = (time.process_time() - start) * model.settings.steps / STEPS
    exact = torch.equal(made.structures.composition, specs.composition[made.rows])
    errors = [
        (a - b[made.rows]).abs().max().item()
        for a, b in zip(
            matrix_to_parameters(made.structures.cell), (specs.lengths, specs.angles), strict=True
        )
    ]
    print(f"mode spec: at least {len(specs) / seconds:.2f} specs/s at {model.settings.steps} steps")
    print(
        f"placed {len(made.rows)} of {len(specs)}, compositions exact: {exact}, lattice {max(errors):.1e}, "
        f"symmetry error {symmetry_error(made.structures).max().item():.1e} Å"
    )


def main(arguments: list[str]) -> None:
    """Print the figures."""
    options = read_options(__doc__, _DEFAULTS, arguments, required=["data"])
    torch.set_num_threads(1)
    frame, weights = read_parquet(Path(options["data"])), options["weights"]
    if "mp20_split" in frame.columns and (frame["mp20_split"] == "val").any():
        frame = frame[frame["mp20_split"] == "val"]
    round_trip(frame_to_structures(frame.reset_index(drop=True)))
    chosen = frame_to_structures(frame.sample(int(options["n"]), random_state=0).reset_index(drop=True))
    learned = in_learned_cells(chosen)
    if weights:
        models = {weights: GemsDiffModel.from_weights(weights)}
    else:
        paper = GemsDiffSettings.paper()
        small = GemsDiffSettings.fast(
            recipe="paper", position_first=1e-6, position_last=2e-3, held=0.0, decoder_cell="cube"
        )
        models = {
            "own recipe, fast sizes": GemsDiffModel(GemsDiffSettings.fast()),
            "paper, fast sizes": GemsDiffModel(small),
            "paper, paper's sizes": GemsDiffModel(paper),
        }
    for name, model in models.items():
        if not weights:
            model.fit(learned)
        paper_mode(name, model, learned, 1024)
    paper_mode(
        name=next(iter(models)), model=next(iter(models.values())), structures=learned, batch_atoms=128
    )
    spec_mode(next(iter(models.values())), chosen)


if __name__ == "__main__":
    run(main)
