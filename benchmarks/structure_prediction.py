"""Structure prediction on MP-20's val. Prints one JSON object.

    OMP_NUM_THREADS=1 python -m benchmarks.structure_prediction data=FILE.parquet [n=300] [tries=20] [seed=0]
        [weights=wyckoff] [known_sites=site_templates] [steps=12] [velocity_scale=20.0] [ranking=assignments]
        [energies=NAME] [others=gemsdiff,langevin] [other_tries=1] [processes=1] [larger=FILE.parquet] [rows=ranked]

FILE holds crystals in the package's schema with the column ``mp20_split``; n of those of val are taken at random. With
``larger`` they come from that file alone: of its crystals with a reduced formula of val, n of each class of atoms in
the primitive cell (up to 20, 21-40, 41-60). Given are the lattice, the group and the counts of their conventional
cells. Rows of the table, all or those named by ``rows``:

    random on true letters    free parameters at random on the true Wyckoff positions
    true letters              those of the sampler on the true Wyckoff positions
    ranked                    the sampler as it is, with Wyckoff positions of its own, every fourth try from the
                              coordinates of a known crystal (known_sites=none: all from noise); left out with
                              ranking=none
    gemsdiff, langevin, ...   each of ``others``, a config of the group ``generator``, with Wyckoff positions of its own

For each: the share of crystals that the first try matches, any of the tries, the one with the largest shortest
distance over radii and, with energies=NAME, the one of lowest energy, by pymatgen's StructureMatcher (stol 0.5, ltol
0.3, angle_tol 10). As in published figures, a try matches where ``get_rms_dist`` finds a root mean square distance
within stol; ``first_strict`` is the share of first tries whose largest distance is within it too. Beside them are the
mean RMSE of first tries that match, in units of the cube root of the volume of an atom, structures per second without
the matching, and the shares by atoms in the primitive cell, by number of free parameters and by whether the ranking's
table has the crystal's prototype (group, counts and Wyckoff positions); ``valid`` is the share of crystals by atoms
whose first try has no contact that known crystals do not have. No reduced formula of val is in the training data.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pymatgen.core import Structure
from torch import Tensor

from benchmarks.matching import distances, figures
from benchmarks.options import names, read_options, run
from gflownet_crystal.config.build import build
from gflownet_crystal.config.compose import compose_config
from gflownet_crystal.evaluation.contacts import Contacts
from gflownet_crystal.generators.assignments.ranked import RankedAssignments
from gflownet_crystal.generators.assignments.table import assignments_of, keys_of
from gflownet_crystal.generators.base import Generator
from gflownet_crystal.generators.placing.orbit_spacing import Orbits
from gflownet_crystal.generators.placing.orbit_tables import orbit_tables
from gflownet_crystal.generators.wyckoff_sampler import WyckoffSampler
from gflownet_crystal.models.energies.potentials import load_energies
from gflownet_crystal.models.energies.structure_energies import StructureEnergies
from gflownet_crystal.structures.batching import cut_by_atoms
from gflownet_crystal.structures.convert import to_pymatgen
from gflownet_crystal.structures.distances import shortest_distance_ratio
from gflownet_crystal.structures.primitive import to_primitive
from gflownet_crystal.structures.spec import CrystalSpec
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.training.energies.labelled import read_labelled
from gflownet_crystal.training.generators.assignment_data import OccupiedSpecs
from gflownet_crystal.training.generators.site_data import SiteData, uniform_parameters

_DEFAULTS = {"n": "300", "tries": "20", "seed": "0", "steps": "12", "velocity_scale": "20.0", "processes": "1",
             "weights": "wyckoff", "known_sites": "site_templates", "ranking": "assignments", "energies": "none",
             "others": "", "other_tries": "1", "larger": "", "rows": ""}  # fmt: skip
_PAIRS = 6000
SIZES = {"1-20 atoms": (1, 20), "21-40 atoms": (21, 40), "41-60 atoms": (41, 60)}
"""Classes of crystals by atoms in the primitive cell."""


def read_specs(path: Path, n: int, seed: int) -> OccupiedSpecs:
    """n crystals of MP-20's val."""
    labelled = read_labelled([path])
    rows = np.random.default_rng(seed).permutation(np.flatnonzero(labelled.split == "val"))[:n]
    return OccupiedSpecs.of(labelled.structures[torch.from_numpy(np.sort(rows))])[0]


