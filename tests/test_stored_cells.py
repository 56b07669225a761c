"""Stored cells against standard ones: copper in three cells."""

from __future__ import annotations

import pytest
from pymatgen.core import Lattice, Structure

from benchmarks.stored_cells import differences
from gflownet_crystal.structures.convert import from_pymatgen


def test_only_the_standard_cell_is_counted() -> None:
    large = Structure.from_spacegroup(225, Lattice.cubic(4.0), ["Cu"], [[0, 0, 0]])
    small = Structure(Lattice.from_parameters(*[8**0.5] * 3, 60, 60, 60), ["Cu"], [[0, 0, 0]])
    other = Structure(Lattice.from_parameters(*[8**0.5] * 3, 120, 120, 90), ["Cu"], [[0, 0, 0]])
    found = differences(from_pymatgen([large, small, other]))
    assert found["n"] == 3 and found["standard"] == pytest.approx(1 / 3)
    assert found["lengths"] == pytest.approx((4.0 - 8**0.5) / 3, abs=1e-6)
    assert found["angles"] == pytest.approx((30 + 0 + 50) / 3, abs=1e-6)
