"""Crystals as orbits with free parameters, and all parameters that describe the same crystal."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gflownet_crystal.crystallography.lattice import parameters_to_matrix
from gflownet_crystal.crystallography.orbit_rotations import origin_shifts
from gflownet_crystal.crystallography.site_projectors import site_flats
from gflownet_crystal.generators.placing.orbit_tables import orbit_tables
from gflownet_crystal.generators.placing.site_graphs import site_graph, site_lattices, site_tables
from gflownet_crystal.models.sites.graph import SiteGraph, SiteLattices
from gflownet_crystal.models.sites.settings import SiteSettings
from gflownet_crystal.structures.occupied_positions import OccupiedPositions
from gflownet_crystal.structures.periodic_pairs import expand
from gflownet_crystal.structures.spec import CrystalSpec
from gflownet_crystal.training.generators.site_exchange import Exchangeable

_SAME = 1e-3
_CHUNK = 2000
_ALIGNMENTS = 2
_EXCHANGES = 12


@dataclass(frozen=True)
class SiteData:
    """n crystals, and how each can be described with its orbits on the same positions.

    A placement of a crystal is a choice of origin that the group does not notice and that leaves every orbit on its
    position; in it an orbit has as many images, sets of parameters, as it has atoms where the first one may stand.

    Attributes:
        lattices: lattices of the crystals.
        space_group: (n,) int64.
        occupied: their O orbits.
        placements: (n,) int64, how many each has.
        images: (K,) int64, for each placement of each crystal and each of its orbits in turn, how many there are.
        parameters: (E, 3) float64, the images one after the other.
    """

    lattices: SiteLattices
    space_group: Tensor
    occupied: OccupiedPositions
    placements: Tensor
    images: Tensor
    parameters: Tensor

    @classmethod
    def of(cls, specs: CrystalSpec, occupied: OccupiedPositions, settings: SiteSettings) -> SiteData:
        """Find all descriptions of crystals.

        Args:
            specs: n specs of conventional cells.
            occupied: their orbits, found in all.
            settings: settings of the network that is to read them.
        """
        parts = []
        for rows in torch.arange(len(specs)).split(_CHUNK):
            own = specs[rows]
            cell = parameters_to_matrix(own.lengths, own.angles)
            found = _descriptions(occupied.take(rows), own.space_group, cell)
            parts.append((site_lattices(cell, own.space_group, settings), *found))
        lattices, placements, images, parameters = zip(*parts, strict=True)
        return cls(
            SiteLattices.cat(lattices),
            specs.space_group,
            occupied,
            torch.cat(placements),
            torch.cat(images),
            torch.cat(parameters),
        )

    def __len__(self) -> int:
        return len(self.lattices)

    @property
    def n_orbits(self) -> Tensor:
        """Orbits of each crystal, (n,) int64."""
        return torch.bincount(self.occupied.structure, minlength=len(self))

    @property
    def n_pairs(self) -> Tensor:
        """Cost of a step for each crystal, (n,) int64: orbits times atoms of the primitive cell."""
        multiplicity = orbit_tables().primitive_multiplicity[self.occupied.position]
        atoms = torch.zeros(len(self), dtype=torch.int64)
        return atoms.index_add_(0, self.occupied.structure, multiplicity) * self.n_orbits

    @property
    def is_free(self) -> Tensor:
        """Whether a crystal has a free parameter, (n,) bool."""
        return self.n_free > 0

    @property
    def n_free(self) -> Tensor:
        """Free parameters of each crystal, (n,) int64."""
        tables = orbit_tables()
        freedom = (tables.rotation[tables.start[self.occupied.position]] != 0).any(1).sum(1)
        return torch.zeros(len(self), dtype=torch.int64).index_add_(0, self.occupied.structure, freedom)

    def take(self, rows: Tensor) -> SiteData:
        """Some crystals, (m,) int64, in that order."""
        n_orbits = self.n_orbits
        entries = self.placements * n_orbits
        _, entry = expand((entries.cumsum(0) - entries)[rows], entries[rows])
        _, image = expand((self.images.cumsum(0) - self.images)[entry], self.images[entry])
        return SiteData(
            self.lattices[rows],
            self.space_group[rows],
            self.occupied.take(rows),
            self.placements[rows],
            self.images[entry],
            self.parameters[image],
        )

    def graph(self) -> SiteGraph:
        """The graph of all crystals."""
        own = self.occupied
        return site_graph(self.lattices, own.structure, own.position, own.atomic_number, site_tables())

    def nearest(self, graph: SiteGraph, start: Tensor) -> Tensor:
        """The way from given parameters to the nearest description of each crystal.

        The nearest placement is taken, exchanges between equivalent orbits then shorten the distances (not always as
        far as that is possible), and origins along polar axes are chosen so that the ways have no mean.

        Args:
            graph: graph of these crystals.
            start: (O, 3) float64.

        Returns:
            (O, 3) float64 changes of parameters, about -0.5 to 0.5.
        """
        own = self.occupied
        exchangeable = Exchangeable.of(own.structure, own.position, own.atomic_number)
        seen = start
        for _ in range(_ALIGNMENTS):
            way = self._exchanged(graph, seen, self._placed(graph, seen), exchangeable)
            step = graph.in_parameters(graph.drift(graph.displacement(way))[graph.crystal])
            way, seen = way - step, seen + step
        return way

    def _placed(self, graph: SiteGraph, start: Tensor) -> Tensor:
        """For each orbit, the row of ``images`` in the nearest placement of its crystal, (O,) int64."""
        n_orbits = self.n_orbits
        owner = torch.repeat_interleave(self.placements)
        placement, orbit = expand((n_orbits.cumsum(0) - n_orbits)[owner], n_orbits[owner])
        entry = torch.repeat_interleave(self.images)
        way = _wrapped(self.parameters - start[orbit[entry]])
        cost, _ = _cheapest(way, graph, orbit[entry], entry, len(orbit))
        total = cost.new_zeros(len(owner)).index_add_(0, placement, cost)
        least = total.new_full((len(self),), torch.inf).scatter_reduce(0, owner, total, "amin")
        chosen = _first_least(total, least, owner)
        return expand(torch.searchsorted(placement, chosen), n_orbits)[1]

    def _exchanged(
        self, graph: SiteGraph, start: Tensor, entries: Tensor, exchangeable: Exchangeable
    ) -> Tensor:
        """The shortest ways to these images, where each orbit may take those of any like it, (O, 3)."""
        itself = torch.arange(len(entries))
        first, second = torch.cat([itself, exchangeable.first]), torch.cat([itself, exchangeable.second])
        chosen = entries[second]
        pair, image = expand((self.images.cumsum(0) - self.images)[chosen], self.images[chosen])
        way = _wrapped(self.parameters[image] - start[first[pair]])
        cost, cheapest = _cheapest(way, graph, first[pair], pair, len(first))
        table = cost.new_full((len(entries), exchangeable.most), torch.inf)
        table[first, exchangeable.place[second]] = cost
        rows = torch.zeros(table.shape, dtype=torch.int64)
        rows[first, exchangeable.place[second]] = cheapest
        taken = exchangeable.exchanged(table, _EXCHANGES)
        return way[rows.gather(1, taken[:, None])[:, 0]]


def _wrapped(way: Tensor) -> Tensor:
    return way - way.round()


def _cheapest(
    way: Tensor, graph: SiteGraph, orbit: Tensor, group: Tensor, n_groups: int
) -> tuple[Tensor, Tensor]:
    """The least sum of squared displacements, Å^2, among the displacements (E, 3) of each group, and its index."""
    squared = torch.einsum("ei,eij->ej", way, graph.span[orbit]).square().sum(1) * graph.multiplicity[orbit]
    least = squared.new_full((n_groups,), torch.inf).scatter_reduce(0, group, squared, "amin")
    return least, _first_least(squared, least, group)


def _first_least(values: Tensor, least: Tensor, group: Tensor) -> Tensor:
    """The first row of each group whose value is the group's least one, int64."""
    rows = torch.arange(len(values), device=values.device).where(values <= least[group], len(values))
    first = torch.full((len(least),), len(values), dtype=torch.int64, device=values.device)
    return first.scatter_reduce(0, group, rows, "amin")


