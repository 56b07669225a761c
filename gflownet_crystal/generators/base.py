"""The contract of generators: specs in, structures with exactly their composition, lattice and space group out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.structures.batching import cut_by_atoms
from gflownet_crystal.structures.spec import CrystalSpec
from gflownet_crystal.structures.structure import StructureBatch


@dataclass(frozen=True)
class Generation:
    """Structures that a generator made from n specs.

    Attributes:
        structures: p structures, p at most n, conventional cells in the ITA setting of the spec's group.
        rows: (p,) int64, rising: the spec of each structure. A spec that is not here could not be placed.
    """

    structures: StructureBatch
    rows: Tensor


class Generator(ABC):
    """Puts atoms into specs.

    Each structure has exactly the counts and the lattice parameters of its spec, and every operation of the spec's
    group maps it onto itself. The result for a spec depends on that spec and the seed alone, not on its batch.
    """

    @abstractmethod
    def generate(self, specs: CrystalSpec, seed: int = 0) -> Generation:
        """Place the atoms of each spec.

        Args:
            specs: n specs whose lattice parameters obey their group.
            seed: another seed gives another draw.

        Returns:
            The structures of those specs that could be placed.
        """

    def generate_several(self, specs: CrystalSpec, seeds: Sequence[int]) -> list[Generation]:
        """As :meth:`generate` with each of several seeds; a generator that works on all at once saves time."""
        return [self.generate(specs, seed) for seed in seeds]

    def single(self) -> tuple[Generator, int]:
        """A generator that draws each spec once, and the number of its draws that this one chooses from.

        Draws that a generator compares itself can then be compared by others, such as by a model of energies.
        """
        return self, 1


def check_options(
    options: Mapping[str, Any], above_zero: Iterable[str], not_negative: Iterable[str] = ()
) -> None:
    """Check the numbers among a generator's options.

    Args:
        options: options by name.
        above_zero: names of those that must be positive.
        not_negative: names of those that may be zero.

    Raises:
        ConfigError: a number is out of range.
    """
    for name in above_zero:
        if not options[name] > 0:
            raise ConfigError(f"generator.{name}={options[name]} has to be above zero")
    for name in not_negative:
        if not options[name] >= 0:
            raise ConfigError(f"generator.{name}={options[name]} must not be negative")


def in_batches(
    specs: CrystalSpec,
    sizes: Tensor,
    most: int,
    place: Callable[[CrystalSpec], Generation],
    by_size: bool = True,
) -> Generation:
    """Apply a function to many specs, a batch at a time.

    Args:
        specs: n specs.
        sizes: (n,) int64, weight of each in a batch.
        most: upper bound of a batch, unless one spec counts for more; bounds the memory.
        place: makes structures of a batch.
        by_size: put specs of about equal size together.

    Returns:
        The structures of all batches, by rising row.
    """
    order = sizes.argsort(stable=True) if by_size else torch.arange(len(specs), device=specs.device)
    batches = cut_by_atoms(order, sizes, most) or [order]
    parts = [place(specs[rows]) for rows in batches]
    rows = torch.cat([chosen[part.rows] for chosen, part in zip(batches, parts, strict=True)])
    rising = rows.argsort()
    return Generation(StructureBatch.cat([part.structures for part in parts])[rising], rows[rising])
