"""Contacts of atoms: the least distance that each pair of elements keeps in known crystals, and crystals that break it.

A made crystal with fluorine atoms 1.3 Å apart is none, whatever energy a network gives it: no known crystal has such
a pair. The table is made by :mod:`gflownet_crystal.evaluation.build_contacts`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

import torch
from torch import Tensor

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.structures.batching import batches_of_atoms
from gflownet_crystal.structures.elements import FORMULA_ORDER, N_ATOMIC_NUMBERS, SYMBOLS
from gflownet_crystal.structures.periodic_pairs import prepare
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.weights import fitting_card, load_weights

KIND = "contacts"

_CLOSEST = 1e-3
_BATCH_ATOMS = 1024
# tightest contacts are looked for up to this many times the longest of the least distances
_REACH = 1.25
_PLACE = torch.zeros(N_ATOMIC_NUMBERS, dtype=torch.int64)
_PLACE[torch.from_numpy(FORMULA_ORDER.copy())] = torch.arange(1, N_ATOMIC_NUMBERS)


class Nearest(NamedTuple):
    """Nearest distances of the pairs of elements in structures, one row a structure and pair.

    Attributes:
        structure: (m,) int64, rising.
        pair: (m, 2) int64 atomic numbers, the lower one first.
        distance: (m,) float64, Å.
    """

    structure: Tensor
    pair: Tensor
    distance: Tensor


def nearest_distances(structures: StructureBatch, radius: float) -> Nearest:
    """The nearest distance of each pair of elements within a radius, images of atoms included.

    Args:
        structures: n structures on the CPU.
        radius: Å; pairs of elements that are farther apart have no row.

    Raises:
        DataError: a structure has no atoms, or no cell.
    """
    parts = [Nearest(*(torch.zeros(0, dtype=torch.int64),) * 2, torch.zeros(0, dtype=torch.float64))]
    parts[0] = parts[0]._replace(pair=torch.zeros(0, 2, dtype=torch.int64))
    for rows in batches_of_atoms(structures.n_atoms, _BATCH_ATOMS):
        part = _nearest(structures[rows], radius)
        parts.append(part._replace(structure=rows[part.structure]))
    whole = Nearest(*(torch.cat(columns) for columns in zip(*parts, strict=True)))
    order = whole.structure.argsort(stable=True)
    return Nearest(*(column[order] for column in whole))


def _nearest(batch: StructureBatch, radius: float) -> Nearest:
    points = prepare(batch, _CLOSEST)
    found = points.within(torch.full_like(points.height[:, 0], radius))
    itself = (found.source == found.target) & (found.squared < _CLOSEST**2)
    found = found.select(~itself & (found.squared <= radius**2))
    ends = torch.stack([batch.atomic_numbers[found.source], batch.atomic_numbers[found.target]])
    code = points.structure[found.source] * N_ATOMIC_NUMBERS + ends.amin(0)
    kinds, place = (code * N_ATOMIC_NUMBERS + ends.amax(0)).unique(return_inverse=True)
    squared = found.squared.new_full((len(kinds),), torch.inf)
    squared = squared.scatter_reduce(0, place, found.squared, "amin")
    pair = torch.stack([kinds // N_ATOMIC_NUMBERS % N_ATOMIC_NUMBERS, kinds % N_ATOMIC_NUMBERS], dim=1)
    return Nearest(kinds // N_ATOMIC_NUMBERS**2, pair, squared.sqrt())


@dataclass(frozen=True)
class Tightest:
    """The tightest contact of each of n structures.

    Attributes:
        ratio: (n,) float64, distance over the least one of its pair, below 1 in hardly any crystal; inf where no
            atoms are near.
        pair: (n, 2) int64 atomic numbers, the lower one first; 0 where no atoms are near.
        distance: (n,) float64, Å.
    """

    ratio: Tensor
    pair: Tensor
    distance: Tensor

    def words(self) -> list[str]:
        """Pairs and distances as ``F-F 2.31``, Å; empty where no atoms are near."""
        ordered = torch.where(
            (_PLACE[self.pair[:, 0]] <= _PLACE[self.pair[:, 1]])[:, None], self.pair, self.pair.flip(1)
        )
        rows = zip(ordered.tolist(), self.distance.tolist(), strict=True)
        return [f"{SYMBOLS[a]}-{SYMBOLS[b]} {distance:.2f}" if a else "" for (a, b), distance in rows]


class Contacts:
    """The least distance of each pair of elements.

    Args:
        least: (119, 119) float64, Å, symmetric, above 0 but in the row and column of no element.

    Raises:
        DataError: it is no such table.
    """

    def __init__(self, least: Tensor) -> None:
        shape = (N_ATOMIC_NUMBERS, N_ATOMIC_NUMBERS)
        if tuple(least.shape) != shape or not bool((least[1:, 1:] > 0).all()) or not least.equal(least.T):
            raise DataError(
                f"smallest distances must be a symmetric {shape} table of values above 0, not {tuple(least.shape)}"
            )
        self.least = least.double()

    @classmethod
    def from_weights(cls, weights: str | Path = KIND) -> Self:
        """The shipped table, or one from a ``.safetensors`` file with its card.

        Raises:
            WeightsError: missing, corrupt, or of another kind.
        """
        tensors, _ = load_weights(weights, KIND)
        with fitting_card(weights):
            return cls(tensors["least"])

    def tightest(self, structures: StructureBatch) -> Tightest:
        """The contact of each structure that is shortest in units of the least distance of its pair.

        Args:
            structures: n structures.

        Raises:
            DataError: a structure has no atoms, or no cell.
        """
        found = nearest_distances(structures.to("cpu"), _REACH * float(self.least.max()))
        ratio = found.distance / self.least[found.pair[:, 0], found.pair[:, 1]]
        # stable: of equal ones the pair of lower numbers, on every machine
        order = ratio.argsort(stable=True)
        order = order[found.structure[order].argsort(stable=True)]
        first = torch.ones(len(order), dtype=torch.bool)
        first[1:] = found.structure[order][1:] != found.structure[order][:-1]
        rows = order[first]
        n = len(structures)
        made = Tightest(
            torch.full((n,), torch.inf, dtype=torch.float64),
            torch.zeros(n, 2, dtype=torch.int64),
            torch.full((n,), torch.inf, dtype=torch.float64),
        )
        at = found.structure[rows]
        made.ratio[at], made.pair[at], made.distance[at] = ratio[rows], found.pair[rows], found.distance[rows]
        return made
