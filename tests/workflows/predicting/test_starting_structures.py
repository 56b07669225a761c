"""Elements exchanged on the sites of a crystal: all neutral combinations, on the same positions, in scaled cells."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest
import torch
from pymatgen.core import Composition, Lattice, Structure

from gflownet_crystal.common.errors import ConfigError, DataError, EmptySpaceError
from gflownet_crystal.envs.crystal import Crystal
from gflownet_crystal.gflownet.model import GFlowNet
from gflownet_crystal.structures.convert import from_pymatgen, to_pymatgen
from gflownet_crystal.structures.site_letters import sites_to_text
from gflownet_crystal.structures.symmetry import find_space_groups
from gflownet_crystal.workflows.predicting.likely_cells import CellKinds, log_prior
from gflownet_crystal.workflows.predicting.starting_structures import (
    Start,
    placed_specs,
    read_start,
    scaled,
    substituted,
)
from tests.gflownet.random_models import random_model

ELEMENTS = ("Na", "K", "Mg", "O", "Cl", "F", "Fe", "P")
PYRITE = Structure.from_spacegroup(205, Lattice.cubic(5.42), ["Mg", "O"], [[0, 0, 0], [0.385] * 3])
HALITE = Structure.from_spacegroup(225, Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])


def model() -> GFlowNet:
    env = Crystal(elements=ELEMENTS, space_groups=[205, 225], max_count=8, n_atoms=(1, 16), n_elements=(1, 3))
    return random_model(env)


def test_all_neutral_combinations_of_elements_take_the_sites() -> None:
    """Single oxidation states of the elements named leave no doubt about what is neutral."""
    states = {"Na": 1, "K": 1, "Mg": 2, "Cl": -1, "F": -1}
    sites = {"Na": ["Na", "K", "Mg"], "Cl": ["Cl", "F"]}
    found = substituted(Start.of(from_pymatgen([HALITE])), sites, model(), 100)
    made = {one.composition.reduced_formula for one in to_pymatgen(found.structures)}
    expected = {
        Composition({a: 1, b: 1}).reduced_formula
        for a, b in product(sites["Na"], sites["Cl"])
        if states[a] + states[b] == 0
    }
    assert made == expected


def test_positions_group_and_parameters_stay_and_volumes_follow_the_elements() -> None:
    start = Start.of(from_pymatgen([PYRITE]))
    found = substituted(start, {"Mg": ["Mg", "Fe"]}, model(), 10)
    assert len(found.structures) == len(found.probability) == 2
    assert (find_space_groups(found.structures, 0.01) == 205).all()
    _, specs = placed_specs(found.structures)
    letters = sites_to_text(start.specs)[0]
    assert set(sites_to_text(specs)) == {letters, letters.replace("Mg", "Fe")}
    same = found.structures.atomic_numbers == 12
    assert found.structures.fractional[same].unique(dim=0).shape == (4, 3)
    own = ["Mg" in one.composition for one in to_pymatgen(found.structures)].index(True)
    torch.testing.assert_close(found.structures.cell[own], start.structure.cell[0])
    larger = scaled(found.structures, 1.5)
    torch.testing.assert_close(larger.volume, 1.5 * found.structures.volume)
    assert torch.equal(larger.fractional, found.structures.fractional)


def test_the_likeliest_by_the_prior_come_first() -> None:
    prior = model()
    sites = {"Na": ["Na", "K"], "Cl": ["Cl", "F"]}
    found = substituted(Start.of(from_pymatgen([HALITE])), sites, prior, 100)
    whole = found.structures.specs()
    log_p = log_prior(prior, CellKinds(whole.space_group, whole.composition))
    torch.testing.assert_close(found.probability, torch.softmax(log_p, 0))
    assert found.probability.tolist() == sorted(found.probability.tolist(), reverse=True)
    fewer = substituted(Start.of(from_pymatgen([HALITE])), sites, prior, 2)
    torch.testing.assert_close(fewer.probability, found.probability[:2])


def test_elements_of_equal_number_may_exchange_their_sites() -> None:
    cells = Lattice.cubic(4.0)
    perovskite = Structure.from_spacegroup(
        221, cells, ["K", "Mg", "F"], [[0, 0, 0], [0.5] * 3, [0.5, 0.5, 0]]
    )
    found = substituted(
        Start.of(from_pymatgen([perovskite])), {"K": ["K", "Mg"], "Mg": ["K", "Mg"]}, model(), 10
    )
    assert len(found.probability) == 2
    assert len(set(sites_to_text(placed_specs(found.structures)[1]))) == 2


@pytest.mark.parametrize(
    ("sites", "error", "says"),
    [
        ({"K": ["Na"]}, ConfigError, "K"),
        ({"Na": ["Xx"]}, ConfigError, "no element Xx"),
        ({"Na": ["Mg"]}, EmptySpaceError, "is neutral"),
    ],
)
def test_what_cannot_be_exchanged_is_refused(
    sites: dict[str, list[str]], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        substituted(Start.of(from_pymatgen([HALITE])), sites, model(), 10)


def test_a_file_of_one_crystal_is_read_in_any_format(tmp_path: Path) -> None:
    for name in ("a.cif", "POSCAR", "b.json"):
        HALITE.to(filename=str(tmp_path / name))
        assert read_start(tmp_path / name).formula == "NaCl"
    with pytest.raises(DataError, match="give a file with one"):
        read_start(tmp_path)
