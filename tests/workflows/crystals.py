"""Samples of rock salts whose energies above the hull, contacts and placements are chosen."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import torch
from pymatgen.core import Lattice, Structure
from torch import Tensor

from gflownet_crystal.evaluation.contacts import Contacts
from gflownet_crystal.generators.base import Generation, Generator
from gflownet_crystal.models.energies.structure_energies import StructureEnergies
from gflownet_crystal.proxies.hull import Hull
from gflownet_crystal.structures.convert import from_pymatgen
from gflownet_crystal.structures.spec import CrystalSpec
from gflownet_crystal.structures.structure import StructureBatch

CATIONS, ANIONS = ("Li", "Na", "K", "Rb", "Cs", "Mg", "Ca", "Sr"), ("F", "Cl", "Br", "O", "S")


class Flat(Hull):
    """A hull at 0 everywhere."""

    def hull_energy(self, composition: Tensor) -> Tensor:
        """Zeros (n,)."""
        return torch.zeros(len(composition), dtype=torch.float64)


@dataclass
class Salts(Generator):
    """Makes rock salt, but of no cell whose edge is in ``refused``; remembers specs and seeds."""

    refused: set[float] = field(default_factory=set)
    asked: list[tuple[int, int]] = field(default_factory=list)

    def generate(self, specs: CrystalSpec, seed: int = 0) -> Generation:
        """The atoms of each spec."""
        self.asked.append((len(specs), seed))
        rows = [row for row, edge in enumerate(specs.lengths[:, 0].tolist()) if edge not in self.refused]
        made = [self._salt(specs, row) for row in rows]
        if not made:
            empty = from_pymatgen([Structure(Lattice.cubic(5), ["Na"], [[0, 0, 0]])])[:0]
            return Generation(empty, torch.zeros(0, dtype=torch.int64))
        whole = from_pymatgen(made)
        structures = StructureBatch(
            whole.cell, whole.atomic_numbers, whole.fractional, whole.structure_index, specs.space_group[rows]
        )
        return Generation(structures, torch.tensor(rows))

    @staticmethod
    def _salt(specs: CrystalSpec, row: int) -> Structure:
        numbers = specs.composition[row].nonzero()[:, 0].tolist()
        corners = [[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]
        middles = [[0.5, 0.5, 0.5], [0.5, 0, 0], [0, 0.5, 0], [0, 0, 0.5]]
        return Structure(
            Lattice.cubic(specs.lengths[row, 0].item()),
            [numbers[0]] * 4 + [numbers[1]] * 4,
            corners + middles,
        )


class ByEdge(StructureEnergies):
    """Energies by the volume of the cell, a deviation of 0.02; NaN where none is told."""

    def __init__(self, energies: dict[float, float]) -> None:
        self.energies = energies

    def predict(self, structures: StructureBatch) -> tuple[Tensor, Tensor]:
        """Energies and deviations, (n,) each."""
        per_atom = structures.volume / structures.n_atoms
        edges = [round((8 * volume) ** (1 / 3), 4) for volume in per_atom.tolist()]
        energy = torch.tensor([self.energies.get(edge, np.nan) for edge in edges], dtype=torch.float64)
        return energy, torch.full_like(energy, 0.02)

    def calculator(self) -> None:
        """None."""


def contacts(least: float = 2.0) -> Contacts:
    """The same least distance for all pairs, A."""
    return Contacts(torch.full((119, 119), least, dtype=torch.float64))


def salts(n: int, seed: int = 0) -> pd.DataFrame:
    """Samples of rock salts, each with an edge of its own that names it, from 5 Å up."""
    generator = np.random.default_rng(seed)
    edges = np.round(5.0 + 0.01 * np.arange(n), 4)
    formulas = [
        f"{cation}4 {anion}4"
        for cation, anion in zip(generator.choice(CATIONS, n), generator.choice(ANIONS, n), strict=True)
    ]
    return pd.DataFrame(
        {
            "space_group": 225, "formula": formulas, **dict.fromkeys("abc", edges),
            **dict.fromkeys(("alpha", "beta", "gamma"), 90.0), "volume_per_atom": edges**3 / 8,
            "energy": -1.0, "energy_std": 0.1, "log_reward": generator.normal(size=n),
            "e_above_hull": generator.normal(scale=0.1, size=n), "hull_entries": generator.integers(5, 20, n),
        }
    )  # fmt: skip
