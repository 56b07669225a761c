"""No lattice vector is too short: boxes and environments against all translations of the primitive cell."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from benchmarks import masks
from gflownet_crystal.crystallography.cells import to_primitive_cell
from gflownet_crystal.crystallography.lattice import parameters_to_matrix
from gflownet_crystal.envs.crystal import Crystal
from gflownet_crystal.envs.lattice.box import LatticeBox
from gflownet_crystal.envs.lattice.raw import RawBox
from gflownet_crystal.envs.lattice.reference_volume import reference_volume
from gflownet_crystal.envs.lattice.shape import ShapeBox
from gflownet_crystal.structures.spec import CrystalSpec

WIDE: dict[str, Any] = {"log_volume": (-3.0, 1.0), "axial_ratio": (0.002, 500.0)}


def shortest_vector(lengths: Tensor, angles: Tensor, group: Tensor) -> Tensor:
    """(n,) A, over all translations of the primitive cell by up to four of each basis vector."""
    cell = to_primitive_cell(parameters_to_matrix(lengths, angles), group)
    steps = torch.cartesian_prod(*(torch.arange(-4.0, 5.0, dtype=torch.float64),) * 3)
    steps = steps[(steps != 0).any(dim=1)]
    return (steps @ cell).norm(dim=-1).min(dim=1).values


def cells_of(box: LatticeBox, group: Tensor, reference: Tensor, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Lattices of random points of the unit box, one in six coordinates at an end."""
    generator = torch.Generator().manual_seed(seed)
    unit = torch.rand(len(group), 6, generator=generator, dtype=torch.float64)
    unit = torch.where(torch.rand(unit.shape, generator=generator) < 1 / 6, unit.round(), unit)
    return box.to_parameters(box.decode(unit, group, reference)[0], reference)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    volume=st.floats(0.1, 1000.0),
    shortest=st.floats(0.1, 3.0),
    upper=st.floats(-1.0, 2.0),
    stretch=st.floats(0.1, 6.0),
)
def test_no_reduced_cell_has_a_shorter_vector(
    seed: int, volume: float, shortest: float, upper: float, stretch: float
) -> None:
    ratio = (math.exp(-stretch), math.exp(stretch))
    box = ShapeBox(log_volume=(-9.0, upper), axial_ratio=ratio, shortest=shortest)
    group = torch.arange(1, 231)
    reference = torch.full((230,), volume, dtype=torch.float64)
    found = shortest_vector(*cells_of(box, group, reference, seed), group)
    assert (found > shortest * (1 - 1e-7)).all(), group[found <= shortest * (1 - 1e-7)]


@pytest.mark.parametrize(
    "box", [RawBox(lengths=(0.1, 3.0)), ShapeBox(canonical=False, **WIDE)], ids=["raw", "any"]
)
def test_cells_that_are_not_reduced_have_no_shorter_edge_or_centring_vector(box: LatticeBox) -> None:
    group = torch.arange(1, 231).repeat(40)
    lengths, angles = cells_of(box, group, torch.full((len(group),), 30.0, dtype=torch.float64))
    assert (lengths > 0.8 * (1 - 1e-9)).all()
    # the basis of the primitive cell holds the shortest centring vectors, up to signs and permutations of the axes
    bases = to_primitive_cell(torch.diag_embed(lengths), group)
    upright = group > 15
    assert (shortest_vector(lengths, angles, group)[upright] > 0.8 * (1 - 1e-9)).all()
    assert (bases.norm(dim=-1)[~upright] > 0.8 * (1 - 1e-9)).all()


@pytest.mark.parametrize("group", [1, 12, 14, 19, 38, 43, 61, 62, 73, 139, 146, 194, 225, 229])
@pytest.mark.parametrize("canonical", [True, False])
def test_only_ratios_of_too_short_edges_are_left_out(group: int, canonical: bool) -> None:
    """Cells of right angles that the box without a bound admits: those of long edges are in, the others out."""
    ends = {"log_volume": (-2.0, 1.0), "axial_ratio": (0.02, 50.0), "canonical": canonical}
    free, bound = ShapeBox(shortest=0.0, **ends), ShapeBox(shortest=1.0, **ends)
    n = 4000
    groups, reference = torch.full((n,), group), torch.full((n,), 20.0, dtype=torch.float64)
    lengths, angles = cells_of(free, groups, reference)
    if group < 16:
        angles = torch.full_like(angles, 90.0)
    lengths = lengths * (reference / lengths.prod(dim=1) / 4)[:, None] ** (1 / 3)
    natural = bound.from_parameters(lengths, angles, reference)
    admitted, before = bound.encode(natural, groups, reference)[1], free.encode(natural, groups, reference)[1]
    factor = {"P": 1.0, "A": 2**0.5, "C": 2**0.5, "F": 2**0.5, "I": 2 / 3**0.5, "R": 1.5}[_centring(group)]
    long = lengths.min(dim=1).values >= factor
    assert before.any() and long.any() and (~long & before).any() | (group > 194)
    clear = (lengths.min(dim=1).values - factor).abs() > 1e-5
    assert torch.equal(admitted[clear], (before & long)[clear])


def _centring(group: int) -> str:
    from pyxtal.symmetry import Group

    return str(Group(group).symbol[0])


