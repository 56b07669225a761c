"""Placement on known crystals, and its speed on samples.

    OMP_NUM_THREADS=1 python -m benchmarks.placement [data=FILE.parquet] [specs=FILE.parquet] [n=200]
        [generator=wyckoff] [energies=alignn] [tries=4] [batch=32] [workers=0]

The file of ``data`` holds crystals in the columns ``lattice``, ``atomic_numbers`` and ``frac_coords``. Their
conventional specs are placed with ``generator=placement``, and the atoms compared with the true ones.

The file of ``specs`` is a table of samples, as ``samples.parquet`` of a run. The first n get atoms as ``pipeline``
places them: by ``generator``, a config of that group, with ``tries`` times its tries for promising specs, of which
``energies`` choose. With energies=none they get atoms as ``generate`` places them. Printed are specs a second of
processor time, the share of each stage in the time, and figures of the structures; energies are in eV/atom. With
``workers`` the pieces that ``pipeline`` cuts each batch into are placed too, and printed is how many times as fast so
many workers, with a core each, place a batch: processor time of the whole batch over that of the busiest worker.
"""

from __future__ import annotations

import cProfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from types import CodeType

import numpy as np
import pandas as pd
import torch
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Lattice

from benchmarks.options import read_options, run
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.config.build import build
from gflownet_crystal.config.compose import compose_config
from gflownet_crystal.data.schema import ENERGY_COLUMN, JUDGED_HULL
from gflownet_crystal.evaluation.contacts import Contacts
from gflownet_crystal.generators.base import Generator
from gflownet_crystal.generators.placement import WyckoffPlacement
from gflownet_crystal.models.energies.potentials import load_energies
from gflownet_crystal.proxies.e_above_hull import REFERENCE, load_hull
from gflownet_crystal.structures.convert import from_arrays, to_pymatgen
from gflownet_crystal.structures.distances import shortest_distance_ratio
from gflownet_crystal.structures.frames import frame_to_structures
from gflownet_crystal.structures.spec_io import read_specs
from gflownet_crystal.structures.symmetry import conventional_structures, find_space_groups, symmetry_error
from gflownet_crystal.workflows.placing.making import Maker
from gflownet_crystal.workflows.placing.placing import CONTACT_RATIO, Placer
from gflownet_crystal.workflows.placing.shared import pieces

_DEFAULTS = {"data": "", "specs": "", "n": "200", "generator": "wyckoff", "energies": "alignn",
             "tries": "4", "batch": "32", "workers": "0"}  # fmt: skip
STAGES = {
    "assignments": ("drawing.py", "drawable_assignments"),
    "flow": ("parameter_flow.py", "integrate"),
    "distances": ("orbit_spacing.py", "closest"),
    "second placement": ("selection.py", "make_room"),
    "energies": ("placing.py", "judged_energies"),
}
"""Stages of placing by file and function."""


def main(arguments: list[str]) -> None:
    """Measure and print, for the files that are given."""
    options = read_options(__doc__, _DEFAULTS, arguments)
    if not (options["data"] or options["specs"]):
        raise ConfigError("give data=FILE, or specs=FILE, or both; --help explains them")
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    if options["data"]:
        known_crystals(Path(options["data"]), int(options["n"]))
    if options["specs"]:
        speed(options)


def speed(options: dict[str, str]) -> None:
    """Place the first ``n`` samples of a file and print the figures."""
    frame = read_specs(Path(options["specs"])).iloc[: int(options["n"])]
    place = placing(options)
    # tables and weights are read once
    place(frame.iloc[:1])
    batch, profile = int(options["batch"]), cProfile.Profile()
    batches = [frame.iloc[start : start + batch] for start in range(0, len(frame), batch)]
    begun, start = time.perf_counter(), time.process_time()
    made = pd.concat([profile.runcall(place, part) for part in batches])
    seconds, passed = time.process_time() - start, time.perf_counter() - begun
    print(
        f"placed                     {len(made)} of {len(frame)}, {len(frame) / seconds:.2f} specs/s of processor time"
    )
    for name, share in stage_shares(profile, passed).items():
        print(f"share of {name:<18}{share:.3f}")
    quantiles = np.quantile(
        shortest_distance_ratio(frame_to_structures(made)).numpy(), (0.0, 0.05, 0.5)
    ).round(3)
    print(f"distance / summed radii    least {quantiles[0]}, 5 % {quantiles[1]}, median {quantiles[2]}")
    if JUDGED_HULL in made.columns:
        print(f"possible contacts          {(made[CONTACT_RATIO] >= 1).mean():.3f}")
        print(f"mean formation energy      {made[ENERGY_COLUMN].mean():.4f}")
        print(f"within 0.05 of the hull    {(made[JUDGED_HULL] <= 0.05).mean():.3f}")
    if workers := int(options["workers"]):
        whole = sum(processor_time(place, part) for part in batches)
        shared = sum(
            busiest(workers, [processor_time(place, piece) for piece in pieces(part)]) for part in batches
        )
        print(f"with {workers} workers {whole / shared:14.2f} times as fast")


def processor_time(place: Callable[[pd.DataFrame], pd.DataFrame], frame: pd.DataFrame) -> float:
    """Processor time that placing takes, s."""
    start = time.process_time()
    place(frame)
    return time.process_time() - start


def busiest(workers: int, seconds: list[float]) -> float:
    """Time of the busiest of some workers, s, each of which takes the next piece when it is free."""
    times = [0.0] * workers
    for piece in seconds:
        times[times.index(min(times))] += piece
    return max(times)


def placing(options: dict[str, str]) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """The placement of a table of specs, as ``pipeline`` or ``generate`` does it."""
    config = compose_config("generate", [f"generator={options['generator']}"])
    generator = build(config.generator, Generator, "generator")
    if options["energies"] == "none":
        return Maker(generator, torch.device("cpu"), 1, 0, False, None).make
    judge, contacts = load_energies(options["energies"]), Contacts.from_weights("contacts")
    return Placer(generator, load_hull(REFERENCE), judge, contacts, int(options["tries"])).place


def stage_shares(profile: cProfile.Profile, seconds: float) -> dict[str, float]:
    """Share of each stage in a time that was profiled."""
    spent = {
        (Path(entry.code.co_filename).name, entry.code.co_name): entry.totaltime
        for entry in profile.getstats()
        if isinstance(entry.code, CodeType)
    }
    return {name: spent.get(called, 0.0) / seconds for name, called in STAGES.items()}


def known_crystals(path: Path, n: int) -> None:
    """Place ``n`` random crystals of a file and print the figures."""
    frame = pd.read_parquet(path, columns=["lattice", "atomic_numbers", "frac_coords"])
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
