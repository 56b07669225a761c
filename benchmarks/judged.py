"""Candidates of runs before and after relaxation, judged by a potential. Prints a table and one JSON object.

    python -m benchmarks.judged names=NAME,... candidates=RUN/candidates,... relaxed=RELAXED,... [hull=FILE.parquet]

Of each run: a name for the table, RUN/candidates that ``export`` wrote, and RELAXED that
``relax structures=RUN/candidates out=RELAXED`` made of it; the runs in the same order in the three lists.
Energies are formation energies in eV/atom, medians over the candidates that were judged: what the proxy predicted, and
what the potential says of the atoms as they were placed and at rest. ``spread`` is the median absolute difference
between prediction and the potential's energy at rest once the median difference is taken off. With a reference hull,
the energies at rest are also given above it, and the share within 0.1 eV/atom.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from benchmarks.options import names, read_options, run
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.proxies.reference_hull import ReferenceHull
from gflownet_crystal.structures.spec_io import frame_to_specs

_LISTS = ("names", "candidates", "relaxed")
_STABLE = 0.1


def judged(candidates: Path, relaxed: Path, hull: ReferenceHull | None) -> dict[str, Any]:
    """Figures of one run."""
    table = pd.read_csv(candidates / "candidates.csv")
    table["name"] = table["cif"].str.removesuffix(".cif")
    results = pd.read_csv(relaxed / "relaxed.csv")
    both = table.merge(results, on="name", how="left", suffixes=("", "_relaxed"))
    at_rest = both[both["status"] == "converged"]
    ended = both[both["energy_after"].notna()]
    difference = ended["energy_after"] - ended["energy"]
    figures = {
        "candidates": len(both),
        "at_rest": len(at_rest),
        "failed": int((both["status"] == "failed").sum()),
        "predicted": ended["energy"].median(),
        "potential_as_placed": both["energy_before"].median(),
        "potential_at_rest": ended["energy_after"].median(),
        "at_rest_minus_predicted": difference.median(),
        "spread": (difference - difference.median()).abs().median(),
        "spearman": ended["energy"].corr(ended["energy_after"], method="spearman"),
        "volume_change": ended["volume_change"].median(),
        "max_strain": ended["max_strain"].median(),
        "rms_displacement": ended["rms_displacement"].median(),
        "elements": len({name for text in ended["formula"] for name in re.findall("[A-Z][a-z]?", text)}),
    }
    if hull is not None:
        above = above_hull(ended, hull)
        figures |= {"above_hull": float(np.median(above)), "within_0.1": float((above <= _STABLE).mean())}
    return {name: round(float(value), 4) for name, value in figures.items()}


def above_hull(frame: pd.DataFrame, hull: ReferenceHull) -> NDArray[np.float64]:
    """Energies at rest above a reference hull, (n,) eV/atom."""
    energy = torch.from_numpy(frame["energy_after"].to_numpy(dtype=np.float64).copy())
    above: NDArray[np.float64] = hull.e_above_hull(frame_to_specs(frame), energy).numpy()
    return above


def main(arguments: list[str]) -> None:
    """Read the arguments and print the table."""
    options = read_options(__doc__, {"hull": ""}, arguments, required=_LISTS)
    lists = [names(options, key) for key in _LISTS]
    if len({len(found) for found in lists}) > 1:
        raise ConfigError(f"{', '.join(_LISTS)} must be lists of the same length")
    hull = ReferenceHull.read(options["hull"]) if options["hull"] else None
    report = {
        name: judged(Path(candidates), Path(relaxed), hull)
        for name, candidates, relaxed in zip(*lists, strict=True)
    }
    print(pd.DataFrame(report).to_string())
    print(json.dumps(report))


if __name__ == "__main__":
    run(main)
