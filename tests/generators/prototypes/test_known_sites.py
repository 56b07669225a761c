"""Coordinates of known crystals for candidates on the same Wyckoff positions."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Lattice, Structure

from gflownet_crystal.common.errors import ConfigError, WeightsError
from gflownet_crystal.generators.assignments.drawing import draw_tries
from gflownet_crystal.generators.assignments.ranked import RankedAssignments
from gflownet_crystal.generators.placing.orbit_spacing import Orbits
from gflownet_crystal.generators.placing.orbit_tables import orbit_tables
from gflownet_crystal.generators.prototypes.known import KnownPrototypes, prototypes_of
from gflownet_crystal.generators.prototypes.known_sites import KIND, KnownSites
from gflownet_crystal.generators.prototypes.templates import Templates
from gflownet_crystal.generators.wyckoff_sampler import WyckoffSampler
from gflownet_crystal.models.sites.parameter_flow import ParameterFlow
from gflownet_crystal.structures.convert import from_pymatgen, to_pymatgen
from gflownet_crystal.structures.site_letters import sites_of
from gflownet_crystal.structures.spec import CrystalSpec
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.structures.symmetry import symmetry_error
from gflownet_crystal.training.generators.assignment_data import OccupiedSpecs
from gflownet_crystal.training.generators.build_prototypes import build, others
from gflownet_crystal.weights import save_weights
from tests.generators.prototypes.test_known import rutile
from tests.models.small_sites import SMALL

MATCHER = StructureMatcher(ltol=0.1, stol=0.1, angle_tol=3)


def pyrite(metal: str, edge: float, u: float) -> Structure:
    return Structure.from_spacegroup(205, Lattice.cubic(edge), [metal, "S"], [[0, 0, 0], [u, u, u]])


def shifted_rutile(cation: str, u: float) -> Structure:
    """Rutile about the other origin: the cation on b instead of a, the same crystal."""
    made = rutile(cation, u, 0.64)
    return Structure(made.lattice, made.species, made.frac_coords + np.array([0.0, 0.0, 0.5]))


def specs_of(crystals: list[Structure]) -> CrystalSpec:
    """Specs of crystals, without positions."""
    return OccupiedSpecs.of(from_pymatgen(crystals))[0].specs


def prescribing(crystals: list[Structure]) -> CrystalSpec:
    """Specs of crystals that prescribe the positions that they have."""
    found, specs = OccupiedSpecs.of(from_pymatgen(crystals))[0], specs_of(crystals)
    return replace(specs, sites=sites_of(found.occupied, specs.space_group))


@pytest.fixture(scope="module")
def known() -> KnownSites:
    crystals = [rutile("Sn", 0.307, 0.67), rutile("Mn", 0.26, 1.3), pyrite("Fe", 5.4, 0.385)]
    return KnownSites(build(OccupiedSpecs.of(from_pymatgen(crystals))[0]).templates)


@cache
def ranking() -> RankedAssignments:
    return RankedAssignments.load()


def placed(
    known: KnownSites, specs: CrystalSpec, tries: int = 2, turn: int = 0
) -> tuple[Orbits, Orbits, torch.Tensor, StructureBatch]:
    """Candidates before and after, which of them are known, and their structures; of each spec try 0 is to be known."""
    assigned, drawn = draw_tries(specs, ranking(), 4, tries, seed=0)
    some = torch.arange(0, len(drawn.n_orbits), tries)
    made, is_known = known.place(specs, drawn, some, torch.full((len(some),), turn))
    return drawn, made, is_known, made.structures(assigned.cell, specs.space_group, orbit_tables())


def test_candidates_get_the_coordinates_of_a_crystal_on_their_positions(known: KnownSites) -> None:
    crystals = [rutile("Ti", 0.305, 0.64), pyrite("Ru", 5.6, 0.388), rutile("Pb", 0.307, 0.68)]
    specs = specs_of(crystals)
    _, _, is_known, structures = placed(known, specs)
    assert is_known.tolist() == [True, False] * 3
    for crystal, one in zip(crystals, to_pymatgen(structures)[::2], strict=True):
        assert MATCHER.fit(crystal, one)
    assert symmetry_error(structures).max() < 1e-9


def test_other_candidates_stay_as_they_were(known: KnownSites) -> None:
    perovskite = Structure.from_spacegroup(
        62, Lattice.orthorhombic(5.4, 7.6, 5.3), ["Ca", "Ti", "O", "O"],
        [[0.03, 0.25, 0.99], [0, 0, 0.5], [0.48, 0.25, 0.07], [0.29, 0.04, 0.71]],
    )  # fmt: skip
    specs = specs_of([perovskite, rutile("Ti", 0.305, 0.64)])
    drawn, made, is_known, _ = placed(known, specs, tries=3)
    assert is_known.tolist() == [False] * 3 + [True, False, False]
    kept = torch.tensor([0, 1, 2, 4, 5])
    for before, after in zip(
        vars(drawn.select(kept)).values(), vars(made.select(kept)).values(), strict=True
    ):
        assert torch.equal(before, after)


def test_the_most_similar_lattice_comes_first_and_the_others_in_turn(known: KnownSites) -> None:
    flat, tall = rutile("Ti", 0.305, 0.64), rutile("Ti", 0.305, 1.25)
    specs = specs_of([flat, tall])
    own = [
        [float(placed(known, specs[row : row + 1], 1, turn)[1].parameters.max()) for turn in range(3)]
        for row in range(2)
    ]
    # u of the two crystals, to the resolution of a template in memory
    assert own[0] == pytest.approx([own[0][0], own[1][0], own[0][0]])
    assert own[1] == pytest.approx([own[1][0], own[0][0], own[1][0]])
    assert abs(own[0][0] - own[1][0]) > 0.02


def test_positions_are_compared_up_to_the_normaliser_unless_a_spec_prescribes_them(known: KnownSites) -> None:
    crystal = shifted_rutile("Ti", 0.305)
    _, _, is_known, structures = placed(known, specs_of([crystal]), tries=1)
    assert bool(is_known[0]) and MATCHER.fit(crystal, to_pymatgen(structures)[0])
    both = [prescribing([one]) for one in (crystal, rutile("Ti", 0.305, 0.64))]
    # of a and b, one is the position of the template
    exact = [bool(placed(known, one, tries=1)[2][0]) for one in both]
    assert sorted(exact) == [False, True]


def test_the_first_try_of_a_sampler_is_near_the_known_crystal(known: KnownSites) -> None:
    crystals = [rutile("Ti", 0.305, 0.64), pyrite("Ru", 5.6, 0.388)]
    specs = specs_of(crystals)
    options = {"ranking": ranking(), "tries": 1, "steps": 4, "flow": ParameterFlow.new(SMALL, seed=1)}
    made = WyckoffSampler(known_sites=known, known_time=1.0, **options).generate(specs)  # type: ignore[arg-type]
    for crystal, one in zip(crystals, to_pymatgen(made.structures), strict=True):
        assert MATCHER.fit(crystal, one)
    # seeds that are no multiple of four are draws from noise, as without known crystals
    plain = WyckoffSampler(known_sites=None, **options)  # type: ignore[arg-type]
    both = WyckoffSampler(known_sites=known, **options)  # type: ignore[arg-type]
    for seed, same in ((3, True), (4, False)):
        first, second = (sampler.generate(specs, seed).structures.fractional for sampler in (plain, both))
        assert torch.equal(first, second) is same


def test_templates_are_of_shared_prototypes_and_of_large_crystals() -> None:
    oxygen = [0.9699, 0.0506, 0.1491]
    garnet = Structure.from_spacegroup(
        230, Lattice.cubic(12.0), ["Y", "Al", "Al", "O"],
        [[0.125, 0.0, 0.25], [0.0, 0.0, 0.0], [0.375, 0.0, 0.25], oxygen],
    )  # fmt: skip
    assert len(garnet.get_primitive_structure()) == 80
    fluorite = Structure.from_spacegroup(
        225, Lattice.cubic(5.5), ["Ca", "F"], [[0, 0, 0], [0.25, 0.25, 0.25]]
    )
    salts = [
        Structure.from_spacegroup(225, Lattice.cubic(5.6), [a, "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
        for a in ("K", "Na")
    ]
    rutiles = [rutile("Sn", 0.307, 0.67), rutile("Ti", 0.305, 0.64)]
    known, found = (
        OccupiedSpecs.of(from_pymatgen(crystals))[0]
        for crystals in (salts[:1], [garnet, fluorite, *rutiles, *salts])
    )
    templates, n = others(found, build(known))
    # fluorite is alone and small, rock salts are known
    assert n == 3 and sorted(templates.space_group.tolist()) == [136, 230]


def test_templates_of_a_file_stand_after_the_prototypes(known: KnownSites, tmp_path: Path) -> None:
    path = tmp_path / "own.safetensors"
    save_weights(path, known.templates.tensors(), {"kind": KIND})
    stored, shipped = KnownSites.load(path).templates, KnownSites.load().templates
    n = len(stored) - len(known.templates)
    assert 0 < n < len(shipped)
    assert torch.equal(stored.space_group[n:], known.templates.space_group)
    assert torch.equal(stored.counts[n:, :2], known.templates.counts)
    assert torch.equal(stored.space_group[:n], shipped.space_group[:n])
    both = Templates.cat([known.templates, known.templates])
    assert torch.equal(both.counts[len(known.templates) :], known.templates.counts)


def test_errors_are_told() -> None:
    with pytest.raises(WeightsError, match="nothing"):
        WyckoffSampler(known_sites="nothing")
    with pytest.raises(ConfigError, match="known_time"):
        WyckoffSampler(known_time=1.5)


def test_shipped_templates_share_no_prototype_with_the_shipped_prototypes() -> None:
    shipped, known = KnownSites.load().templates, KnownPrototypes.load()
    n, rows = len(known.templates), torch.arange(0, len(shipped), 23)
    # any elements in the order of the slots
    elements = torch.arange(3, 3 + shipped.counts.shape[1]).expand(len(shipped), -1) * (shipped.counts > 0)
    every = prototypes_of(
        shipped.space_group, shipped.compositions(torch.arange(len(shipped)), elements),
        shipped.occupied(torch.arange(len(shipped)), elements),
    )  # fmt: skip
    assert not {every[row] for row in rows.tolist() if row >= n} & set(every[:n])
