"""Files of a source, their kinds, and the names of their crystals."""

from __future__ import annotations

from pathlib import Path

import pytest

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.data.left_out import LeftOut
from gflownet_crystal.data.sources import files_of_all, kind_of, source_files


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.cif", "cif"), ("a.CIF", "cif"), ("POSCAR.cif", "cif"), ("a.json.gz", "json"), ("A.JSON.GZ", "json"),
        ("a.parquet", "parquet"), ("a.extxyz", "xyz"), ("a.vasp", "poscar"), ("POSCAR", "poscar"),
        ("poscar_2", "poscar"), ("a.db", "db"), ("CONTCAR.mp-12", "poscar"), ("a.pth", "tensors"), ("a.gz", None),
        ("a.txt", None), ("cif", None),
    ],
)  # fmt: skip
def test_kinds(name: str, kind: str | None) -> None:
    assert kind_of(Path(name)) == kind


def names(folder: Path, *files: str) -> list[str]:
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text("")
    return [file.name for file in source_files(folder)]


def test_names_are_as_short_as_they_can_be(tmp_path: Path) -> None:
    found = names(tmp_path, "a.cif", "b.cif", "x/b.cif", "x/c.cif", "x/c.vasp", "y/POSCAR", "z/POSCAR")
    assert found == ["a", "b", "x/b", "x/c.cif", "x/c.vasp", "y/POSCAR", "z/POSCAR"]


def test_what_is_passed_over(tmp_path: Path) -> None:
    found = names(
        tmp_path, "a.cif", ".b.cif", ".git/c.cif", "candidates.csv", "notes.txt", "sub/settings.json"
    )
    assert found == ["a"]


def test_the_same_name_in_several_sources(tmp_path: Path) -> None:
    names(tmp_path / "one", "a.cif", "b.cif")
    names(tmp_path / "two", "a.cif")
    (a, b), (other,) = files_of_all([tmp_path / "one", tmp_path / "two" / "a.cif"])
    assert (a.name, b.name, other.name) == (f"{tmp_path}/one/a.cif", "b", f"{tmp_path}/two/a.cif")


def test_of_candidates_the_cifs_are_taken(tmp_path: Path) -> None:
    tables = ("candidates.csv", "left_out.csv", "summary.json")
    files = (
        "cif/a.cif",
        "structures.db",
        "structures.json",
        "poscar/a.vasp",
        "parts/0.parquet",
        "relaxed/cif/b.cif",
    )
    assert names(tmp_path, *(f"best/{name}" for name in (*tables, *files)), "mine.json") == ["a", "mine"]
    # a table of candidates of others makes no such folder
    assert names(tmp_path / "theirs", "candidates.csv", "a.json", "b.cif") == ["a", "b"]
    # what stands in such a folder can be named
    assert names(tmp_path / "best" / "relaxed", "cif/b.cif") == ["b"]


def test_nothing_to_read_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("")
    for source, said in ((tmp_path, "has no files of crystals"), (tmp_path / "no", "no data at")):
        with pytest.raises(DataError, match=said):
            source_files(source)
    with pytest.raises(DataError, match="cannot read"):
        source_files(tmp_path / "notes.txt")


def test_what_is_left_out_is_counted_by_reason() -> None:
    left_out = LeftOut()
    assert left_out.line() == "" and left_out.counts() == {}
    left_out.add_rows(["a", "b", "c", "d"], ["", "flat", "thin", "flat"])
    left_out.add("b", "flat")
    left_out.add("e", "two\nlines")
    assert len(left_out) == 4 and left_out.counts() == {"flat": 2, "thin": 1, "two lines": 1}
    assert left_out.line().startswith("left out 4, b the first: 2 with flat")
    for number in range(30):
        left_out.add(str(number), f"reason {number}")
    assert sum(left_out.counts().values()) == 34 and "other reasons" in left_out.counts()


def test_reasons_that_differ_in_names_alone_are_counted_together() -> None:
    left_out = LeftOut()
    for number, (first, distance) in enumerate([("Cs1", "0.0016"), ("O12", "0.4000"), ("O1'", "0.1234")]):
        left_out.add(
            str(number), f"sites {first!r} and 'Rb1' are {distance} Å apart; atoms are at least 0.5 Å apart"
        )
    left_out.add("a", "type symbol 'Du' is no element")
    left_out.add("b", "the atoms of its cell are O1 Ca1, but its formula is 'Ca O3'")
    left_out.add("c", "the atoms of its cell are Na4 Cl2, but its formula is 'Na Cl'")
    assert left_out.counts() == {
        "sites '...' and '...' are ... Å apart; atoms are at least 0.5 Å apart": 3,
        "the atoms of its cell are ..., but its formula is '...'": 2,
        "type symbol 'Du' is no element": 1,
    }
    # each keeps its own reason
    assert left_out.frame()["reason"].nunique() == 6
