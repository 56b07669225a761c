"""Quick placement of atoms on Wyckoff positions, for many specs at once, for proxies that see atoms."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from gflownet_crystal.common.annotations import CheckedFields
from gflownet_crystal.common.bounds import Count, NonNegative, Positive, Whole
from gflownet_crystal.common.devices import on_device
from gflownet_crystal.generators.assignments.assigned_specs import AssignedSpecs
from gflownet_crystal.generators.base import Generation, Generator, in_batches
from gflownet_crystal.generators.placing.best_tries import best_of_each
from gflownet_crystal.generators.placing.candidates import push_apart
from gflownet_crystal.generators.placing.orbit_spacing import OrbitPairs, Orbits
from gflownet_crystal.generators.placing.orbit_tables import orbit_tables
from gflownet_crystal.structures.spec import CrystalSpec

# assignments looked at for each one that is tried
_LISTED = 4
# ratios are compared without rounding errors, so that ties are broken the same way in every batch
_DIGITS = 7


@dataclass(frozen=True)
class QuickPlacement(CheckedFields, Generator):
    """Draws the free parameters of the simplest Wyckoff assignments, keeps the best and pushes its atoms apart.

    Draws depend on group, composition and seed, not on the lattice: where that changes little, so do the atoms. The
    structure may have a supergroup of the spec's group, too;
    :class:`~gflownet_crystal.generators.placement.WyckoffPlacement` is slow, and thorough.

    Attributes:
        assignments: tried for a spec, those with the fewest orbits.
        tries: draws of the free parameters of each.
        keep: draws of a spec whose atoms are pushed apart.
        steps: steps of pushing atoms apart; 0 keeps the draws.
        rate: length of a step, fractional coordinates.
        target_ratio: ratio of distance to contact distance at which atoms are left alone.
        anion_repulsion: fraction of the summed radii by which two anions are further apart than bonded atoms.
        min_ratio: smallest ratio of distance to summed radii of a structure; a spec without one is not placed.
        atoms: number of atoms of specs that are placed together, about; bounds the memory.
    """

    place = "generator"

    assignments: Count = 8
    tries: Count = 8
    keep: Count = 2
    steps: Whole = 20
    rate: Positive = 0.01
    target_ratio: Positive = 0.95
    anion_repulsion: NonNegative = 0.6
    min_ratio: NonNegative = 0.6
    atoms: Count = 1024

    @torch.no_grad()
    def generate(self, specs: CrystalSpec, seed: int = 0) -> Generation:
        return in_batches(
            specs, specs.n_atoms, self.atoms, lambda part: self._place(part, seed), by_size=False
        )

    def _place(self, specs: CrystalSpec, seed: int) -> Generation:
        tables = on_device(orbit_tables(), specs.device)
        assigned = AssignedSpecs.of(specs, _LISTED * self.assignments, self.assignments, seed)
        drawn = assigned.draw(self.tries)
        pairs = assigned.pairs(drawn, tables, self.anion_repulsion)
        ratio = pairs.smallest(pairs.distances(drawn.parameters) / pairs.contact)
        kept = drawn.select(best_of_each(drawn.spec_of_candidate, ratio, self.keep, _DIGITS))
        spread, ratio = self._spread(assigned.pairs(kept, tables, self.anion_repulsion))
        best = spread.select(best_of_each(spread.spec_of_candidate, ratio, 1, _DIGITS))
        roomy = assigned.pairs(best, tables, self.anion_repulsion).closest()[1] >= self.min_ratio
        best = best.select(roomy.nonzero()[:, 0])
        structures = best.structures(assigned.cell, specs.space_group, tables)
        return Generation(structures, best.spec_of_candidate)

    def _spread(self, pairs: OrbitPairs) -> tuple[Orbits, Tensor]:
        """Candidates with their atoms pushed apart where that helps, and their smallest ratios."""

        def ratios(parameters: Tensor) -> Tensor:
            return pairs.distances(parameters) / pairs.contact

        start = pairs.orbits.parameters
        moved = push_apart(start, ratios, self.target_ratio, self.steps, self.rate)
        before, after = (pairs.smallest(ratios(x)) for x in (start, moved))
        better = (after > before)[pairs.orbits.candidate, None]
        return replace(pairs.orbits, parameters=moved.where(better, start)), after.maximum(before)
