"""Extended XYZ: what its header promises is looked at before it is read."""

from __future__ import annotations

import pytest

from gflownet_crystal.data.extended_xyz import rows_of_xyz

SALT = '2\nLattice="4 0 0 0 4 0 0 0 4" Properties=species:S:1:pos:R:3 pbc="T T T"\nCs 0 0 0\nCl 2 2 2\n'


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ("species:S:99999999999999999999:pos:R:3", "more than 10000 numbers an atom"),
        ("species:S:1:pos:R:3:x:R:10000001", "more than 10000 numbers an atom"),
        ("species:S:1:x:R:3", "no positions"),
    ],
)
def test_headers_that_cannot_be_are_reasons_and_cost_no_time(columns: str, words: str) -> None:
    first, second = rows_of_xyz(SALT.replace("species:S:1:pos:R:3", columns) + SALT, "salt")
    assert first.lattice is None and words in first.reason
    assert not second.reason and second.numbers.tolist() == [55, 17]


def test_names_and_labels_of_comments_count() -> None:
    labelled = SALT.replace('pbc="T T T"', "name=salt-7 formation_energy_per_atom=-1.5 status=relaxed")
    (row,) = rows_of_xyz(labelled, "file")
    assert row.name == "salt-7" and dict(row.columns) == {"formation_energy_per_atom": -1.5}
    assert [row.name for row in rows_of_xyz(labelled + SALT, "file")] == ["salt-7", "file-1"]


def test_names_that_do_not_tell_frames_apart_are_numbers() -> None:
    named = SALT.replace('pbc="T T T"', "name=salt")
    assert [row.name for row in rows_of_xyz(named + named, "file")] == ["file-0", "file-1"]
