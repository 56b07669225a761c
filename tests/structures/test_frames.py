"""Structures as tables and back."""

from __future__ import annotations

import pytest
import torch

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.structures.convert import from_pymatgen, to_pymatgen
from gflownet_crystal.structures.frames import frame_to_structures, structures_to_frame
from tests.data.crystals import conventional_structures, stored_frame


def test_structures_are_those_of_the_table() -> None:
    expected = conventional_structures()
    made = to_pymatgen(frame_to_structures(stored_frame(primitive=False)))
    for mine, theirs in zip(made, expected, strict=True):
        assert mine.matches(theirs, ltol=1e-6, stol=1e-6, angle_tol=1e-4, scale=False)


def test_a_table_gives_back_what_it_was_made_of() -> None:
    batch = from_pymatgen(conventional_structures())
    frame = structures_to_frame(batch, name=range(len(batch)))
    back = frame_to_structures(frame)
    assert torch.equal(back.atomic_numbers, batch.atomic_numbers)
    assert torch.equal(back.fractional, batch.fractional)
    assert torch.equal(back.structure_index, batch.structure_index)
    # cells up to a rotation
    metrics = (structures.cell @ structures.cell.mT for structures in (back, batch))
    torch.testing.assert_close(*metrics, rtol=1e-9, atol=1e-9)
    assert frame["formula"].tolist() == batch.specs().formulas()
    assert frame["name"].tolist() == list(range(len(batch)))
    assert len(structures_to_frame(batch[:0])) == 0


def test_coordinates_that_do_not_fit_the_atoms_are_refused() -> None:
    frame = stored_frame()
    frame.at[0, "frac_coords"] = frame.at[0, "frac_coords"][:-1]
    with pytest.raises(DataError, match="coordinates"):
        frame_to_structures(frame)
