"""The contract of generators: specs in, structures with exactly their composition, lattice and space group out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor

from gflownet_crystal.structures.spec import CrystalSpec
from gflownet_crystal.structures.structure import StructureBatch


@dataclass(frozen=True)
class Generation:
    """What a generator made of n specs.

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
