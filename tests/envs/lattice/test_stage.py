"""The lattice boxes: cells close, Jacobians are right, one setting of each lattice remains."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
import torch
from torch import Tensor

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.crystallography.lattice import (
    is_closed,
    matrix_to_parameters,
    parameters_to_matrix,
    volume,
)
from gflownet_crystal.crystallography.space_groups import lattice_system_of_group
from gflownet_crystal.crystallography.wyckoff import group_operations
from gflownet_crystal.envs.lattice.box import LatticeBox
from gflownet_crystal.envs.lattice.raw import RawBox
from gflownet_crystal.envs.lattice.settings import (
    A_B_EQUIVALENT,
    ALL_AXES_EQUIVALENT,
    CYCLIC_AXES,
    standardise,
)
from gflownet_crystal.envs.lattice.shape import ShapeBox

BOXES = {"shape": ShapeBox(), "shape, any setting": ShapeBox(canonical=False), "raw": RawBox()}


def random_points(n: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    group = torch.randint(1, 231, (n,), generator=generator)
    group[: n // 2] = torch.randint(1, 16, (n // 2,), generator=generator)
    unit = torch.rand(n, 6, generator=generator, dtype=torch.float64)
    # corners and edges too
    unit = torch.where(torch.rand(n, 6, generator=generator) < 0.1, unit.round(), unit)
    return group, unit


@pytest.mark.parametrize("name", BOXES)
def test_every_point_of_the_box_closes_a_cell_of_its_lattice_system(name: str) -> None:
    box = BOXES[name]
    group, unit = random_points(20_000)
    reference = torch.full((len(group),), 200.0, dtype=torch.float64)
    natural, _ = box.decode(unit, group, reference)
    lengths, angles = box.to_parameters(natural, reference)
    assert is_closed(angles).all() and (lengths > 0).all()
    assert (volume(lengths, angles) > 0).all()
    system = torch.from_numpy(lattice_system_of_group)[group]
    same_ab, same_ac = system >= 3, system == 5
    torch.testing.assert_close(lengths[same_ab, 0], lengths[same_ab, 1])
    torch.testing.assert_close(lengths[same_ac, 0], lengths[same_ac, 2])
    assert (angles[system == 4][:, 2] - 120).abs().max() < 1e-9
    assert (angles[(system == 2) | (system == 3) | (system == 5)] - 90).abs().max() < 1e-9
    assert (angles[system == 1][:, [0, 2]] - 90).abs().max() < 1e-9


@pytest.mark.parametrize("name", BOXES)
def test_encode_undoes_decode(name: str) -> None:
    box = BOXES[name]
    group, unit = random_points(5_000, seed=1)
    unit = unit.clamp(0.001, 0.999)
    # from cells whose edges are all near their least length to cells that hardly feel it
    reference = torch.logspace(0.7, 3, len(group), dtype=torch.float64)
    natural, _ = box.decode(unit, group, reference)
    lengths, angles = box.to_parameters(natural, reference)
    again, inside = box.encode(box.from_parameters(lengths, angles, reference), group, reference)
    assert inside.all()
    torch.testing.assert_close(again, unit.masked_fill(~box.is_free(group), 0.0), atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", BOXES)
@pytest.mark.parametrize("group", [1, 3, 14, 12, 62, 47, 61, 139, 194, 225])
@pytest.mark.parametrize("volume", [5.0, 200.0])
def test_jacobian_is_that_of_numerical_differentiation(name: str, group: int, volume: float) -> None:
    box = BOXES[name]
    generator = torch.Generator().manual_seed(group)
    free = box.is_free(torch.tensor([group]))[0]
    unit = (0.1 + 0.8 * torch.rand(6, generator=generator, dtype=torch.float64)).masked_fill(~free, 0.0)
    context = torch.tensor([group]), torch.tensor([volume], dtype=torch.float64)

    def natural(point: Tensor) -> Tensor:
        value = box.decode(point[None], *context)[0][0]
        return value / torch.tensor([box.scale(index) for index in range(6)], dtype=torch.float64)

    step = 1e-6
    columns = [
        (natural(unit + step * e) - natural(unit - step * e)) / (2 * step)
        for e in torch.eye(6).double()[free]
    ]
    numerical = torch.stack(columns, dim=1)[free]
    _, log_jacobian = box.decode(unit[None], *context)
    torch.testing.assert_close(log_jacobian[0], torch.linalg.slogdet(numerical)[1], atol=1e-5, rtol=0)


def test_reference_volume_of_the_box_is_the_integral_of_the_jacobian() -> None:
    box = ShapeBox(log_volume=(-0.2, 0.3), axial_ratio=(0.5, 2.0), angles=(60, 125), canonical=False)
    n = 200_000
    unit = torch.rand(n, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    _, log_jacobian = box.decode(unit, torch.full((n,), 1), torch.full((n,), 200.0).double())
    # gamma's interval depends on alpha and beta; the rest is a product
    alpha, beta, gamma = (np.radians(60 + 65 * (np.arange(200) + 0.5) / 200) for _ in range(3))
    a, b, c = np.meshgrid(alpha, beta, gamma, indexing="ij")
    margin = np.radians(0.1)
    inside = (c > abs(a - b) + margin) & (c < np.minimum(a + b, 2 * np.pi - a - b) - margin)
    expected = 0.5 * np.log(4.0) ** 2 * inside.mean() * np.radians(65) ** 3
    assert log_jacobian.exp().mean().item() == pytest.approx(expected, rel=5e-3)


def operations_as_set(operations: np.ndarray) -> set[tuple[tuple[int, ...], tuple[int, ...]]]:
    rotations = np.rint(operations[:, :, :3]).astype(int).reshape(len(operations), -1)
    shifts = np.rint(operations[:, :, 3] * 24).astype(int) % 24
    return {(tuple(r), tuple(t)) for r, t in zip(rotations.tolist(), shifts.tolist(), strict=True)}


@pytest.mark.parametrize("group", range(16, 75))
def test_axis_permutations_are_those_that_keep_the_group(group: int) -> None:
    operations = np.asarray(group_operations(group))
    itself = operations_as_set(operations)
    kept = set()
    for order in permutations(range(3)):
        turn = np.eye(3)[list(order)]
        turned = np.concatenate([turn @ operations[:, :, :3] @ turn.T, turn @ operations[:, :, 3:]], axis=2)
        for shift in product((0, 3, 6, 9), repeat=3):
            moved = turned.copy()
            moved[:, :, 3] += np.array(shift) / 24 - turned[:, :, :3] @ (np.array(shift) / 24)
            if operations_as_set(moved) == itself:
                kept.add(order)
                break
    expected = {(0, 1, 2)}
    if group in ALL_AXES_EQUIVALENT:
        expected = set(permutations(range(3)))
    elif group in CYCLIC_AXES:
        expected |= {(1, 2, 0), (2, 0, 1)}
    elif group in A_B_EQUIVALENT:
        expected |= {(1, 0, 2)}
    assert kept == expected


def monoclinic_changes(group: int) -> list[np.ndarray]:
    """Small changes of the a and c axes that map the group's operations onto themselves, with some origin."""
    operations = np.asarray(group_operations(group))
    itself = operations_as_set(operations)
    kept = []
    for p, q, r, s in product(range(-2, 3), repeat=4):
        if abs(p * s - q * r) != 1:
            continue
        # rows of the new lattice in terms of the old; unique axis unchanged up to sign
        change = np.array([[p, 0, q], [0, p * s - q * r, 0], [r, 0, s]])
        inverse = np.rint(np.linalg.inv(change.T))
        turned = np.concatenate(
            [inverse @ operations[:, :, :3] @ change.T, inverse @ operations[:, :, 3:]], axis=2
        )
        for shift in product((0, 6), repeat=3):
            moved = turned.copy()
            moved[:, :, 3] += np.array(shift) / 24 - turned[:, :, :3] @ (np.array(shift) / 24)
            if operations_as_set(moved) == itself:
                kept.append(change)
                break
    return kept


