"""Validity against brute force over images, pymatgen's distances, and a direct search over SMACT's charges."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from pymatgen.core import Structure

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.evaluation.validity import composition_validity, structure_validity
from gflownet_crystal.structures.convert import from_arrays
from gflownet_crystal.structures.formulas import text_to_composition
from gflownet_crystal.structures.structure import StructureBatch
from tests.evaluation.crystals import arrays


def random_cells(n: int, seed: int) -> StructureBatch:
    """Cells from tiny to common ones, so that all faults occur."""
    generator = np.random.default_rng(seed)
    scale = 10.0 ** generator.uniform(-0.6, 0.7, (n, 3))
    cells = (np.eye(3) + generator.uniform(-0.2, 0.2, (n, 3, 3))) * scale[:, :, None]
    points = [generator.random((generator.integers(1, 5), 3)) for _ in range(n)]
    return from_arrays(cells, [np.full(len(x), 6) for x in points], points)


def published(structure: Structure) -> bool:
    """The published rule, by pymatgen's distances: its diagonal, an atom's distance to itself, is left out."""
    distances = structure.distance_matrix + np.diag(np.full(len(structure), np.inf))
    return bool(distances.min() >= 0.5 and structure.volume >= 0.1)


def with_own_images(structure: Structure) -> bool:
    images = np.array(list(product(range(-6, 7), repeat=3)))
    between = structure.frac_coords[:, None, None] - structure.frac_coords[None, :, None] + images
    distances = np.linalg.norm(between @ structure.lattice.matrix, axis=-1)
    same = np.eye(len(structure), dtype=bool)[:, :, None] & (images == 0).all(1)
    return bool(distances[~same].min() >= 0.5 and structure.volume >= 0.1)


def test_structures_are_valid_as_published_and_with_own_images():
    batch = random_cells(150, 1)
    structures = [Structure(cell, numbers, points) for cell, numbers, points in arrays(batch)]
    expected = [published(structure) for structure in structures]
    strict = [with_own_images(structure) for structure in structures]
    assert structure_validity(batch, own_images=False).tolist() == expected
    assert structure_validity(batch).tolist() == strict
    # every case is there
    assert len(set(zip(expected, strict, strict=True))) == 3


def test_degenerate_cells_are_not_valid_and_disturb_no_other():
    cells = np.stack(
        [4.0 * np.eye(3), np.zeros((3, 3)), np.diag([4.0, 4.0, np.nan]), np.diag([4.0, 4.0, 0.0])]
    )
    batch = from_arrays(cells, [[6]] * 4, [[0.0, 0.0, 0.0]] * 4)
    for own_images in (True, False):
        assert structure_validity(batch, own_images).tolist() == [True, False, False, False]


FORMULAS = (
    "NaCl",
    "NaCl2",
    "Mg2 Si O4",
    "FeNi3",
    "Fe",
    "Fe3O4",
    "CsXe",
    "Na3N",
    "LiFePO4",
    "O2F",
    "CuAl2",
    "KNa2Cl",
)


def neutral(formula: str, table: str) -> bool:
    """The published rule: some neutral choice of one charge an element passes Pauling's test."""
    import smact
    from smact.screening import pauling_test

    counts = {symbol: int(count) for symbol, count in _counts(formula).items()}
    if len(counts) == 1 or all(symbol in smact.metals for symbol in counts):
        return True
    elements = [smact.Element(symbol) for symbol in counts]
    states = [getattr(element, f"oxidation_states_{table}") or [] for element in elements]
    for charges in product(*states):
        if sum(q * n for q, n in zip(charges, counts.values(), strict=True)) == 0:
            try:
                if pauling_test(charges, [element.pauling_eneg for element in elements]):
                    return True
            except TypeError:
                return True
    return False


def _counts(formula: str) -> dict[str, float]:
    from pymatgen.core import Composition

    return Composition(formula).get_el_amt_dict()


@pytest.mark.parametrize("table", ["smact14", "icsd24"])
def test_compositions_are_valid_as_smact_says(table: str):
    pytest.importorskip("smact")
    from smact.screening import smact_validity

    found = composition_validity(text_to_composition(FORMULAS), table).tolist()
    assert found == [neutral(formula, table) for formula in FORMULAS]
    assert found == [smact_validity(formula, oxidation_states_set=table) for formula in FORMULAS]
    assert 0 < sum(found) < len(found)


def test_multiples_of_a_formula_are_equal_and_unknown_tables_refused():
    pytest.importorskip("smact")
    single = text_to_composition(["Na1 Cl1", "Na1 Cl2"])
    assert torch.equal(composition_validity(7 * single), composition_validity(single))
    with pytest.raises(ConfigError, match="smact14"):
        composition_validity(single, "wikipedia")
