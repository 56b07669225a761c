"""Whether generators keep to their specs. Prints one JSON object.

    OMP_NUM_THREADS=1 python -m benchmarks.exact_structures data=FILE.parquet|specs=FILE.parquet
        [generator=wyckoff,gemsdiff] [n=1000] [seed=0]

FILE of ``data`` holds crystals in the package's schema; specs are those of the conventional cells of n of them, of
MP-20's val if there are any. FILE of ``specs`` is a table of specs, as ``sample`` writes it, of which the first n are
taken.

Of each generator: specs that could be placed, and those that could not by row; among the placed, how many have another
composition than their spec's, the largest change of a lattice parameter (A, degrees), the largest distance by which an
operation of the group misses an atom (A), the shortest distance of two atoms, images included (A), how many are below
0.5 Å, and the share whose group is the spec's by moyo at three tolerances; seconds a structure.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.options import names, read_options, run
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.common.tables import read_parquet
from gflownet_crystal.config.build import build
from gflownet_crystal.config.compose import compose_config
from gflownet_crystal.crystallography.lattice import matrix_to_parameters
from gflownet_crystal.generators.base import Generator
from gflownet_crystal.structures.distances import shortest_distance
from gflownet_crystal.structures.formulas import composition_to_text
from gflownet_crystal.structures.frames import frame_to_structures
from gflownet_crystal.structures.spec import CrystalSpec
from gflownet_crystal.structures.spec_io import frame_to_specs, read_specs
from gflownet_crystal.structures.symmetry import conventional_structures, find_space_groups, symmetry_error

_DEFAULTS = {"generator": "wyckoff", "n": "1000", "seed": "0", "data": "", "specs": ""}
_CLOSEST = 0.5
_SYMPRECS = (1e-4, 0.01, 0.05)


def specs_to_place(options: dict[str, str]) -> CrystalSpec:
    """n specs, of crystals or of a table."""
    n = int(options["n"])
    if options["specs"]:
        return frame_to_specs(read_specs(Path(options["specs"])).head(n))
    frame = read_parquet(Path(options["data"]))
    if "mp20_split" in frame and (frame["mp20_split"] == "val").any():
        frame = frame[frame["mp20_split"] == "val"]
    frame = frame.sample(min(n, len(frame)), random_state=int(options["seed"])).reset_index(drop=True)
    return conventional_structures(frame_to_structures(frame)).specs()


def figures(name: str, specs: CrystalSpec, seed: int) -> dict[str, Any]:
    """Figures of one generator."""
    generator = build(compose_config("generate", [f"generator={name}"]).generator, Generator, "generator")
    start = time.perf_counter()
    generation = generator.generate(specs, seed)
    seconds = time.perf_counter() - start
    made, wanted = generation.structures, specs[generation.rows]
    lengths, angles = matrix_to_parameters(made.cell)
    closest = shortest_distance(made)
    missing = np.setdiff1d(np.arange(len(specs)), generation.rows.numpy())
    texts = composition_to_text(specs.composition)
    return {
        "placed": len(made),
        "of": len(specs),
        "not_placed": [f"{row}: {texts[row]} in {int(specs.space_group[row])}" for row in missing],
        "other_composition": int((made.composition != wanted.composition).any(1).sum()),
        "length_change": float((lengths - wanted.lengths).abs().max()),
        "angle_change": float((angles - wanted.angles).abs().max()),
        "symmetry_error": float(symmetry_error(made).max()),
        "shortest_distance": float(closest.min()),
        "too_close": int((closest < _CLOSEST).sum()),
        "exact_group": {
            f"{tolerance:g}": float(
                (find_space_groups(made, tolerance) == wanted.space_group).double().mean()
            )
            for tolerance in _SYMPRECS
        },
        "seconds_a_structure": round(seconds / max(1, len(made)), 4),
    }


def main(arguments: list[str]) -> None:
    """Place, measure and print."""
    options = read_options(__doc__, _DEFAULTS, arguments)
    if bool(options["data"]) == bool(options["specs"]):
        raise ConfigError("give either data=FILE.parquet or specs=FILE.parquet")
    torch.set_num_threads(1)
    specs, seed = specs_to_place(options), int(options["seed"])
    found = {name: figures(name, specs, seed) for name in names(options, "generator")}
    print(json.dumps({"options": options, **found}, indent=2))


if __name__ == "__main__":
    run(main)