@pytest.mark.parametrize("group", range(3, 16))
def test_one_monoclinic_cell_remains_of_all_that_keep_the_group(group: int) -> None:
    box = ShapeBox(axial_ratio=(0.01, 100.0))
    unit = torch.rand(20, 6, generator=torch.Generator().manual_seed(group), dtype=torch.float64)
    groups = torch.full((20,), group)
    reference = torch.full((20,), 100.0, dtype=torch.float64)
    lengths, angles = box.to_parameters(box.decode(unit * 0.9 + 0.05, groups, reference)[0], reference)
    matrix = parameters_to_matrix(lengths, angles)
    changes = monoclinic_changes(group)
    assert len(changes) > 4
    for change in changes:
        other = matrix_to_parameters(torch.from_numpy(change).double() @ matrix)
        again = standardise(groups, *other)
        torch.testing.assert_close(again[0], lengths, atol=1e-6, rtol=0)
        torch.testing.assert_close(again[1], angles, atol=1e-5, rtol=0)


def test_triclinic_cells_are_niggli_cells_by_spglib() -> None:
    import spglib

    unit = torch.rand(500, 6, generator=torch.Generator().manual_seed(3), dtype=torch.float64) * 0.96 + 0.02
    groups = torch.ones(500, dtype=torch.int64)
    box, reference = ShapeBox(), torch.full((500,), 100.0, dtype=torch.float64)
    lengths, angles = box.to_parameters(box.decode(unit, groups, reference)[0], reference)
    for cell, expected in zip(
        parameters_to_matrix(lengths, angles), torch.cat([lengths, angles], dim=1), strict=True
    ):
        # a skewed basis of the same lattice
        skewed = torch.tensor([[1.0, 1, 0], [0, 1, -1], [0, 0, 1]]).double() @ cell
        reduced = torch.from_numpy(spglib.niggli_reduce(skewed.numpy(), eps=1e-6))
        torch.testing.assert_close(torch.cat(matrix_to_parameters(reduced)), expected, atol=1e-4, rtol=0)


def test_sorted_orthorhombic_axes() -> None:
    lengths = torch.tensor([[5.0, 3.0, 4.0]] * 4, dtype=torch.float64)
    angles = torch.full((4, 3), 90.0, dtype=torch.float64)
    sorted_lengths, _ = standardise(torch.tensor([47, 61, 25, 62]), lengths, angles)
    assert sorted_lengths.tolist() == [[3, 4, 5], [3, 4, 5], [3, 5, 4], [5, 3, 4]]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ShapeBox(log_volume=(0.5, -0.5)), "log_volume"),
        (lambda: ShapeBox(axial_ratio=(2.0, 3.0)), "axial_ratio"),
        (lambda: ShapeBox(angles=(50, 170)), "angles"),
        (lambda: RawBox(lengths=(-1, 5)), "lengths"),
        (lambda: RawBox(lengths=(1, 2, 3)), "lengths"),
        (lambda: ShapeBox(shortest=-1.0), "shortest"),
        (lambda: RawBox(lengths=(0.5, 1.0)), "1.2 Å and more"),
    ],
)
def test_boxes_that_make_no_sense_are_refused(make: type[LatticeBox], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make()
