"""Graphs of orbits on Wyckoff positions, the input of networks on sites."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from gflownet_crystal.common.moving import CopiedToDevice
from gflownet_crystal.crystallography.cells import to_primitive_cell
from gflownet_crystal.crystallography.orbit_rotations import orbit_rotations
from gflownet_crystal.crystallography.site_projectors import site_projectors
from gflownet_crystal.generators.placing.orbit_tables import OrbitTables, orbit_tables
from gflownet_crystal.models.layers.padding import round_size
from gflownet_crystal.models.sites.graph import SiteGraph, SiteLattices
from gflownet_crystal.models.sites.settings import SiteSettings
from gflownet_crystal.structures.periodic_pairs import expand
from gflownet_crystal.structures.reduction import reduce_cells


@dataclass(frozen=True)
class SiteTables(CopiedToDevice):
    """Tables of all Wyckoff positions.

    Attributes:
        orbits: their operations.
        turn: (14433, 3, 3) float64, rotation of the group that makes each atom from the first one of its position.
    """

    orbits: OrbitTables
    turn: Tensor


@cache
def site_tables() -> SiteTables:
    """The tables on the CPU, made once."""
    return SiteTables(orbit_tables(), torch.from_numpy(orbit_rotations()).double())


def site_lattices(cell: Tensor, space_group: Tensor, settings: SiteSettings) -> SiteLattices:
    """Lattices of conventional cells, (n, 3, 3) lattice vectors as rows, Å, of groups (n,)."""
    primitive = to_primitive_cell(cell, space_group)
    return SiteLattices.of(cell, reduce_cells(primitive) @ primitive, settings.cutoff, settings.images)


def site_graph(
    lattices: SiteLattices, crystal: Tensor, position: Tensor, atomic_number: Tensor, tables: SiteTables
) -> SiteGraph:
    """The graph of the orbits of n crystals.

    Args:
        lattices: n primitive ones.
        crystal: (O,) int64, not decreasing, the crystal of each orbit; each has some.
        position: (O,) int64, in :func:`~gflownet_crystal.generators.placing.orbit_tables.orbit_tables`.
        atomic_number: (O,) int64.
        tables: tables on the same device.
    """
    known = tables.orbits
    # atoms of the primitive cells, and for each orbit all those of its crystal
    orbit, operation = expand(known.primitive_start[position], known.primitive_multiplicity[position])
    operation = known.primitive[operation]
    counts = torch.bincount(crystal[orbit], minlength=len(lattices))
    first, atom = expand((counts.cumsum(0) - counts)[crystal], counts[crystal])
    n_pairs = len(first)
    # pairs that only fill up repeat the last one
    extra = round_size(n_pairs) - n_pairs
    first, atom = (torch.cat([index, index[-1:].expand(extra)]) for index in (first, atom))
    start = known.start[position]
    itself = (first == orbit[atom]) & (operation[atom] == start[first])
    pair, number = expand(itself.long(), lattices.n_needed[crystal[first]] - itself.long())
    rotation, cell = known.rotation[start], lattices.cell[crystal]
    to_reduced, inverse = lattices.to_reduced[crystal], torch.linalg.inv(lattices.cell)[crystal]
    theirs = to_reduced[orbit]
    turn = (inverse[orbit] @ tables.turn[operation].mT) @ cell[orbit]
    return SiteGraph(
        lattices=lattices,
        crystal=crystal,
        atomic_number=atomic_number,
        multiplicity=known.primitive_multiplicity[position].float(),
        freedom=(rotation != 0).any(1).sum(1),
        is_free=(rotation != 0).any(1),
        span=rotation.mT @ cell,
        read=(site_projectors(cell, rotation) @ inverse.mT).mT,
        map=rotation.mT @ to_reduced,
        offset=torch.einsum("oi,oij->oj", known.translation[start], to_reduced),
        orbit=orbit,
        atom_map=known.rotation[operation].mT @ theirs,
        atom_offset=torch.einsum("ni,nij->nj", known.translation[operation], theirs),
        turn=turn.float(),
        first=first,
        atom=atom,
        n_pairs=n_pairs,
        pair=pair,
        translation=lattices.translations[crystal[first[pair]], number],
    )
