"""Generators put atoms on the Wyckoff positions that specs prescribe, and on their own where specs leave them open."""

from __future__ import annotations

import pytest
import torch

from gflownet_crystal.generators.base import Generator
from gflownet_crystal.generators.placement import WyckoffPlacement
from gflownet_crystal.generators.quick_placement import QuickPlacement
from gflownet_crystal.generators.wyckoff_sampler import WyckoffSampler
from gflownet_crystal.structures.formulas import text_to_composition
from gflownet_crystal.structures.occupied_positions import occupied_positions
from gflownet_crystal.structures.site_letters import sites_of, sites_to_text, text_to_sites
from gflownet_crystal.structures.spec import CrystalSpec

LETTERS = ["Ti:b O:g", "Mg:b Si:c O:dc", "", "Ca:b F:c"]


def specs() -> CrystalSpec:
    group = torch.tensor([136, 62, 62, 225])
    composition = text_to_composition(["Ti2 O4", "Mg4 Si4 O12", "Mg4 Si4 O12", "Ca4 F8"])
    lengths = torch.tensor(
        [[4.6, 4.6, 3.0], [5.0, 7.0, 4.8], [5.0, 7.0, 4.8], [5.5, 5.5, 5.5]], dtype=torch.float64
    )
    angles = torch.full((4, 3), 90.0, dtype=torch.float64)
    return CrystalSpec(group, composition, lengths, angles, text_to_sites(LETTERS, group, composition))


@pytest.mark.parametrize(
    "generator",
    [
        WyckoffSampler(tries=2),
        WyckoffSampler(ranking=None, tries=2),
        QuickPlacement(min_ratio=0.0),
        WyckoffPlacement(tries=200, keep=20, min_ratio=0.3, require_group=False),
    ],
    ids=["ranked", "unranked", "quick", "thorough"],
)
def test_atoms_lie_where_the_letters_say(generator: Generator) -> None:
    given = specs()
    made = generator.generate(given, seed=1)
    found = sites_of(occupied_positions(made.structures), made.structures.space_group)
    placed = given[made.rows]
    told = (placed.sites > 0).flatten(1).any(1)
    assert int(told.sum()) == 3
    assert found[told].equal(placed.sites[told])
    texts = sites_to_text(
        CrystalSpec(placed.space_group, placed.composition, placed.lengths, placed.angles, found)
    )
    assert texts[0] == "O:g Ti:b"


def test_a_spec_without_letters_is_placed_as_before() -> None:
    given, generator = specs()[torch.tensor([2])], WyckoffSampler(tries=2)
    plain = CrystalSpec(given.space_group, given.composition, given.lengths, given.angles)
    made, again = generator.generate(given, seed=3), generator.generate(plain, seed=3)
    assert made.structures.fractional.equal(again.structures.fractional)