def read_sizes(path: Path, larger: Path, n: int, seed: int) -> OccupiedSpecs:
    """n crystals of ``larger`` of each class of sizes, of formulas of MP-20's val, which no part was trained on."""
    given, data = read_labelled([path]), read_labelled([larger])
    held = np.isin(data.formula, given.formula[given.split == "val"]) & (data.split != "train")
    structures = data.structures[torch.from_numpy(np.flatnonzero(held))]
    atoms = to_primitive(structures).n_atoms.numpy()
    order = np.random.default_rng(seed).permutation(len(atoms))
    chosen = [order[(atoms[order] >= low) & (atoms[order] <= high)][:n] for low, high in SIZES.values()]
    return OccupiedSpecs.of(structures[torch.from_numpy(np.sort(np.concatenate(chosen)))])[0]


def size_masks(primitive: StructureBatch) -> dict[str, NDArray[np.bool_]]:
    """Crystals of each class of sizes, (n,) each."""
    atoms = primitive.n_atoms.numpy()
    return {name: (atoms >= low) & (atoms <= high) for name, (low, high) in SIZES.items()}


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
        parts.append(orbits.structures(cell, own.space_group, orbit_tables()))
    return StructureBatch.cat(parts)


def tries_of(
    generator: Generator, specs: CrystalSpec, tries: int, seed: int
) -> tuple[StructureBatch, Tensor]:
    """Tries of specs, one a seed, and the spec and number of each, (p, 2)."""
    found = [generator.generate(specs, seed * tries + number) for number in range(tries)]
    places = [
        torch.stack([one.rows, torch.full_like(one.rows, number)], 1) for number, one in enumerate(found)
    ]
    return StructureBatch.cat([one.structures for one in found]), torch.cat(places)


def is_known(found: OccupiedSpecs, ranking: RankedAssignments) -> NDArray[np.bool_]:
    """Whether the Wyckoff positions of each crystal are among those that the ranking's table has for its counts."""
    keys, elements = keys_of(found.specs.space_group, found.specs.composition)
    true = assignments_of(keys, elements, found.occupied)
    table = ranking.lister.table
    return np.array([one in table.seen(key) for key, one in zip(keys, true, strict=True)], dtype=bool)


def n_free_bins(n_free: Tensor) -> dict[str, np.ndarray]:
    """Masks of crystals by their number of free parameters, as tables report them."""
    count = n_free.numpy()
    return {"0": count == 0, "1-2": (count >= 1) & (count <= 2), "3-5": (count >= 3) & (count <= 5),
            "6-8": (count >= 6) & (count <= 8), "9+": count >= 9}  # fmt: skip


