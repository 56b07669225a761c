"""Merged and snapped crystals have the symmetry of their groups, and the atoms of the special positions."""

from __future__ import annotations

import pytest
import torch

from gflownet_crystal.generators.placing.annealing import unit_cells
from gflownet_crystal.generators.placing.merging import merge_and_snap
from gflownet_crystal.structures.symmetry import symmetry_error


@pytest.mark.parametrize(
    ("group", "lengths", "point", "multiplicity"),
    [
        (225, [5.6, 5.6, 5.6], [0, 0, 0], 4),
        (225, [5.6, 5.6, 5.6], [0.25, 0.25, 0.25], 8),
        (225, [9.0, 9.0, 9.0], [0.31, 0.31, 0.31], 32),
        (136, [4.6, 4.6, 3.0], [0.305, 0.305, 0], 4),
        (194, [3.2, 3.2, 5.2], [1 / 3, 2 / 3, 0.25], 2),
        (167, [4.76, 4.76, 12.99], [0.306, 0, 0.25], 18),
        (62, [5.4, 7.6, 5.4], [0.05, 0.25, 0.99], 4),
        (62, [5.4, 7.6, 5.4], [0.29, 0.04, 0.71], 8),
    ],
)
@pytest.mark.parametrize("seed", [0, 1])
def test_sites_near_special_positions_are_put_on_them(group, lengths, point, multiplicity, seed):
    groups = torch.tensor([group])
    cell = unit_cells(groups) * torch.tensor(lengths, dtype=torch.float64)[:, None]
    near = torch.randn(1, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    near = 0.06 * near / near.norm() @ torch.linalg.inv(cell)[0]
    points = torch.tensor([point], dtype=torch.float64) + near + torch.tensor([3.0, -1.0, 0.0])
    made = merge_and_snap(torch.tensor([14]), points, torch.zeros(1, dtype=torch.int64), cell, groups)
    assert int(made.n_atoms[0]) == multiplicity
    assert float(symmetry_error(made)) < 1e-9
    assert ((made.fractional >= 0) & (made.fractional < 1)).all()


def test_any_sites_of_any_group_make_symmetric_crystals():
    generator = torch.Generator().manual_seed(3)
    groups = torch.arange(17, 231, 6)
    cell = unit_cells(groups) * 6.0
    owner = torch.arange(len(groups)).repeat_interleave(3)
    points = torch.rand(len(owner), 3, generator=generator, dtype=torch.float64)
    # some start near the origin and near a mirror plane of many groups
    points[::3] *= 0.02
    points[1::3, 2] *= 0.02
    numbers = torch.arange(len(owner)) % 3 + 6
    made = merge_and_snap(numbers, points, owner, cell, groups)
    assert len(made) == len(groups)
    assert symmetry_error(made).max() < 1e-6
    # at the smallest tolerance nothing is merged: general positions throughout
    apart = merge_and_snap(numbers, points, owner, cell, groups, tolerance=1e-3)
    assert (apart.n_atoms >= made.n_atoms).all()
    assert symmetry_error(apart).max() < 1e-6