def _descriptions(
    occupied: OccupiedPositions, space_group: Tensor, cell: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Placements of crystals, images of their orbits in them, and their parameters."""
    tables, flats = orbit_tables(), site_flats()
    listed = [torch.from_numpy(origin_shifts(group)) for group in space_group.tolist()]
    counts = torch.tensor([len(shifts) for shifts in listed])
    shifts = torch.cat(listed)
    shift_crystal = torch.repeat_interleave(counts)
    n_orbits = torch.bincount(occupied.structure, minlength=len(counts))
    first_orbit = n_orbits.cumsum(0) - n_orbits
    # all atoms of each orbit in each shift, and where the first atom's flat holds them
    shift, orbit = expand(first_orbit[shift_crystal], n_orbits[shift_crystal])
    position = occupied.position[orbit]
    entry, operation = expand(tables.start[position], tables.multiplicity[position])
    points = torch.einsum("aij,aj->ai", tables.rotation[operation], occupied.parameters[orbit[entry]])
    points = points + tables.translation[operation] + shifts[shift[entry]]
    made, miss = flats.parameters(points, tables.start[position[entry]])
    miss = torch.einsum("ai,aij->aj", miss, cell[occupied.structure[orbit[entry]]])
    fits = miss.norm(dim=1) < _SAME
    images = torch.bincount(entry[fits], minlength=len(orbit))
    whole = torch.ones(len(shifts), dtype=torch.bool)
    whole[shift[images == 0]] = False
    kept = fits & whole[shift[entry]]
    placements = torch.bincount(shift_crystal[whole], minlength=len(counts))
    return placements, images[whole[shift]], torch.remainder(made[kept], 1.0)


def uniform_parameters(graph: SiteGraph, generator: torch.Generator) -> Tensor:
    """Uniform parameters of the orbits of a graph, zero where nothing is free, (O, 3) float64."""
    drawn = torch.rand(len(graph.crystal), 3, generator=generator, dtype=torch.float64)
    return drawn.to(graph.span.device).where(graph.is_free, 0.0)
