"""Structure prediction on MP-20's val. Prints one JSON object.

    OMP_NUM_THREADS=1 python -m benchmarks.wyckoff_sampler data=FILE.parquet [n=300] [tries=20] [seed=0] [steps=30]
        [hurry=30] [weights=wyckoff] [ranking=assignments] [energies=NAME] [processes=1]

FILE holds crystals in the package's schema with the column ``mp20_split``; n of those of val are taken at random. The
lattice, the group and the counts of their conventional cells are given. Rows of the table:

    true letters, random      free parameters at random on the true Wyckoff positions
    true letters              those of the sampler on the true Wyckoff positions
    ranked                    the sampler as it is, with Wyckoff positions of its own; left out with ranking=none

For each: the share of crystals that the first try matches, any of the tries, and the one with the largest shortest
distance over radii (with energies=NAME, the lowest energy), by pymatgen's StructureMatcher (stol 0.5, ltol 0.3,
angle_tol 10). As in published figures, a try matches where ``get_rms_dist`` finds a root mean square distance within
stol; ``first_strict`` is the share of first tries whose largest distance is within it too. Beside them are the mean
RMSE of first tries that match, in units of the cube root of the volume of an atom, the shares by number of free
parameters, and structures per second without the matching.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pymatgen.analysis.structure_matcher import StructureMatcher
from torch import Tensor

from gflownet_crystal.generators.orbit_spacing import Orbits
from gflownet_crystal.generators.orbit_tables import orbit_tables
from gflownet_crystal.generators.wyckoff_sampler import WyckoffSampler, made
from gflownet_crystal.models.potentials import load_energies
from gflownet_crystal.structures.batching import cut_by_atoms
from gflownet_crystal.structures.convert import to_pymatgen
from gflownet_crystal.structures.distances import shortest_distance_ratio
from gflownet_crystal.structures.primitive import to_primitive
from gflownet_crystal.structures.spec import CrystalSpec
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.training.assignment_data import OccupiedSpecs
from gflownet_crystal.training.labelled import read_labelled
from gflownet_crystal.training.site_data import SiteData, n_free_bins, uniform_parameters

_DEFAULTS = {"data": "", "n": "300", "tries": "20", "seed": "0", "steps": "30", "hurry": "30", "processes": "1",
             "weights": "wyckoff", "ranking": "assignments", "energies": "none"}  # fmt: skip
_PAIRS = 6000
_STOL = 0.5


def read_specs(path: Path, n: int, seed: int) -> OccupiedSpecs:
    """n crystals of MP-20's val."""
    labelled = read_labelled([path])
    rows = np.random.default_rng(seed).permutation(np.flatnonzero(labelled.split == "val"))[:n]
    return OccupiedSpecs.of(labelled.structures[torch.from_numpy(np.sort(rows))])[0]


def match(pair: tuple[Any, list[Any]]) -> list[tuple[float, float]]:
    """Root mean square and largest distance of each try of a crystal, infinite where it does not match."""
    warnings.simplefilter("ignore")
    matcher = StructureMatcher(stol=_STOL, ltol=0.3, angle_tol=10)
    crystal, tries = pair
    found = [None if one is None else matcher.get_rms_dist(crystal, one) for one in tries]
    return [(np.inf, np.inf) if one is None else (float(one[0]), float(one[1])) for one in found]


def true_letters(
    sampler: WyckoffSampler, data: SiteData, tries: int, seed: int, follow: bool
) -> StructureBatch:
    """Tries of crystals on their own positions, those of a crystal together; ``follow``: by the flow."""
    rows = torch.arange(len(data)).repeat_interleave(tries)
    generator = torch.Generator().manual_seed(seed)
    parts = []
    for batch in cut_by_atoms(torch.arange(len(rows)), data.n_pairs[rows], _PAIRS):
        own = data.take(rows[batch])
        start = uniform_parameters(own.graph(), generator)
        sites, cell = own.occupied, own.lattices.cell
        orbits = Orbits(sites.structure, sites.structure, sites.position, sites.atomic_number, start)
        if follow:
            orbits = sampler.sample(cell, own.space_group, orbits)
        parts.append(made(orbits, cell, own.space_group, orbit_tables()))
    return StructureBatch.cat(parts)


