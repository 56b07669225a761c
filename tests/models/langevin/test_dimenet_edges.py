"""The edge network and the noise it sees: symmetries in float64, and no jumps as neighbours come and go."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.generators.placing.annealing import unit_cells
from gflownet_crystal.models.langevin.dimenet_settings import DimeNetSettings
from gflownet_crystal.models.langevin.model import Noise, ScoreModel, Sites
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.structures.symmetry_images import group_tables

SMALL = {"width": 16, "output": 8, "interaction": 8, "n_radial": 6, "n_orders": 4, "neighbours": 20}


@pytest.fixture(scope="module")
def crystals() -> StructureBatch:
    """One atom of each orbit: rutile, wurtzite, corundum, zinc blende, marcasite."""
    third = 1 / 3
    lattices = [
        (136, [4.594, 4.594, 2.959], [(22, [0, 0, 0]), (8, [0.305, 0.305, 0])]),
        (186, [3.25, 3.25, 5.2], [(30, [third, 2 * third, 0]), (8, [third, 2 * third, 0.382])]),
        (167, [4.76, 4.76, 12.99], [(13, [0, 0, 0.352]), (8, [0.306, 0, 0.25])]),
        (216, [5.41, 5.41, 5.41], [(30, [0, 0, 0]), (16, [0.25, 0.25, 0.25])]),
        (58, [4.44, 5.42, 3.39], [(26, [0, 0, 0]), (16, [0.2, 0.378, 0])]),
    ]
    groups = torch.tensor([group for group, _, _ in lattices])
    lengths = torch.tensor([lengths for _, lengths, _ in lattices], dtype=torch.float64)
    atoms = [(row, *atom) for row, (_, _, own) in enumerate(lattices) for atom in own]
    return StructureBatch(
        unit_cells(groups) * lengths[:, :, None],
        torch.tensor([number for _, number, _ in atoms]),
        torch.tensor([point for _, _, point in atoms], dtype=torch.float64),
        torch.tensor([row for row, _, _ in atoms]),
        groups,
    )


@pytest.fixture(scope="module", params=["shared", "bessel"])
def model(request) -> ScoreModel:
    return ScoreModel(DimeNetSettings(**SMALL, basis=request.param), seed=1).double().eval()


def seen(model: ScoreModel, crystals: StructureBatch, moved: Tensor | None = None) -> Noise:
    sites = Sites.on_positions(*_fields(crystals), model.cutoff)
    points = crystals.fractional if moved is None else moved
    with torch.no_grad():
        return model(sites, points, crystals.cell, torch.arange(len(crystals)))


def close(mine: Noise, theirs: Noise, tolerance: float = 1e-10) -> bool:
    return all(
        torch.allclose(x, y, rtol=tolerance, atol=tolerance) for x, y in zip(mine, theirs, strict=True)
    )


@pytest.mark.parametrize("sign", [1, -1])
def test_turned_crystals_have_turned_noise(model, crystals, sign):
    turn = sign * torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(0)).double())[0]
    there = seen(model, StructureBatch(crystals.cell @ turn, *_rest(crystals)))
    here = seen(model, crystals)
    assert here.positions.abs().max() > 1e-3
    assert close(there, Noise(here.positions @ turn, here.lattice))


def test_any_atom_of_an_orbit_may_stand_for_it(model, crystals):
    here = seen(model, crystals)
    tables, group = group_tables(), crystals.space_group[crystals.structure_index]
    which = torch.arange(len(group)) * 5 % tables.order[group]
    turn, shift = tables.rotation[group, which], tables.translation[group, which]
    points = (turn @ crystals.fractional[:, :, None])[:, :, 0] + shift + torch.tensor([1.0, -2.0, 0.0])
    other = StructureBatch(
        crystals.cell, crystals.atomic_numbers, points, crystals.structure_index, crystals.space_group
    )
    cell = crystals.cell[crystals.structure_index]
    cartesian = torch.linalg.inv(cell) @ turn.mT @ cell
    there = seen(model, other)
    assert close(there, Noise((here.positions[:, None] @ cartesian)[:, 0], here.lattice))


def test_the_noise_respects_the_site_symmetry_before_it_is_projected(model, crystals):
    sites = Sites.on_positions(*_fields(crystals), model.cutoff)
    graph = sites.graph(crystals.fractional, crystals.cell, 20)
    numbers, directions = model.network(graph, crystals.atomic_numbers, torch.full((len(graph.target),), 0.5))
    pulls = (numbers[:, :, :1] * directions).sum(1)
    projected = (pulls[:, None] @ sites.projector)[:, 0]
    assert (pulls - projected).abs().max() < 1e-10


def test_a_crystal_is_seen_equally_in_any_batch(model, crystals):
    together = seen(model, crystals)
    for row in range(len(crystals)):
        own = crystals.structure_index == row
        one = crystals[torch.tensor([row])]
        sites = Sites.on_positions(*_fields(one), model.cutoff)
        with torch.no_grad():
            alone = model(sites, one.fractional, one.cell, torch.tensor([row]))
        assert close(alone, Noise(together.positions[own], together.lattice[row : row + 1]), 1e-12)


def test_noise_does_not_jump_as_neighbours_come_and_go(model, crystals):
    # the oxygen of rutile walks along its line; neighbours change many times
    steps = torch.linspace(0.25, 0.35, 401, dtype=torch.float64)
    many = crystals[torch.zeros(len(steps), dtype=torch.int64)]
    moved = many.fractional.clone()
    moved[1::2, :2] = steps[:, None]
    sites = Sites.on_positions(*_fields(many), model.cutoff)
    with torch.no_grad():
        noise = model(sites, moved, many.cell, torch.full((len(steps),), 5))
    changes = noise.positions[1::2, 0].diff().abs()
    # a jump would stand out among steps of 1.2 mA
    assert changes.max() < 20 * changes.median() + 1e-4


@pytest.mark.parametrize("name", ["n_blocks", "neighbours", "cutoff"])
def test_sizes_have_to_be_positive(name):
    with pytest.raises(ConfigError, match=name):
        DimeNetSettings(**{name: 0})


def test_the_papers_sizes():
    paper = DimeNetSettings.paper()
    assert (paper.n_blocks, paper.width, paper.output, paper.interaction) == (4, 64, 128, 64)
    assert (paper.n_orders, paper.n_radial, paper.cutoff, paper.basis) == (7, 10, 6.0, "bessel")


def _rest(crystals: StructureBatch) -> tuple[Tensor, ...]:
    return crystals.atomic_numbers, crystals.fractional, crystals.structure_index, crystals.space_group


def _fields(crystals: StructureBatch) -> tuple[Tensor, ...]:
    numbers, points, owner = crystals.atomic_numbers, crystals.fractional, crystals.structure_index
    return crystals.cell, crystals.space_group, numbers, points, owner
