"""Lattice descriptors: brute force over lattice vectors, and invariance under every change of setting."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from gflownet_crystal.crystallography.lattice import matrix_to_parameters, parameters_to_matrix
from gflownet_crystal.crystallography.wyckoff import group_operations
from gflownet_crystal.models.spec_energy.lattice import (
    A_B_SWAPPED,
    CYCLICALLY_PERMUTED,
    FREELY_PERMUTED,
    lattice_features,
    lattice_vonorms,
)
from gflownet_crystal.structures.spec import CrystalSpec
from tests.models.host_guard import as_on_a_gpu

SHORT = np.array(list(product(range(-4, 5), repeat=3)))


def spec(group: int, lengths: list[float], angles: list[float]) -> CrystalSpec:
    composition = torch.zeros(1, 119, dtype=torch.int64)
    composition[0, 11] = 4
    return CrystalSpec(
        torch.tensor([group]), composition, torch.tensor([lengths]).double(), torch.tensor([angles]).double()
    )


def shortest_in_classes(basis: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shortest squared length in each non-zero class of L / 2L, by enumeration."""
    squares = ((SHORT @ basis) ** 2).sum(1)
    classes = (SHORT % 2) @ np.array([1, 2, 4])
    return np.sort([squares[classes == index].min() for index in range(1, 8)])


@given(
    st.lists(st.floats(2, 6), min_size=3, max_size=3), st.lists(st.floats(65, 115), min_size=3, max_size=3)
)
def test_vonorms_are_the_shortest_vectors_of_each_class(lengths: list[float], angles: list[float]) -> None:
    basis = parameters_to_matrix(torch.tensor(lengths).double(), torch.tensor(angles).double())
    if torch.linalg.det(basis) > 20 or torch.linalg.det(basis) > 0.5 * np.prod(lengths):
        vonorms = lattice_vonorms(basis[None])[0]
        np.testing.assert_allclose(vonorms, shortest_in_classes(basis.numpy()), rtol=1e-9)


@given(st.integers(0, 10_000))
def test_triclinic_descriptors_do_not_depend_on_the_basis(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first = spec(2, rng.uniform(3, 9, 3).tolist(), rng.uniform(70, 110, 3).tolist())
    change = np.eye(3)
    for _ in range(3):
        i, j = rng.permutation(3)[:2]
        shear = np.eye(3)
        shear[i, j] = rng.integers(-1, 2)
        change = shear @ change
    rows = torch.from_numpy(change) @ parameters_to_matrix(first.lengths, first.angles)
    lengths, angles = matrix_to_parameters(rows)
    second = CrystalSpec(first.space_group, first.composition, lengths, angles)
    torch.testing.assert_close(lattice_features(first), lattice_features(second), rtol=1e-7, atol=1e-7)


@given(
    st.floats(3, 9), st.floats(3, 9), st.floats(3, 9), st.floats(92, 125), st.sampled_from([3, 4, 6, 10, 11])
)
def test_monoclinic_descriptors_do_not_depend_on_the_cell_choice(
    a: float, b: float, c: float, beta: float, group: int
) -> None:
    first = spec(group, [a, b, c], [90, beta, 90])
    rows = parameters_to_matrix(first.lengths, first.angles)
    changed = torch.tensor([[[1.0, 0, 1], [0, 1, 0], [0, 0, 1]]]).double() @ rows
    lengths, angles = matrix_to_parameters(changed)
    second = CrystalSpec(first.space_group, first.composition, lengths, angles)
    torch.testing.assert_close(lattice_features(first), lattice_features(second), rtol=1e-7, atol=1e-7)


def allowed_permutations(group: int) -> set[tuple[int, ...]]:
    """Axis permutations that map the group to itself up to a shift of origin, by brute force over eighths."""
    operations = group_operations(group)
    rotations, shifts = (
        np.rint(operations[:, :, :3]).astype(int),
        np.rint(operations[:, :, 3] * 24).astype(int),
    )
    wanted = {(*r.ravel().tolist(), *(t % 24).tolist()) for r, t in zip(rotations, shifts, strict=True)}
    result = set()
    for order in permutations(range(3)):
        turned = rotations[:, order][:, :, order]
        moved = shifts[:, order]
        for origin in product(range(0, 24, 3), repeat=3):
            there = moved + np.array(origin) - turned @ np.array(origin)
            if all(
                (*r.ravel().tolist(), *(t % 24).tolist()) in wanted
                for r, t in zip(turned, there, strict=True)
            ):
                result.add(order)
                break
    return result


@pytest.mark.slow
@pytest.mark.parametrize("group", range(16, 75))
def test_permutation_table_is_the_normaliser_of_each_orthorhombic_group(group: int) -> None:
    size = {True: 6}.get(
        group in FREELY_PERMUTED, 3 if group in CYCLICALLY_PERMUTED else 2 if group in A_B_SWAPPED else 1
    )
    allowed = allowed_permutations(group)
    assert len(allowed) == size
    if size == 2:
        assert (1, 0, 2) in allowed


@pytest.mark.parametrize(("group", "orders"), [(19, 6), (61, 3), (55, 2), (62, 1)])
def test_equivalent_axis_orders_give_the_same_descriptors_and_others_do_not(group: int, orders: int) -> None:
    lengths = [4.0, 5.5, 7.0]
    features = [
        tuple(
            np.round(lattice_features(spec(group, [lengths[i] for i in order], [90, 90, 90]))[0].numpy(), 9)
        )
        for order in permutations(range(3))
    ]
    assert len(set(features)) == 6 // orders


def test_reductions_that_seldom_ask_whether_they_are_done_find_the_same() -> None:
    random = torch.Generator().manual_seed(4)
    lengths = 3.0 + 9.0 * torch.rand(200, 3, generator=random, dtype=torch.float64)
    angles = 70.0 + 40.0 * torch.rand(200, 3, generator=random, dtype=torch.float64)
    monoclinic = torch.arange(200) % 2 == 0
    angles[monoclinic, 0] = angles[monoclinic, 2] = 90.0
    composition = spec(2, [4, 5, 6], [80, 85, 95]).composition.repeat(200, 1)
    specs = CrystalSpec(torch.where(monoclinic, 14, 2), composition, lengths, angles)
    here = lattice_features(specs)
    with as_on_a_gpu():
        assert torch.equal(lattice_features(specs), here)


def test_descriptors_do_not_change_with_scale() -> None:
    small, large = spec(14, [4, 5, 6], [90, 100, 90]), spec(14, [8, 10, 12], [90, 100, 90])
    torch.testing.assert_close(lattice_features(small), lattice_features(large))
