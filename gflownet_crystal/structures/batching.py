"""Structures of a batch, cut into smaller batches that hold about the same number of atoms."""

from __future__ import annotations

import torch
from torch import Tensor


def cut_by_atoms(rows: Tensor, sizes: Tensor, atoms: int) -> list[Tensor]:
    """Consecutive rows in batches of at most ``atoms`` atoms; a structure with more is a batch of its own.

    Args:
        rows: (m,) int64, structures in the order they are taken.
        sizes: (n,) int64, atoms of each structure.
        atoms: maximum number of atoms of a batch.

    Returns:
        (b,) int64 rows of each batch.
    """
    lengths: list[int] = []
    filled = atoms
    for size in sizes[rows].tolist():
        if filled + size > atoms:
            lengths.append(0)
            filled = 0
        lengths[-1] += 1
        filled += size
    return list(rows.split(lengths)) if lengths else []


def batches_of_atoms(sizes: Tensor, atoms: int) -> list[Tensor]:
    """All structures by rising size, cut by :func:`cut_by_atoms`."""
    return cut_by_atoms(sizes.argsort(stable=True), sizes, atoms)


def spread(n: int, most: int | None) -> Tensor:
    """Rows of at most ``most`` of n structures, int64, spread evenly; of all if None."""
    return torch.linspace(0, n - 1, n if most is None else min(most, n)).round().long()


class BucketedBatches:
    """Batches of structures of about equal size, in an order that is a pure function of seed and epoch.

    Args:
        sizes: (n,) int64, atoms of each structure.
        atoms: maximum number of atoms of a batch.
        seed: random seed of the order.
        window: batches' worth of structures that are sorted by size together: enough for little waste, few enough
            to stay random.
    """

    def __init__(self, sizes: Tensor, atoms: int, seed: int = 0, window: int = 32) -> None:
        self.sizes, self.atoms, self.seed = sizes, atoms, seed
        self.window = max(1, int(window * atoms / float(sizes.double().mean())))

    def epoch(self, number: int) -> list[Tensor]:
        """The batches of an epoch, each (b,) int64 rows; together they hold every row once."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + number)
        order = torch.randperm(len(self.sizes), generator=generator)
        batches: list[Tensor] = []
        for rows in order.split(self.window):
            batches += cut_by_atoms(rows[self.sizes[rows].argsort(stable=True)], self.sizes, self.atoms)
        shuffled = torch.randperm(len(batches), generator=generator).tolist()
        return [batches[place] for place in shuffled]
