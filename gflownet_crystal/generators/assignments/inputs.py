"""Inputs of the ranker of assignments: features of specs and of their listed assignments."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from gflownet_crystal.common.devices import on_device
from gflownet_crystal.crystallography.lattice import parameters_to_matrix
from gflownet_crystal.generators.assignments.listing import Listing
from gflownet_crystal.generators.draws import joined, uniform
from gflownet_crystal.generators.placing.orbit_spacing import Lattices
from gflownet_crystal.generators.placing.orbit_tables import OrbitTables, orbit_tables
from gflownet_crystal.models.sites.assignment_ranker import RankerInputs
from gflownet_crystal.structures.distances import covalent_radii
from gflownet_crystal.structures.periodic_pairs import expand
from gflownet_crystal.structures.spec import CrystalSpec

# draws of an orbit's free parameters, of which that of largest distances gives the orbit's room
_DRAWS = 4


def ranker_inputs(specs: CrystalSpec, elements: Tensor, listings: Sequence[Listing]) -> RankerInputs:
    """Collect the inputs of n specs.

    Args:
        specs: n specs, n at least 1.
        elements: (n, 119) int64, their ordered elements.
        listings: n, each with an assignment at least.
    """
    device = specs.device
    assignments, orbits, sites = torch.tensor(
        [[len(one), len(one.element), len(one.site_position)] for one in listings], device=device
    ).unbind(1)

    def column(name: str) -> Tensor:
        return torch.from_numpy(np.concatenate([getattr(one, name) for one in listings])).to(device)

    every = torch.arange(len(listings), device=device)
    spec, site_spec = torch.repeat_interleave(every, assignments), torch.repeat_interleave(every, sites)
    place = column("site_element")
    site_element = elements[site_spec, place]
    site_position = column("site_position")
    multiplicity = on_device(orbit_tables(), device).multiplicity
    held = multiplicity[site_position].double() / specs.composition[site_spec, site_element]
    room = orbit_room(specs, site_spec, site_position) / (2.0 * covalent_radii(site_element))
    offsets = torch.repeat_interleave(sites.cumsum(0) - sites, orbits)
    return RankerInputs(
        specs.space_group,
        specs.fractions,
        lattice_shape(specs),
        site_spec,
        site_element,
        site_position,
        held,
        column("site_log_share").double(),
        room,
        spec,
        column("features").double(),
        torch.repeat_interleave(column("n_orbits")),
        column("orbit_site") + offsets,
    )


def lattice_shape(specs: CrystalSpec) -> Tensor:
    """Shapes of cells, (n, 8) float64; see :class:`~gflownet_crystal.models.sites.assignment_ranker.RankerInputs`."""
    a, b, c = specs.lengths.log().unbind(1)
    # about zero mean and unit spread over known crystals
    volume = (specs.volume_per_atom.log() - 2.9) / 0.4
    atoms = specs.n_atoms.double().log() - 2.5
    return torch.stack([volume, b - a, c - a, c - b, atoms, *specs.angles.deg2rad().cos().unbind(1)], dim=1)


def orbit_room(specs: CrystalSpec, spec: Tensor, position: Tensor) -> Tensor:
    """Largest possible distance between the atoms of single orbits, over a few fixed draws, (S,) float64, Å.

    Args:
        specs: n specs.
        spec: (S,) int64.
        position: (S,) int64, rows of the Wyckoff table.
    """
    tables = on_device(orbit_tables(), specs.device)
    lattices = Lattices.of(parameters_to_matrix(specs.lengths, specs.angles), specs.space_group)
    pair, inverse = torch.unique(spec * len(tables.start) + position, return_inverse=True)
    spec, position = pair // len(tables.start), pair % len(tables.start)
    own_images = lattices.shortest[spec]
    is_free = tables.rotation[tables.start[position]].any(-1).any(-1)
    draws = torch.where(is_free, _DRAWS, 1)
    orbit, draw = expand(torch.zeros_like(draws), draws)
    nearest = _nearest(lattices, tables, spec[orbit], position[orbit], draw)
    roomiest = own_images.new_zeros(len(pair)).scatter_reduce(0, orbit, nearest, "amax")
    return roomiest.minimum(own_images)[inverse]


def _nearest(lattices: Lattices, tables: OrbitTables, spec: Tensor, position: Tensor, draw: Tensor) -> Tensor:
    """Shortest distance between two atoms of each of D drawn orbits, (D,) float64, Å; infinite for single atoms."""
    axes = torch.arange(3, device=spec.device)
    parameters = uniform(joined(joined(draw, torch.zeros_like(draw))[:, None], axes))
    first = tables.start[position]
    counts = tables.primitive_multiplicity[position] - 1
    orbit, index = expand(tables.primitive_start[position] + 1, counts)
    operation = tables.primitive[index]
    turned = tables.rotation[operation] - tables.rotation[first[orbit]]
    shift = tables.translation[operation] - tables.translation[first[orbit]]
    difference = (turned * parameters[orbit, None, :]).sum(2) + shift
    distance = lattices.squared(difference, spec[orbit]).sqrt()
    least = distance.new_full((len(spec),), torch.inf)
    return least.scatter_reduce(0, orbit, distance, "amin")