@pytest.mark.parametrize(
    ("group", "canonical"), [(47, True), (16, False), (61, True), (25, True), (10, True)]
)
def test_the_jacobian_integrates_to_the_volume_of_the_cells_with_long_edges(
    group: int, canonical: bool
) -> None:
    box = ShapeBox(log_volume=(-2.0, 0.5), axial_ratio=(0.125, 8.0), shortest=1.0, canonical=canonical)
    n, reference = 400_000, 4.0
    unit = torch.rand(n, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    if group == 10:
        unit[:, 4] = 0.0
    natural, log_jacobian = box.decode(
        unit, torch.full((n,), group), torch.full((n,), reference, dtype=torch.float64)
    )
    if group == 10:
        # the density over volume and ratios alone
        low, high = box.interval(4, list(natural.T), torch.full((n,), group), torch.full((n,), reference))
        log_jacobian = log_jacobian - (high - low).log()
    # one random point in each of 120^3 boxes
    corner = torch.cartesian_prod(*(torch.arange(120, dtype=torch.float64),) * 3)
    point = (corner + torch.rand(corner.shape, generator=torch.Generator().manual_seed(2))) / 120
    volume = -2.0 + 2.5 * point[:, 0]
    x, y = (math.log(8.0) * (2.0 * point[:, 1:] - 1.0)).unbind(dim=1)
    a = (reference * volume.exp() / (x + y).exp()) ** (1 / 3)
    inside = torch.stack([a, a * x.exp(), a * y.exp()]).min(dim=0).values >= 1.0
    if canonical:
        ordered = {47: (x >= 0) & (y >= x), 61: (x >= 0) & (y >= 0), 25: x >= 0, 10: y >= 0}
        inside = inside & ordered[group]
    expected = 2.5 * math.log(64.0) ** 2 * inside.double().mean().item()
    assert log_jacobian.exp().mean().item() == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize(
    ("name", "lattice", "n"), [("crystal", {}, 200), ("crystal_89", {}, 200), ("crystal_89", WIDE, 200)]
)
def test_no_random_spec_has_a_shorter_vector(name: str, lattice: dict[str, Any], n: int) -> None:
    env = masks.build(name)
    if lattice:
        env = Crystal(env.rules.elements, max_count=24, metallic=True, lattice=lattice)
    terminal, stuck = masks.random_terminals(env, n, torch.Generator().manual_seed(3))
    specs = env.objects(terminal)
    assert stuck == 0
    assert shortest_vector(specs.lengths, specs.angles, specs.space_group).min() > 0.8 * (1 - 1e-7)
    again, inside = env.encode(specs)
    assert inside.all()
    torch.testing.assert_close(again.states[2].position, terminal.states[2].position, atol=2e-6, rtol=0)


def test_cells_of_known_crystals_stay_in_the_space() -> None:
    """Small and flat ones: Be, graphite, diamond, bcc Li, As and solid oxygen, lengths in A."""
    known = [
        (194, "Be", 2, (2.29, 2.29, 3.58), (90, 90, 120)),
        (194, "C", 4, (2.46, 2.46, 6.71), (90, 90, 120)),
        (227, "C", 8, (3.57, 3.57, 3.57), (90, 90, 90)),
        (229, "Li", 2, (3.44, 3.44, 3.44), (90, 90, 90)),
        (166, "As", 6, (3.76, 3.76, 10.44), (90, 90, 120)),
        (12, "O", 4, (5.40, 3.43, 5.08), (90, 132.0, 90)),
    ]
    env = Crystal(["Li", "Be", "C", "O", "As"], metallic=True)
    symbols = {"Li": 3, "Be": 4, "C": 6, "O": 8, "As": 33}
    composition = torch.zeros(len(known), 119, dtype=torch.int64)
    for row, (_, symbol, count, _, _) in enumerate(known):
        composition[row, symbols[symbol]] = count
    lengths, angles = (torch.tensor([item[i] for item in known], dtype=torch.float64) for i in (3, 4))
    specs = CrystalSpec(torch.tensor([item[0] for item in known]), composition, lengths, angles)
    assert shortest_vector(lengths, angles, specs.space_group).min() > 2.0
    unbound = Crystal(["Li", "Be", "C", "O", "As"], metallic=True, lattice={"shortest": 0.0})
    assert torch.equal(env.encode(specs)[1], unbound.encode(specs)[1])
    assert env.encode(specs)[1].sum() >= 5


def test_the_volumes_of_a_composition_too_small_for_any_cell_are_moved_up() -> None:
    env = Crystal(["He", "Na"], space_groups=[221, 139], metallic=True, n_elements=(1, 1), max_count=8)
    specs = env.objects(masks.random_terminals(env, 400, torch.Generator().manual_seed(0))[0])
    assert shortest_vector(specs.lengths, specs.angles, specs.space_group).min() > 0.8 * (1 - 1e-9)
    # one atom of helium: 0.1 Å^3, and 0.22 at the upper end of the volumes, but 0.8^3 = 0.512 in a cube of 0.8 Å
    alone = (specs.composition[:, 2] == 1) & (specs.space_group == 221)
    volume = specs.volume[alone]
    assert alone.any() and (volume > 0.512 * (1 - 1e-9)).all() and (volume < 0.512 * math.exp(1.3)).all()
    # others keep theirs
    sodium = specs.composition[:, 11] > 0
    strain = (specs.volume / reference_volume(specs.composition))[sodium].log()
    assert sodium.any() and strain.min() >= -0.5 and strain.max() <= 0.8