def rows_of(
    options: dict[str, str], found: OccupiedSpecs
) -> tuple[SiteData, dict[str, Callable[[], tuple[StructureBatch, Tensor]]], dict[str, NDArray[np.bool_]]]:
    """The crystals, a function for the tries of each row of the table, and masks of the crystals by name."""
    tries, seed = int(options["tries"]), int(options["seed"])
    has_ranking = options["ranking"] != "none"
    sampler = WyckoffSampler(
        options["weights"],
        options["ranking"] if has_ranking else None,
        None if options["known_sites"] == "none" else options["known_sites"],
        tries=1,
        steps=int(options["steps"]),
        velocity_scale=float(options["velocity_scale"]),
    )
    data = SiteData.of(found.specs, found.occupied, sampler.flow.settings)
    each = torch.cartesian_prod(torch.arange(len(data)), torch.arange(tries))
    methods: dict[str, Callable[[], tuple[StructureBatch, Tensor]]] = {
        "random on true letters": lambda: (true_letters(sampler, data, tries, seed, False), each),
        "true letters": lambda: (true_letters(sampler, data, tries, seed, True), each),
    }
    parts = {f"free {name}": mask for name, mask in n_free_bins(data.n_free).items()}
    if has_ranking:
        methods["ranked"] = partial(tries_of, sampler, found.specs, tries, seed)
    if sampler.ranking is not None:
        known = is_known(found, sampler.ranking)
        parts |= {"known prototype": known, "new prototype": ~known}
    for name in names(options, "others"):
        config = compose_config("generate", [f"generator={name}", "generator.tries=1"])
        generator = build(config.generator, Generator, "generator")
        methods[name] = partial(tries_of, generator, found.specs, int(options["other_tries"]), seed)
    chosen = names(options, "rows", methods)
    return data, {name: methods[name] for name in chosen or methods}, parts


def ratings_of(primitive: StructureBatch, judge: StructureEnergies | None) -> dict[str, NDArray[np.float64]]:
    """Ratings of p structures without knowledge of the crystal, (p,) each, the higher the better."""
    result = {"roomiest": shortest_distance_ratio(primitive).numpy()}
    if judge is not None:
        result["lowest_energy"] = -judge.predict(primitive)[0].nan_to_num(torch.inf).numpy()
    return result


def measured(
    made: tuple[StructureBatch, Tensor],
    crystals: list[Structure],
    judge: StructureEnergies | None,
    parts: dict[str, NDArray[np.bool_]],
    processes: int,
) -> dict[str, Any]:
    """A row of the table, of tries and their places."""
    primitive, (spec, number) = to_primitive(made[0]), made[1].T.numpy()
    shape = len(crystals), int(number.max(initial=0)) + 1
    ratings = {}
    for name, values in ratings_of(primitive, judge).items():
        ratings[name] = np.full(shape, -np.inf)
        ratings[name][spec, number] = values
    tries: list[list[Structure | None]] = [[None] * shape[1] for _ in crystals]
    for row, place, structure in zip(spec, number, to_pymatgen(primitive), strict=True):
        tries[row][place] = structure
    first = number == 0
    sound = np.zeros(len(crystals), dtype=bool)
    contacts = Contacts.from_weights("contacts").tightest(made[0][torch.from_numpy(np.flatnonzero(first))])
    sound[spec[first]] = contacts.ratio.numpy() >= 1.0
    valid = {name: float(sound[parts[name]].mean()) for name in SIZES if parts[name].any()}
    return {
        "tries": shape[1],
        "valid": valid,
        **figures(distances(crystals, tries, processes), ratings, parts),
    }


def main(arguments: list[str]) -> None:
    """Read, sample, match and print."""
    options = read_options(__doc__, _DEFAULTS, arguments, required=["data"])
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    source, n, seed = Path(options["data"]), int(options["n"]), int(options["seed"])
    found = (
        read_sizes(source, Path(larger), n, seed)
        if (larger := options["larger"])
        else read_specs(source, n, seed)
    )
    judge = None if options["energies"] == "none" else load_energies(options["energies"])
    data, methods, parts = rows_of(options, found)
    primitive = to_primitive(found.occupied.structures(data.lattices.cell, found.specs.space_group))
    crystals = to_pymatgen(primitive)
    parts |= size_masks(primitive)
    table = {}
    for name, method in methods.items():
        start = time.perf_counter()
        made = method()
        speed = round(len(made[0]) / (time.perf_counter() - start), 1)
        row = measured(made, crystals, judge, parts, int(options["processes"]))
        table[name] = {**row, "structures_per_second": speed}
        print(name, "done", file=sys.stderr, flush=True)
    print(json.dumps({"options": options, "n": len(data), **table}, indent=2))


if __name__ == "__main__":
    run(main)
