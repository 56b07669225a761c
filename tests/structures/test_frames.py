"""Structures as tables and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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


@pytest.mark.parametrize(
    ("column", "change", "said"),
    [
        ("frac_coords", lambda whole: whole[:-1], "coordinates"),
        ("lattice", lambda whole: whole[:5], "5 lattice parameters"),
        ("lattice", lambda whole: None, "0 lattice parameters"),
        ("lattice", lambda whole: ["a", *whole[1:]], "lattice is not numbers"),
        ("atomic_numbers", lambda whole: "Na Cl", "0 atoms"),
    ],
)
def test_a_row_whose_parts_do_not_fit_together_is_refused(
    column: str, change: Callable[[Any], Any], said: str
) -> None:
    frame = stored_frame()
    frame[column] = frame[column].astype(object)
    frame.at[1, column] = change(list(frame.at[1, column]))
    with pytest.raises(DataError, match=said):
        frame_to_structures(frame)


def test_a_coordinate_that_another_row_has_too_many_does_not_make_up_for_one_that_lacks() -> None:
    frame = stored_frame()
    frame.at[0, "frac_coords"], spare = frame.at[0, "frac_coords"][:-3], frame.at[0, "frac_coords"][-3:]
    frame.at[1, "frac_coords"] = [*spare, *frame.at[1, "frac_coords"]]
    with pytest.raises(DataError, match="row 0"):
        frame_to_structures(frame)


def test_an_empty_table_has_no_structures() -> None:
    assert len(frame_to_structures(stored_frame().iloc[:0])) == 0
