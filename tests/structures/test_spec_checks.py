"""Which specs are within their contract, by slow rules and by known crystals."""

from __future__ import annotations

import pytest
import torch

from gflownet_crystal.crystallography.occupation import WyckoffOccupation
from gflownet_crystal.crystallography.wyckoff import wyckoff_positions
from gflownet_crystal.structures.formulas import text_to_composition
from gflownet_crystal.structures.spec import CrystalSpec
from gflownet_crystal.structures.spec_checks import REASONS, complaint, spec_faults
from gflownet_crystal.testing.references import reference_specs
from tests.envs.slow_rules import fits_positions


def spec(group: int, formula: str, *cell: float) -> CrystalSpec:
    parameters = torch.tensor([cell], dtype=torch.float64)
    return CrystalSpec(
        torch.tensor([group]), text_to_composition([formula]), parameters[:, :3], parameters[:, 3:]
    )


def test_known_crystals_have_no_fault() -> None:
    specs = reference_specs()
    assert not bool(spec_faults(specs).any()) and complaint(specs, spec_faults(specs)) is None
    assert len(spec_faults(specs[:0])) == 0


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (spec(225, "Na4 Cl4", 5.6, 5.6, 5.61, 90, 90, 90), 4),
        (spec(225, "Na4 Cl4", 5.6, 5.6, 5.6001, 90, 90, 90), 0),
        (spec(166, "Bi6", 4.5, 4.5, 11.9, 90, 90, 120), 0),
        (spec(166, "Bi2", 4.7, 4.7, 4.7, 57, 57, 57), 4),
        (spec(14, "Na4 Cl4", 5.0, 6.0, 7.0, 90, 101, 90), 0),
        (spec(14, "Na4 Cl4", 5.0, 6.0, 7.0, 90, 90, 101), 4),
        (spec(1, "Na1", 5.0, 6.0, 7.0, 60, 60, 120), 3),
        (spec(1, "Na1", 5.0, 6.0, torch.inf, 90, 90, 90), 3),
        (spec(1, "Na1", 5.0, -6.0, 7.0, 90, 90, 90), 3),
        (spec(225, "Na1 Cl1", 5.6, 5.6, 5.6, 90, 90, 90), 5),
        (spec(225, "Na4 Cl4 K4", 5.6, 5.6, 5.6, 90, 90, 90), 5),
        (spec(231, "Na4", 5.6, 5.6, 5.6, 90, 90, 90), 1),
        (spec(0, "Na4", 5.6, 5.6, 5.6, 90, 90, 90), 1),
    ],
)
def test_each_fault_is_told(given: CrystalSpec, reason: int) -> None:
    faults = spec_faults(CrystalSpec.cat([reference_specs(), given]))
    assert faults.tolist() == [0] * (len(faults) - 1) + [reason]
    if reason:
        text = complaint(given, spec_faults(given))
        assert text is not None and REASONS[reason] in text and text.startswith("spec 0, ")


def test_no_atoms_and_atoms_without_an_element_are_told() -> None:
    good = spec(1, "Na1", 5, 6, 7, 90, 90, 90)
    composition = good.composition.repeat(3, 1)
    composition[0] = 0
    composition[1, 0] = 1
    composition[2, 8] = -1
    many = good[torch.zeros(3, dtype=torch.int64)]
    assert spec_faults(CrystalSpec(many.space_group, composition, many.lengths, many.angles)).tolist() == [
        2,
        2,
        2,
    ]


@pytest.fixture(scope="module")
def large() -> WyckoffOccupation:
    return WyckoffOccupation(1100)


@pytest.mark.parametrize("group", [2, 14, 62, 99, 152, 166, 194, 216, 221, 225, 227, 229])
def test_counts_fit_where_trying_every_way_finds_one(group: int, large: WyckoffOccupation) -> None:
    generator = torch.Generator().manual_seed(group)
    counts = torch.randint(1, 40, (60, 2), generator=generator)
    # beyond the largest table that the checks use
    counts[40:, 0] += 801 + wyckoff_positions(group)[0].multiplicity
    composition = torch.zeros(len(counts), 119, dtype=torch.int64)
    composition[:, [11, 17]] = counts
    cubic = torch.full((len(counts), 3), 9.0, dtype=torch.float64)
    angles = torch.full_like(cubic, 90.0)
    if 143 <= group <= 194:
        angles[:, 2] = 120.0
    groups = torch.full((len(counts),), group)
    fits = (spec_faults(CrystalSpec(groups, composition, cubic, angles)) == 0).tolist()
    assert fits[:40] == [fits_positions(group, row) for row in counts[:40].tolist()]
    assert fits[40:] == large.fits(groups[40:], counts[40:]).tolist()
