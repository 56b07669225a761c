"""Inputs of the ranker against distances counted by pymatgen."""

from __future__ import annotations

import numpy as np
import torch
from pymatgen.core import Lattice, Structure

from gflownet_crystal.crystallography.wyckoff import wyckoff_positions, wyckoff_table
from gflownet_crystal.generators.assignments.inputs import lattice_shape, orbit_room, ranker_inputs
from gflownet_crystal.generators.assignments.listing import AssignmentLister
from gflownet_crystal.generators.assignments.table import AssignmentTable, keys_of
from gflownet_crystal.structures.convert import from_pymatgen
from gflownet_crystal.structures.spec import CrystalSpec
from gflownet_crystal.structures.symmetry import conventional_structures
from tests.structures.conftest import CRYSTALS

PARAMETERS = {
    225: (5.6, 5.6, 5.6, 90, 90, 90),
    166: (4.0, 4.0, 9.7, 90, 90, 120),
    139: (3.9, 3.9, 12.1, 90, 90, 90),
    14: (5.1, 6.2, 5.9, 90, 104, 90),
    2: (4.1, 5.2, 6.3, 81, 97, 103),
}


def specs() -> CrystalSpec:
    values = torch.tensor(list(PARAMETERS.values()), dtype=torch.float64)
    composition = torch.zeros(len(values), 119, dtype=torch.int64)
    composition[:, 8] = 4
    return CrystalSpec(torch.tensor(list(PARAMETERS)), composition, values[:, :3], values[:, 3:])


def test_room_of_fixed_positions_is_the_shortest_distance() -> None:
    for row, (group, parameters) in enumerate(PARAMETERS.items()):
        positions = wyckoff_positions(group)
        fixed = [index for index, one in enumerate(positions) if one.degrees_of_freedom == 0]
        start = int(np.searchsorted(wyckoff_table().group, group))
        place = torch.tensor([start + index for index in fixed])
        room = orbit_room(specs(), torch.full_like(place, row), place)
        for index, found in zip(fixed, room.tolist(), strict=True):
            orbit = positions[index].orbit(np.zeros(3))
            structure = Structure(Lattice.from_parameters(*parameters), ["O"] * len(orbit), orbit)
            neighbours = structure.get_neighbors(structure[0], 20.0)
            assert np.isclose(found, min(one.nn_distance for one in neighbours), atol=1e-9)


def test_free_positions_have_no_more_room_than_the_lattice_and_less_than_an_atom_alone() -> None:
    table = wyckoff_table()
    for row, group in enumerate(PARAMETERS):
        place = torch.from_numpy(np.flatnonzero(table.group == group))
        room = orbit_room(specs(), torch.full_like(place, row), place)
        cell = Lattice.from_parameters(*PARAMETERS[group])
        primitive = Structure(cell, ["O"], [[0, 0, 0]])
        assert (room > 0).all()
        assert (
            room.max()
            <= max(primitive.get_neighbors(primitive[0], 20.0)[0].nn_distance, min(cell.abc)) + 1e-9
        )


def test_a_spec_has_the_same_inputs_in_any_batch() -> None:
    crystals = [Structure.from_spacegroup(*crystal) for crystal in CRYSTALS.values()]
    every = conventional_structures(from_pymatgen(crystals)).specs()
    keys, elements = keys_of(every.space_group, every.composition)
    lister = AssignmentLister(AssignmentTable(), 20)
    listings = [lister.of(key) for key in keys]
    together = ranker_inputs(every, elements, listings)
    first = 0
    for row, listing in enumerate(listings):
        alone = ranker_inputs(every[row : row + 1], elements[row : row + 1], [listing])
        sites = slice(first, first + len(listing.site_position))
        first = sites.stop
        for name in ("site_element", "site_position", "site_share", "site_log_share", "site_distance"):
            assert torch.equal(getattr(together, name)[sites], getattr(alone, name)), name
        assert torch.equal(together.table[together.spec == row], alone.table)
    assert torch.equal(together.site_spec[together.orbit_site], together.spec[together.orbit_assignment])


def test_shares_of_sites_are_atoms_of_an_orbit_by_atoms_of_the_element() -> None:
    composition = torch.zeros(1, 119, dtype=torch.int64)
    composition[0, [22, 8]] = torch.tensor([4, 8])
    spec = CrystalSpec(
        torch.tensor([225]), composition, torch.full((1, 3), 5.0).double(), torch.full((1, 3), 90.0).double()
    )
    keys, elements = keys_of(spec.space_group, spec.composition)
    inputs = ranker_inputs(spec, elements, [AssignmentLister(AssignmentTable(), 20).of(keys[0])])
    multiplicity = torch.from_numpy(wyckoff_table().multiplicity.astype(np.int64))[inputs.site_position]
    assert torch.allclose(inputs.site_share * composition[0][inputs.site_element], multiplicity.double())


def test_shapes_do_not_depend_on_scale_but_for_the_volume() -> None:
    small, large = specs(), specs()
    grown = CrystalSpec(large.space_group, large.composition, 1.1 * large.lengths, large.angles)
    difference = lattice_shape(grown) - lattice_shape(small)
    expected = torch.zeros_like(difference)
    expected[:, 0] = 3 * np.log(1.1) / 0.4
    assert torch.allclose(difference, expected, atol=1e-12)
