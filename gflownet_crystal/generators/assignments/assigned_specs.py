"""The simplest Wyckoff assignments of many specs as tensors, with the data that keep their atoms apart."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from gflownet_crystal.crystallography.lattice import parameters_to_matrix
from gflownet_crystal.generators.draws import joined, keys_of_compounds, uniform
from gflownet_crystal.generators.placing.candidates import (
    anion_character,
    known_electronegativity,
    mean_electronegativity,
)
from gflownet_crystal.generators.placing.orbit_spacing import Lattices, OrbitPairs, Orbits
from gflownet_crystal.generators.placing.orbit_tables import (
    Assignments,
    OrbitTables,
    flat_assignments,
    simplest_assignments,
)
from gflownet_crystal.structures.distances import covalent_radii
from gflownet_crystal.structures.periodic_pairs import expand
from gflownet_crystal.structures.site_letters import prescribed
from gflownet_crystal.structures.spec import CrystalSpec


@dataclass(frozen=True)
class AssignedSpecs:
    """n specs with A assignments of O orbits in all; those of a spec stand together.

    Attributes:
        cell: (n, 3, 3) float64, conventional lattice vectors as rows, Å.
        key: (n,) int64, of group, composition and seed.
        lattices: the primitive ones.
        spec: (A,) int64, not decreasing.
        place: (A,) int64, number of the assignment among those of its spec.
        is_free: (A,) bool, whether an orbit has a free parameter.
        orbits: orbits of the assignments.
        electronegativity: (n,) float64, mean over the atoms.
    """

    cell: Tensor
    key: Tensor
    lattices: Lattices
    spec: Tensor
    place: Tensor
    is_free: Tensor
    orbits: Orbits
    electronegativity: Tensor

    @classmethod
    def of(cls, specs: CrystalSpec, listed: int, kept: int, seed: int) -> AssignedSpecs:
        """Look up the assignments of n specs.

        Args:
            specs: n specs.
            listed: assignments of each that are looked at.
            kept: the simplest of them, which are kept.
            seed: random seed of the keys.
        """
        found, elements = _look_up(specs, listed, kept)
        device = specs.device
        cell = parameters_to_matrix(specs.lengths, specs.angles)

        def column(name: str) -> Tensor:
            arrays = [getattr(one, name) for one in found if one is not None]
            return torch.from_numpy(np.concatenate(arrays or [np.zeros(0, dtype=np.int64)])).to(device)

        held = [0 if one is None else len(one.n_orbits) for one in found]
        sizes = torch.tensor(held, dtype=torch.int64, device=device)
        spec, place = expand(torch.zeros_like(sizes), sizes)
        n_orbits = column("n_orbits")
        assignment = torch.repeat_interleave(n_orbits)
        number = elements.to(device)[spec[assignment], column("element")]
        orbits = Orbits(
            assignment, spec[assignment], column("position"), number, cell.new_zeros(len(number), 3)
        )
        return cls(
            cell,
            keys_of_compounds(specs.space_group, specs.composition, seed),
            Lattices.of(cell, specs.space_group),
            spec,
            place,
            column("is_free").bool(),
            orbits,
            mean_electronegativity(specs),
        )

    def draw(self, tries: int) -> Orbits:
        """Candidates with random parameters in [0, 1): ``tries`` of each assignment, but one where nothing is free."""
        counts = torch.where(self.is_free, tries, 1)
        assignment, number = expand(torch.zeros_like(counts), counts)
        orbits = self.orbits.select(assignment)
        axes = torch.arange(3, device=number.device)
        within = torch.arange(len(orbits.spec), device=number.device) - orbits.start[orbits.candidate]
        key = joined(joined(self.key[self.spec], self.place)[assignment], number)
        return replace(
            orbits, parameters=uniform(joined(joined(key[orbits.candidate], within)[:, None], axes))
        )

    def pairs(self, orbits: Orbits, tables: OrbitTables, anion_repulsion: float) -> OrbitPairs:
        """Pairs of atoms of candidates of these specs.

        Args:
            orbits: orbits of the candidates.
            tables: tables of all positions.
            anion_repulsion: fraction of the summed radii by which two full anions are further apart.
        """
        electronegativity = known_electronegativity(orbits.atomic_number)
        anion = anion_character(electronegativity, self.electronegativity[orbits.spec])
        radius = covalent_radii(orbits.atomic_number)
        return OrbitPairs.of(orbits, tables, self.lattices, radius, anion * anion_repulsion**0.5)


def _look_up(specs: CrystalSpec, listed: int, kept: int) -> tuple[list[Assignments | None], Tensor]:
    """The assignments of each spec, and the atomic numbers of its elements in rising order, (n, 119) int64."""
    composition = specs.composition.cpu()
    composition = torch.cat([torch.zeros_like(composition[:, :1]), composition[:, 1:]], dim=1)
    elements = (composition > 0).long().argsort(dim=1, descending=True, stable=True)
    counts = composition.gather(1, elements).tolist()
    # one look-up each, most of them remembered
    found = [
        simplest_assignments(group, tuple(count for count in row if count > 0), listed, kept)
        if own is None
        else flat_assignments(group, [own])
        for group, row, own in zip(
            specs.space_group.tolist(), counts, prescribed(specs, elements), strict=True
        )
    ]
    return found, elements
