"""Placement of atoms on Wyckoff positions: the assignments that fit, the best of many draws by shortest distance."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from gflownet_crystal.common.annotations import CheckedFields
from gflownet_crystal.common.bounds import Count, NonNegative, Positive, Whole
from gflownet_crystal.crystallography import lattice
from gflownet_crystal.crystallography.wyckoff import wyckoff_positions
from gflownet_crystal.generators.base import Generation, Generator
from gflownet_crystal.generators.placing.best_tries import best_of_each
from gflownet_crystal.generators.placing.candidates import AssignedOrbits, Spacing, contact_distances
from gflownet_crystal.generators.wyckoff_assignments import Assignment, WyckoffAssignments
from gflownet_crystal.structures.distances import PeriodicLattice, shortest_distance_ratio
from gflownet_crystal.structures.site_letters import prescribed
from gflownet_crystal.structures.spec import CrystalSpec
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.structures.symmetry import find_space_groups

_DIGITS = 12


@dataclass(frozen=True)
class WyckoffPlacement(CheckedFields, Generator):
    """Tries the Wyckoff assignments of a spec with random free parameters and keeps the best with the right group.

    For each spec: list assignments with fewest orbits first, draw the free parameters of each, keep the candidates
    whose smallest ratio of distance to contact distance is largest, push their atoms apart, and take the first in
    that order whose symmetry is the spec's group and not a supergroup of it. Contact distances are summed covalent
    radii, longer between anions.

    Attributes:
        max_assignments: assignments tried for a spec.
        tries: draws of the free parameters of all of them together; each assignment has an equal share.
        keep: draws that are kept, some of each assignment; their atoms are pushed apart and their symmetry checked.
        steps: steps of pushing atoms apart; 0 keeps the draws.
        rate: length of a step, fractional coordinates.
        target_ratio: ratio of distance to contact distance at which atoms are left alone.
        anion_repulsion: fraction of the summed radii by which two anions are further apart than bonded atoms.
        min_ratio: smallest ratio of distance to summed radii of a structure; a spec without one is not placed.
        require_group: leave out specs whose atoms always end in a supergroup; otherwise the best of all is taken.
        symprec: distance tolerance of the symmetry search, Å; the group has to hold at a tenth of it too.
        max_distances: pair distances held at once, which bounds the memory.
    """

    place = "generator"

    max_assignments: Count = 200
    tries: Count = 2000
    keep: Count = 60
    steps: Whole = 30
    rate: Positive = 0.01
    target_ratio: Positive = 0.95
    anion_repulsion: NonNegative = 0.6
    min_ratio: NonNegative = 0.6
    require_group: bool = True
    symprec: Positive = 0.05
    max_distances: Count = 500_000

    def generate(self, specs: CrystalSpec, seed: int = 0) -> Generation:
        placed = [self._place(specs[row : row + 1], seed) for row in range(len(specs))]
        rows = [row for row, structure in enumerate(placed) if structure is not None]
        structures = [structure for structure in placed if structure is not None]
        return Generation(
            StructureBatch.cat(structures or [StructureBatch.none(specs.device)]),
            torch.tensor(rows, dtype=torch.int64, device=specs.device),
        )

    def _place(self, spec: CrystalSpec, seed: int) -> StructureBatch | None:
        group = int(spec.space_group)
        elements = spec.composition[0].nonzero().flatten()
        counts = spec.composition[0, elements].tolist()
        generator = torch.Generator().manual_seed(_seed_of(spec, seed))
        (own,) = prescribed(spec, elements[None])
        assignments = self._assignments(group, counts) if own is None else [own]
        if not assignments:
            return None
        cell = lattice.parameters_to_matrix(spec.lengths, spec.angles)
        orbits = AssignedOrbits.of(group, elements.tolist(), assignments, spec.device)
        contact = contact_distances(orbits.atomic_numbers, self.anion_repulsion)
        spacing = Spacing(orbits, PeriodicLattice.of(cell[0]), contact)
        rows, parameters = self._draw(orbits, generator)
        chunk = max(1, self.max_distances // (orbits.representative.shape[1] * orbits.orbit.shape[1]))
        rows, parameters = self._best(spacing, rows, parameters, chunk)
        coordinates = orbits.coordinates(rows, parameters)
        structures = _structures(cell, orbits.atomic_numbers, coordinates, group)
        return self._first_with_group(structures)

    def _assignments(self, group: int, counts: list[int]) -> list[Assignment]:
        positions = wyckoff_positions(group)
        listed = list(islice(WyckoffAssignments(group, counts), 20 * self.max_assignments))

        def rank(assignment: Assignment) -> tuple[int, int]:
            used = [positions[index] for own in assignment for index in own]
            return len(used), sum(position.degrees_of_freedom for position in used)

        return sorted(listed, key=rank)[: self.max_assignments]

    def _draw(self, orbits: AssignedOrbits, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        n, most = orbits.representative.shape
        every = torch.arange(n, device=orbits.orbit.device)
        # one try says all of an assignment without free parameters
        rows = torch.cat([every, every[orbits.is_free].repeat(self.tries // n)])
        parameters = torch.rand(len(rows), most, 3, generator=generator, dtype=torch.float64)
        return rows, parameters.to(rows.device)

    def _best(self, spacing: Spacing, rows: Tensor, parameters: Tensor, chunk: int) -> tuple[Tensor, Tensor]:
        """The candidates of largest distances, with and without pushing their atoms apart, largest first."""
        ratios = spacing.smallest(rows, parameters, chunk)
        best = best_of_each(rows, ratios, max(self.keep // len(spacing.orbits.n_orbits), 3), _DIGITS)
        best = best[ratios[best].argsort(descending=True, stable=True)][: self.keep]
        rows, parameters, ratios = rows[best], parameters[best], ratios[best]
        moved = torch.cat(
            [
                spacing.spread(r, p, self.target_ratio, self.steps, rate=self.rate)
                for r, p in zip(rows.split(chunk), parameters.split(chunk), strict=True)
            ]
        )
        rows, parameters = rows.repeat(2), torch.cat([moved, parameters])
        ratios = torch.cat([spacing.smallest(rows[: len(moved)], moved, chunk), ratios])
        order = ratios.argsort(descending=True, stable=True)
        return rows[order], parameters[order]

    def _first_with_group(self, structures: StructureBatch) -> StructureBatch | None:
        roomy = shortest_distance_ratio(structures) >= self.min_ratio
        structures = structures[roomy]
        for row in range(len(structures)):
            one = structures[row : row + 1]
            if all(
                find_space_groups(one, tol).equal(one.space_group.cpu())
                for tol in (self.symprec, self.symprec / 10)
            ):
                return one
        return None if self.require_group or len(structures) == 0 else structures[:1]


def _structures(cell: Tensor, atomic_numbers: Tensor, coordinates: Tensor, group: int) -> StructureBatch:
    n, n_atoms = coordinates.shape[:2]
    wrapped = coordinates - coordinates.floor()
    # the floor of a tiny negative number leaves exactly one
    wrapped = torch.where(wrapped >= 1, 0.0, wrapped)
    return StructureBatch(
        cell.expand(n, 3, 3),
        atomic_numbers.repeat(n),
        wrapped.reshape(-1, 3),
        torch.arange(n, device=cell.device).repeat_interleave(n_atoms),
        torch.full((n,), group, dtype=torch.int64, device=cell.device),
    )


def _seed_of(spec: CrystalSpec, seed: int) -> int:
    content = b"".join(tensor.cpu().numpy().tobytes() for tensor in spec.to_dict().values())
    digest = hashlib.blake2b(content + str(seed).encode(), digest_size=7).digest()
    return int.from_bytes(digest, "little")
