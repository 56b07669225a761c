"""Atoms on Wyckoff positions with free parameters by a learned flow: the group holds by construction."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from gflownet_crystal.common.devices import on_device
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.common.moving import MovedToDevice
from gflownet_crystal.generators.assignments.assigned_specs import AssignedSpecs
from gflownet_crystal.generators.assignments.drawing import draw_candidates, drawable_assignments
from gflownet_crystal.generators.assignments.ranked import RankedAssignments
from gflownet_crystal.generators.base import Generation, Generator, check_options, in_batches
from gflownet_crystal.generators.placing.best_tries import best_of_each
from gflownet_crystal.generators.placing.orbit_spacing import Orbits
from gflownet_crystal.generators.placing.orbit_tables import orbit_tables
from gflownet_crystal.generators.placing.site_graphs import site_graph, site_lattices, site_tables
from gflownet_crystal.generators.prototypes.known_sites import KnownSites
from gflownet_crystal.generators.selection import make_room
from gflownet_crystal.models.energies.potentials import load_energies
from gflownet_crystal.models.energies.structure_energies import StructureEnergies
from gflownet_crystal.models.sites.parameter_flow import ParameterFlow
from gflownet_crystal.structures.batching import cut_by_atoms
from gflownet_crystal.structures.occupied_positions import is_free
from gflownet_crystal.structures.primitive import to_primitive
from gflownet_crystal.structures.spec import CrystalSpec
from gflownet_crystal.structures.structure import StructureBatch

_KNOWN_EVERY = 4
"""Number of tries of which one starts at the coordinates of a known crystal."""


@dataclass(frozen=True)
class _Drawn:
    """C candidates, and (C,) bool which have the coordinates of a known crystal; the others have noise."""

    orbits: Orbits
    is_known: Tensor


class WyckoffSampler(MovedToDevice, Generator):
    """Sampler of Wyckoff assignments and their free parameters, which keeps the best of several tries.

    The parameters follow :class:`~gflownet_crystal.models.sites.parameter_flow.ParameterFlow` from uniform noise. Every
    fourth try, the first one included, starts at the coordinates of a known crystal with the same Wyckoff positions, if
    there is one, and follows the last part of the flow only, which fits them to elements and cell.
    Tries whose atoms come too close are dropped; of the others the one of lowest energy is kept where a model of
    energies is given, else the one with the largest ratio of shortest distance to summed covalent radii. Without
    energies, the tries of a spec end with the first whose ratio is large enough. A spec all of whose tries are
    dropped is placed by :func:`~gflownet_crystal.generators.selection.make_room`.

    Args:
        weights: name of shipped weights, or a ``.safetensors`` file.
        ranking: weights that rank assignments; None takes those with the fewest orbits.
        known_sites: coordinates of known crystals; None for none.
        known_time: time of the flow, 0 (noise) to 1, from which these follow it; 1 keeps them as they are.
        assignments: number of assignments of a spec that may be drawn, the best-ranked ones.
        tries: largest number of draws a spec.
        enough: ratio of distance to summed covalent radii with which a try is the last; not with ``energies``.
        steps: number of steps of the flow.
        velocity_scale: rise of the velocities with time; see :meth:`ParameterFlow.integrate`.
        min_distance: smallest distance of two atoms, periodic images included, Å.
        min_ratio: smallest ratio of that distance to the summed covalent radii for a try to count.
        energies: energy model that ranks the tries; None ranks them by distances.
        atoms: approximate number of atoms placed together, in conventional cells; bounds the memory.
        flow: flow in memory, used instead of the weights.

    Raises:
        ConfigError: a number is out of range.
        WeightsError: there are no such weights.
    """

    def __init__(
        self,
        weights: str | Path = "wyckoff",
        ranking: str | RankedAssignments | None = "assignments",
        known_sites: str | Path | KnownSites | None = "site_templates",
        known_time: float = 0.5,
        assignments: int = 20,
        tries: int = 4,
        enough: float = 0.88,
        steps: int = 12,
        velocity_scale: float = 20.0,
        min_distance: float = 0.5,
        min_ratio: float = 0.4,
        energies: str | StructureEnergies | None = None,
        atoms: int = 2048,
        flow: ParameterFlow | None = None,
    ) -> None:
        self.assignments, self.tries, self.steps, self.atoms = assignments, tries, steps, atoms
        self.velocity_scale, self.min_distance, self.min_ratio = velocity_scale, min_distance, min_ratio
        self.enough, self.known_time = enough, known_time
        at_least_one = ("assignments", "tries", "steps", "atoms")
        check_options(vars(self), at_least_one, ("velocity_scale", "min_distance", "min_ratio", "enough"))
        if not 0.0 <= known_time <= 1.0:
            raise ConfigError(f"generator.known_time={known_time} has to be from 0 to 1")
        self.flow = (ParameterFlow.from_weights(weights) if flow is None else flow).eval()
        self.ranking = RankedAssignments.load(ranking) if isinstance(ranking, str) else ranking
        self.known_sites = (
            KnownSites.load(known_sites) if isinstance(known_sites, str | Path) else known_sites
        )
        self.energies = load_energies(energies) if isinstance(energies, str) else energies

    def single(self) -> tuple[Generator, int]:
        """A sampler of one draw a spec; seed s of it is draw s modulo the tries of this one's seed s // tries."""
        made = copy(self)
        made.tries = 1
        return made, self.tries

    @torch.no_grad()
    def generate(self, specs: CrystalSpec, seed: int = 0) -> Generation:
        self._join(specs)
        at_once = 1 if self.energies is None else self.tries
        sizes = specs.n_atoms * at_once
        found = in_batches(
            specs, sizes, self.atoms, lambda part: self._place(part, seed, at_once), by_size=False
        )
        return make_room(found, specs, seed, self.min_distance, atoms=self.atoms)

    @torch.no_grad()
    def generate_several(self, specs: CrystalSpec, seeds: Sequence[int]) -> list[Generation]:
        if self.tries > 1 or self.energies is not None:
            return super().generate_several(specs, seeds)
        self._join(specs)
        numbers = torch.tensor(seeds, device=specs.device)
        every = torch.arange(len(specs), device=specs.device)
        parts = [(StructureBatch.none(specs.device), every[:0], every[:0])]
        for batch in cut_by_atoms(every, specs.n_atoms * len(seeds), self.atoms):
            own = specs[batch]
            assigned, log_probability = drawable_assignments(own, self.ranking, self.assignments)
            wanting = torch.ones_like(batch, dtype=torch.bool)
            drawn_tries = self._drawn(own, assigned, log_probability, numbers, wanting)
            made, _, kept = self._rated(assigned, own, drawn_tries)
            # the draws of a spec stand together, one a seed
            parts.append((made.structures, batch[made.rows], kept % len(seeds)))
        structures, rows, number = zip(*parts, strict=True)
        drawn = Generation(StructureBatch.cat(list(structures)), torch.cat(rows))
        result = []
        for place, seed in enumerate(seeds):
            own_draws = (torch.cat(number) == place).nonzero()[:, 0]
            found = Generation(drawn.structures[own_draws], drawn.rows[own_draws])
            result.append(make_room(found, specs, seed, self.min_distance, atoms=self.atoms))
        return result

    def sample(
        self, cell: Tensor, space_group: Tensor, drawn: Orbits, is_known: Tensor | None = None
    ) -> Orbits:
        """Follow the flow from the parameters of candidates, uniform in [0, 1).

        Args:
            cell: (n, 3, 3) float64, conventional lattice vectors of the specs as rows, Å.
            space_group: (n,) int64.
            drawn: C candidates.
            is_known: (C,) bool, candidates that begin at ``known_time``; None for none.
        """
        free = is_free(drawn.position.cpu()).to(drawn.position.device)
        moves = torch.zeros(len(drawn.n_orbits), dtype=torch.bool, device=free.device)
        moves[drawn.candidate[free]] = True
        parameters = drawn.parameters.where(free[:, None], 0.0)
        known = torch.zeros_like(moves) if is_known is None else is_known
        # candidates without free parameters have nothing to integrate
        for some, first in ((moves & ~known, 0), (moves & known, round(self.known_time * self.steps))):
            if bool(some.any()):
                own = drawn.select(some.nonzero()[:, 0])
                parameters[some[drawn.candidate]] = self._followed(cell, space_group, own, first)
        return replace(drawn, parameters=parameters)

    def _join(self, specs: CrystalSpec) -> None:
        """Move to the device of specs."""
        if self.flow.network.element.device != specs.device:
            self.to(specs.device)

    def _followed(self, cell: Tensor, space_group: Tensor, drawn: Orbits, first: int) -> Tensor:
        """(O, 3) parameters of candidates, each with a free one, after the flow from step ``first`` on."""
        lattices = site_lattices(cell, space_group, self.flow.settings)[drawn.spec_of_candidate]
        tables = on_device(site_tables(), cell.device)
        graph = site_graph(lattices, drawn.candidate, drawn.position, drawn.atomic_number, tables)
        start = drawn.parameters.where(graph.is_free, 0.0)
        return self.flow.integrate(graph, start, self.steps, self.velocity_scale, first)

    def _place(self, specs: CrystalSpec, seed: int, at_once: int) -> Generation:
        """The best tries, some at once, until they are enough."""
        assigned, log_probability = drawable_assignments(specs, self.ranking, self.assignments)
        numbers = torch.arange(self.tries, device=specs.device) + seed * self.tries
        wanting = torch.ones(len(specs), dtype=torch.bool, device=specs.device)
        tries = []
        for own in numbers.split(at_once):
            drawn = self._drawn(specs, assigned, log_probability, own, wanting)
            made, rating, _ = self._rated(assigned, specs, drawn)
            tries.append((made.structures, made.rows, rating))
            wanting[made.rows[rating >= self.enough]] = False
        structures, rows, ratings = zip(*tries, strict=True)
        spec = torch.cat(rows)
        best = best_of_each(spec, torch.cat(ratings))
        return Generation(StructureBatch.cat(list(structures))[best], spec[best])

    def _drawn(
        self,
        specs: CrystalSpec,
        assigned: AssignedSpecs,
        log_probability: Tensor,
        numbers: Tensor,
        wanting: Tensor,
    ) -> _Drawn:
        """The tries of these numbers of the specs that want one, (n,) bool, before they follow the flow."""
        drawn = draw_candidates(assigned, log_probability, numbers)
        number = numbers.repeat(len(drawn.n_orbits) // max(1, len(numbers)))
        rows = wanting[drawn.spec_of_candidate].nonzero()[:, 0]
        drawn, number = drawn.select(rows), number[rows]
        if self.known_sites is None:
            return _Drawn(drawn, torch.zeros_like(number, dtype=torch.bool))
        some = (number % _KNOWN_EVERY == 0).nonzero()[:, 0]
        return _Drawn(*self.known_sites.place(specs, drawn, some, number[some] // _KNOWN_EVERY))

    def _rated(
        self, assigned: AssignedSpecs, specs: CrystalSpec, drawn: _Drawn
    ) -> tuple[Generation, Tensor, Tensor]:
        """The structures of draws whose atoms keep their distance, ratings, the higher the better, and their draws."""
        tables = on_device(orbit_tables(), specs.device)
        candidates = self.sample(assigned.cell, specs.space_group, drawn.orbits, drawn.is_known)
        distance, ratio = assigned.pairs(candidates, tables, 0.0).closest()
        kept = ((distance >= self.min_distance) & (ratio >= self.min_ratio)).nonzero()[:, 0]
        candidates, rating = candidates.select(kept), ratio[kept]
        structures = candidates.structures(assigned.cell, specs.space_group, tables)
        if self.energies is not None and len(kept):
            rating = -self.energies.predict(to_primitive(structures))[0].nan_to_num(torch.inf)
        return Generation(structures, candidates.spec_of_candidate), rating, kept
