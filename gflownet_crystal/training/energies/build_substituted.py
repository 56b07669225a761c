"""Make crystals by exchanging elements of known ones, for build_labels to label and train_energy to learn from.

    python -m gflownet_crystal.training.energies.build_substituted data=FILE.parquet,... out=FILE.parquet
        [without=FILE.parquet,...] [n=30000] [max_atoms=12] [denoise=denoiser_gemsnet] [passes=2] [seed=0]

An energy network that has only seen known crystals, most of them stable, predicts too low energies for unstable
ones. Elements of a known crystal are exchanged, once to three times, for others that take their places in known
crystals; passes of a denoiser then make the cell and the positions again. Crystals of MP-20's val are no start. A
formula that the data has with the same number of atoms is left out, and so are the reduced formulas of the files
``without``, which stay a test.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.common.programs import read_options, run
from gflownet_crystal.common.progress import Progress
from gflownet_crystal.common.run_schema import FORMULA, SPACE_GROUP
from gflownet_crystal.common.tables import read_parquets, write_parquet
from gflownet_crystal.data.schema import SUBSTITUTED
from gflownet_crystal.data.splits import reduced_formulas
from gflownet_crystal.generators.placing.denoised import denoised
from gflownet_crystal.models.denoiser import Denoiser
from gflownet_crystal.structures.checks import CLOSEST
from gflownet_crystal.structures.frames import frame_to_structures, structures_to_frame
from gflownet_crystal.structures.primitive import to_primitive
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.training.energies.substitution import Substitution

MOST_EXCHANGES = 3
AGAIN = 0.5
"""Probability of a further exchange after each but the last."""

_BATCH = 256
_OPTIONS = {
    "without": "", "n": "30000", "max_atoms": "12", "denoise": "denoiser_gemsnet", "passes": "2", "seed": "0",
}  # fmt: skip


def substituted(known: pd.DataFrame, n: int, max_atoms: int, seed: int) -> StructureBatch:
    """Known crystals with exchanged elements, each formula and number of atoms once, and none that is known.

    Args:
        known: known crystals in the columns of the package's schema; exchanges are counted in all of them.
        n: number of crystals to draw; fewer are given, as formulas repeat.
        max_atoms: largest number of atoms in the primitive cell.
        seed: random seed.

    Raises:
        DataError: no known crystal is small enough and outside of MP-20's val.
    """
    structures = to_primitive(frame_to_structures(known))
    groups = torch.from_numpy(known[SPACE_GROUP].to_numpy(dtype=np.int64).copy())
    starts = torch.from_numpy((known["mp20_split"] != "val").to_numpy(copy=True)) & (
        structures.n_atoms <= max_atoms
    )
    if not starts.any():
        raise DataError(f"no crystal of at most {max_atoms} atoms outside of MP-20's val")
    exchanges = Substitution(replace(structures, space_group=groups).specs())
    generator = torch.Generator().manual_seed(seed)
    rows = starts.nonzero()[:, 0]
    made = structures[rows[torch.randint(len(rows), (n,), generator=generator)]]
    done: list[StructureBatch] = []
    for _ in range(MOST_EXCHANGES):
        made = exchanges.in_structures(made, generator)
        again = torch.rand(len(made), generator=generator) < AGAIN
        done.append(made[(~again).nonzero()[:, 0]])
        made = made[again.nonzero()[:, 0]]
    made = StructureBatch.cat([*done, made])
    return made[torch.from_numpy(_is_new(made, structures))]


def _is_new(made: StructureBatch, known: StructureBatch) -> NDArray[np.bool_]:
    """Crystals of a formula that neither the known ones have nor an earlier one that was made."""
    formulas = pd.concat([structures_to_frame(part)[FORMULA] for part in (known, made)])
    return np.asarray(~formulas.duplicated().to_numpy()[len(known) :])


def made_again(structures: StructureBatch, denoiser: Denoiser, passes: int) -> StructureBatch:
    """Cells and positions after passes of a denoiser.

    Args:
        structures: n structures.
        denoiser: denoiser of lattices and positions.
        passes: number of passes.
    """
    batches = torch.arange(len(structures)).split(_BATCH)
    parts = []
    progress = Progress(len(batches), 0, "denoising")
    with progress, torch.no_grad():
        for rows in batches:
            part = structures[rows]
            for _ in range(passes):
                part = denoised(part, denoiser, CLOSEST)
            parts.append(part)
            progress.advance("")
    return StructureBatch.cat(parts)


def main(arguments: list[str]) -> None:
    """Read, exchange, denoise, write."""
    options = read_options(__doc__, _OPTIONS, arguments, required=["data", "out"])
    known = read_parquets(options["data"].split(","))
    made = substituted(known, int(options["n"]), int(options["max_atoms"]), int(options["seed"]))
    if kept_apart := options["without"]:
        tests = reduced_formulas(read_parquets(kept_apart.split(",")))
        test = np.isin(reduced_formulas(structures_to_frame(made)), tests)
        made = made[torch.from_numpy(~test)]
    made = made_again(made, Denoiser.from_weights(options["denoise"]), int(options["passes"]))
    write_parquet(Path(options["out"]), structures_to_frame(made, structure_source=SUBSTITUTED))
    print(f"{len(made)} crystals in {options['out']}")


if __name__ == "__main__":
    run(main)
