"""Placement on known crystals.

    OMP_NUM_THREADS=1 python -m benchmarks.placement data=FILE.parquet [n=200]

FILE holds crystals in the columns ``lattice``, ``atomic_numbers`` and ``frac_coords``. Their conventional specs are
placed, and the atoms compared with the true ones.
"""

from __future__ import annotations

import time
import warnings

import numpy as np
import pandas as pd
import torch
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Lattice

from benchmarks.options import read_options, run
from gflownet_crystal.generators.placement import WyckoffPlacement
from gflownet_crystal.structures.convert import from_arrays, to_pymatgen
from gflownet_crystal.structures.distances import shortest_distance_ratio
from gflownet_crystal.structures.symmetry import conventional_structures, find_space_groups, symmetry_error


def main(arguments: list[str]) -> None:
    """Place ``n`` random crystals of a file and print the figures."""
    options = read_options(__doc__, {"n": "200"}, arguments, required=["data"])
    n = int(options["n"])
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    frame = pd.read_parquet(options["data"], columns=["lattice", "atomic_numbers", "frac_coords"])
    frame = frame.sample(n, random_state=0)
    cells = [Lattice.from_parameters(*parameters).matrix for parameters in frame["lattice"]]
    true = conventional_structures(
        from_arrays(cells, frame["atomic_numbers"].tolist(), frame["frac_coords"].tolist())
    )
    start = time.perf_counter()
    made = WyckoffPlacement().generate(true.specs())
    seconds = time.perf_counter() - start
    true, placed = true[made.rows], made.structures
    matcher = StructureMatcher(stol=0.5, ltol=0.3, angle_tol=10)
    primitive = [
        [structure.get_primitive_structure() for structure in to_pymatgen(batch)] for batch in (true, placed)
    ]
    matched = [matcher.fit(one, other) for one, other in zip(*primitive, strict=True)]
    quantiles = (0.0, 0.05, 0.5)
    print(f"placed                     {len(made.rows)} of {n}, {1000 * seconds / n:.0f} ms each")
    for tolerance in (1e-4, 0.01, 0.05):
        share = (find_space_groups(placed, tolerance) == true.space_group).double().mean().item()
        print(f"exact group at {tolerance:<6} Å    {share:.3f}")
    print(f"largest symmetry error     {symmetry_error(placed).max().item():.1e} Å")
    for name, batch in (("placed", placed), ("true", true)):
        ratios = np.quantile(shortest_distance_ratio(batch).numpy(), quantiles).round(3)
        print(f"distance / summed radii    {name}: least {ratios[0]}, 5 % {ratios[1]}, median {ratios[2]}")
    print(f"match the true crystal     {np.mean(matched):.3f}")


if __name__ == "__main__":
    run(main)