def ranked(
    sampler: WyckoffSampler, specs: CrystalSpec, tries: int, seed: int
) -> tuple[StructureBatch, Tensor]:
    """Tries of specs, one a seed, and the spec and number of each, (p, 2)."""
    found = [sampler.generate(specs, seed * tries + number) for number in range(tries)]
    places = [
        torch.stack([one.rows, torch.full_like(one.rows, number)], 1) for number, one in enumerate(found)
    ]
    return StructureBatch.cat([one.structures for one in found]), torch.cat(places)


def figures(
    distances: NDArray[np.float64], rating: NDArray[np.float64], free: Tensor, seconds: float
) -> dict[str, Any]:
    """Shares of crystals that match; distances are (n, tries, 2), ratings (n, tries)."""
    hit = distances[:, :, 0] <= _STOL
    rated = hit[np.arange(len(hit)), rating.argmax(1)]
    first = distances[:, 0, 0][hit[:, 0]]
    bins = {
        name: {"n": int(mask.sum()), "first": float(hit[mask, 0].mean()), "mean_try": float(hit[mask].mean()),
               "best": float(hit[mask].any(1).mean()), "judged": float(rated[mask].mean())}
        for name, mask in n_free_bins(free).items() if mask.any()
    }  # fmt: skip
    return {
        "first": float(hit[:, 0].mean()),
        "first_strict": float((distances[:, 0, 1] <= _STOL).mean()),
        "mean_try": float(hit.mean()),
        "best": float(hit.any(1).mean()),
        "judged": float(rated.mean()),
        "rmse": float(first.mean()) if len(first) else None,
        "structures_per_second": round(hit.size / seconds, 1),
        "by_free_parameters": bins,
    }


def main(options: dict[str, str]) -> None:
    """Read, sample, match and print."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    n, tries, seed = (int(options[name]) for name in ("n", "tries", "seed"))
    found = read_specs(Path(options["data"]), n, seed)
    has_ranking = options["ranking"] != "none"
    sampler = WyckoffSampler(
        options["weights"],
        options["ranking"] if has_ranking else None,
        tries=1,
        steps=int(options["steps"]),
        hurry=float(options["hurry"]),
    )
    judge = None if options["energies"] == "none" else load_energies(options["energies"])
    data = SiteData.of(found.specs, found.occupied, sampler.flow.settings)
    crystals = to_pymatgen(
        to_primitive(found.occupied.structures(data.lattices.cell, found.specs.space_group))
    )
    each = torch.cartesian_prod(torch.arange(len(data)), torch.arange(tries))
    methods: dict[str, Callable[[], tuple[StructureBatch, Tensor]]] = {
        "true letters, random": lambda: (true_letters(sampler, data, tries, seed, False), each),
        "true letters": lambda: (true_letters(sampler, data, tries, seed, True), each),
    }
    if has_ranking:
        methods["ranked"] = lambda: ranked(sampler, found.specs, tries, seed)
    table = {}
    for name, method in methods.items():
        start = time.perf_counter()
        structures, places = method()
        seconds = time.perf_counter() - start
        rating = np.full((len(data), tries), -np.inf)
        spec, number = places.T.numpy()
        primitive = to_primitive(structures)
        rating[spec, number] = (
            shortest_distance_ratio(primitive).numpy()
            if judge is None
            else -judge.predict(primitive)[0].nan_to_num(torch.inf).numpy()
        )
        made_of: list[list[Any]] = [[None] * tries for _ in crystals]
        for row, place, structure in zip(spec, number, to_pymatgen(primitive), strict=True):
            made_of[row][place] = structure
        work = list(zip(crystals, made_of, strict=True))
        with get_context("spawn").Pool(int(options["processes"])) as pool:
            distances = np.array(pool.map(match, work, chunksize=8))
        table[name] = figures(distances, rating, data.n_free, seconds)
    print(json.dumps({"options": options, "n": len(data), **table}, indent=2))


if __name__ == "__main__":
    main(_DEFAULTS | dict(word.split("=", 1) for word in sys.argv[1:]))
