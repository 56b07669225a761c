"""Candidates on Wyckoff positions whose free parameters diffuse in the lattice of their spec."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from gflownet_crystal.crystallography.cells import to_primitive_cell
from gflownet_crystal.generators.draws import joined
from gflownet_crystal.generators.placing.counter_noise import CounterNoise
from gflownet_crystal.generators.placing.orbit_spacing import Orbits
from gflownet_crystal.generators.placing.orbit_tables import OrbitTables
from gflownet_crystal.models.gemsdiff.graph import AtomTable
from gflownet_crystal.models.gemsdiff.learned_cells import learned_basis
from gflownet_crystal.models.gemsdiff.model import GemsDiffModel
from gflownet_crystal.models.gemsdiff.sampling import Sites, site_parameters
from gflownet_crystal.structures.periodic_pairs import expand

_BITS = 53


def diffused(
    model: GemsDiffModel,
    cell: Tensor,
    space_group: Tensor,
    drawn: Orbits,
    tables: OrbitTables,
    steps: int | None,
) -> Orbits:
    """Candidates with parameters from noise by the model; those without free parameters stay as they are.

    Args:
        model: model on the device of the candidates.
        cell: (n, 3, 3) float64, conventional lattice vectors of the specs as rows, Å.
        space_group: (n,) int64.
        drawn: candidates with uniform parameters in [0, 1), which all other noise is drawn from.
        tables: tables of all positions.
        steps: number of steps of the diffusion that are taken; None for all.
    """
    is_free = (tables.rotation[tables.start[drawn.position]] != 0).flatten(1).any(1)
    counts = is_free.new_zeros(len(drawn.n_orbits), dtype=torch.int64)
    moves = counts.index_add(0, drawn.candidate, is_free.long()) > 0
    moving = drawn.select(moves.nonzero()[:, 0])
    if not len(moving.candidate):
        return drawn
    primitive = to_primitive_cell(cell, space_group)
    learned = learned_basis(primitive) @ primitive
    sites, numbers = _sites((cell, learned), moving, tables)
    n_candidates, of_atom = len(moving.n_orbits), moving.candidate[sites.orbit]
    table = AtomTable.of(numbers, of_atom, n_candidates, model.settings.neighbours)
    bits = (moving.parameters * 2.0**_BITS).long()
    keys = joined(joined(bits[:, 0], bits[:, 1]), bits[:, 2])
    noise = CounterNoise(keys[moving.start], keys)
    parameters = drawn.parameters.clone()
    parameters[moves[drawn.candidate]] = site_parameters(model, table, sites, moving.parameters, noise, steps)
    return replace(drawn, parameters=parameters)


def _sites(cells: tuple[Tensor, Tensor], orbits: Orbits, tables: OrbitTables) -> tuple[Sites, Tensor]:
    """The orbits of candidates with one atom of each in the primitive cell, and the elements of these."""
    spec, position = orbits.spec_of_candidate, orbits.position
    orbit, entry = expand(tables.primitive_start[position], tables.primitive_multiplicity[position])
    operation = tables.primitive[entry]
    operations = tables.rotation[operation], tables.translation[operation]
    first = tables.rotation[tables.start[position]]
    conventional, learned = (cell[spec] for cell in cells)
    sites = Sites.of((conventional, learned), orbits.candidate, orbit, operations, first)
    return sites, orbits.atomic_number[orbit]
