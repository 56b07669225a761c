"""Make the table of least distances of pairs of elements.

    python -m gflownet_crystal.evaluation.build_contacts data=FILE.parquet,FILE.parquet out=FOLDER

``data`` are structures as the development data have them; rows of ``mp20_split`` val are kept apart and say which share
of known crystals the table lets pass. Of each pair a low quantile over crystals of its nearest distance is taken; of
pairs in few crystals the summed covalent radii times a low quantile of that ratio, where that is less.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from gflownet_crystal.common.programs import read_options, run
from gflownet_crystal.evaluation.contacts import KIND, Contacts, Nearest, nearest_distances
from gflownet_crystal.structures.distances import covalent_radii
from gflownet_crystal.structures.elements import N_ATOMIC_NUMBERS
from gflownet_crystal.structures.frames import frame_to_structures
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.weights import save_weights

QUANTILE = 0.02
"""Share of the crystals with a pair whose distances do not count: the most that lets 99 % of MP-20 val pass."""
ENOUGH = 50
"""Crystals with a pair from which on its own distances are taken alone."""
SLACK = 0.97
"""Least distances are this part of the quantile, as atoms are placed and not relaxed."""
RADIUS = 4.0
"""Å, farthest distance that counts as one of a pair."""

_COMMAND = "python -m gflownet_crystal.evaluation.build_contacts"
_DIGITS = 3


def least_distances(
    found: Nearest, quantile: float = QUANTILE, enough: int = ENOUGH, slack: float = SLACK
) -> Tensor:
    """The table of known crystals, (119, 119) float64, Å.

    Args:
        found: nearest distances of pairs of elements in crystals.
        quantile: quantile of the distances of a pair that is taken, the lower of two ranks.
        enough: crystals with a pair from which on its own distances are taken alone.
        slack: factor of the result.
    """
    radii = covalent_radii(torch.arange(N_ATOMIC_NUMBERS)).nan_to_num(0.0)
    summed = radii[:, None] + radii
    ratio = found.distance / summed[found.pair[:, 0], found.pair[:, 1]]
    usual = float(_lower_quantile(ratio.sort().values, quantile))
    least = usual * summed
    code = found.pair[:, 0] * N_ATOMIC_NUMBERS + found.pair[:, 1]
    order = found.distance.argsort(stable=True)
    order = order[code[order].argsort(stable=True)]
    kinds, counts = code[order].unique_consecutive(return_counts=True)
    for kind, distances in zip(kinds.tolist(), found.distance[order].split(counts.tolist()), strict=True):
        first, second = divmod(kind, N_ATOMIC_NUMBERS)
        own = float(_lower_quantile(distances, quantile))
        if len(distances) < enough:
            own = min(own, float(least[first, second]))
        least[first, second] = least[second, first] = own
    return (slack * least * 10**_DIGITS).round() / 10**_DIGITS


def _lower_quantile(ascending: Tensor, quantile: float) -> Tensor:
    return ascending[int(quantile * len(ascending))]


def share_passing(contacts: Contacts, structures: StructureBatch) -> dict[str, object]:
    """Share of the structures of a set without a contact below the least distances."""
    passing = contacts.tightest(structures).ratio >= 1.0
    return {"n": len(structures), "share_passing": round(float(passing.double().mean()), 5)}


def main(arguments: list[str]) -> None:
    """Read, build, measure, write."""
    options = read_options(__doc__, {}, arguments, required=["data", "out"])
    paths = [Path(path) for path in options["data"].split(",")]
    columns = ["lattice", "atomic_numbers", "frac_coords", "mp20_split"]
    frame = pd.concat([pd.read_parquet(path, columns=columns) for path in paths], ignore_index=True)
    kept_apart = (frame["mp20_split"] == "val").to_numpy()
    structures = frame_to_structures(frame.drop(columns="mp20_split"))
    known, others = (structures[torch.from_numpy(np.flatnonzero(part))] for part in (~kept_apart, kept_apart))
    found = nearest_distances(known, RADIUS)
    contacts = Contacts(least_distances(found))
    pairs = found.pair.unique(dim=0, return_counts=True)[1]
    card = {
        "kind": KIND,
        "property": "least distance of each pair of elements",
        "unit": "A",
        "settings": {"quantile": QUANTILE, "enough": ENOUGH, "slack": SLACK, "radius": RADIUS},
        "samples_seen": len(known),
        "pairs": len(pairs),
        "pairs_of_enough_crystals": int((pairs >= ENOUGH).sum()),
        "validation": {"mp20_val": share_passing(contacts, others), "known": share_passing(contacts, known)},
        "data": [path.name for path in paths],
        "command": f"{_COMMAND} data={','.join(path.name for path in paths)} out={Path(options['out']).name}",
    }
    save_weights(Path(options["out"]) / f"{KIND}.safetensors", {"least": contacts.least.float()}, card)
    print(card["validation"])


if __name__ == "__main__":
    run(main)
