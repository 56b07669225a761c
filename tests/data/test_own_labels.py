"""Labels of the user's own: kept by name from every kind of table, or joined from one of their own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pymatgen.core import Lattice, Structure

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.data.joined_labels import with_joined_labels
from gflownet_crystal.data.left_out import LeftOut
from gflownet_crystal.data.prepare import load_prepared

SALTS = {"NaCl": 5.64, "KCl": 6.29, "LiF": 4.03}
SHININESS = [1.5, 2.5, 3.5]


def salt(formula: str) -> Structure:
    cell, metal = Lattice.cubic(SALTS[formula]), formula.removesuffix("Cl").removesuffix("F")
    return Structure.from_spacegroup(
        "Fm-3m", cell, [metal, formula.removeprefix(metal)], [[0, 0, 0], [0.5, 0.5, 0.5]]
    )


def table(kind: str) -> pd.DataFrame:
    """The three salts, each with its shininess, as a user may have them."""
    if kind == "cif":
        rows = {"cif": [salt(name).to(fmt="cif") for name in SALTS]}
    elif kind == "specs":
        cells = {name: list(SALTS.values()) for name in ("a", "b", "c")} | dict.fromkeys(
            ("alpha", "beta", "gamma"), 90.0
        )
        rows = {"space_group": 225, "formula": ["Na4 Cl4", "K4 Cl4", "Li4 F4"], **cells}
    else:
        rows = {"space_group": 225, "composition": list(SALTS)}
    return pd.DataFrame({**rows, "material_id": list(SALTS), "shininess": SHININESS})


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize("kind", ["cif", "specs", "composition"])
def test_a_column_of_ones_own_is_kept(tmp_path: Path, kind: str, suffix: str) -> None:
    path = tmp_path / f"salts.{suffix}"
    frame = table(kind)
    frame.to_csv(path, index=False) if suffix == "csv" else frame.to_parquet(path)
    found = load_prepared([path], labels=["shininess"])
    assert found["shininess"].tolist() == SHININESS and found["material_id"].tolist() == list(SALTS)
    assert found["space_group"].tolist() == [225] * 3
    if kind == "composition":
        assert found["a"].isna().all()
    else:
        assert np.allclose(found["a"], list(SALTS.values()))
    assert "shininess" not in load_prepared([path]).columns or kind == "specs"


def test_a_label_that_is_no_number_is_left_out_and_an_empty_one_stays_empty(tmp_path: Path) -> None:
    path = tmp_path / "salts.csv"
    table("specs").assign(shininess=["bright", "", "3.5"]).to_csv(path, index=False)
    left_out = LeftOut()
    found = load_prepared([path], labels=["shininess"], left_out=left_out)
    assert found["material_id"].tolist() == ["KCl", "LiF"]
    assert np.isnan(found["shininess"][0]) and found["shininess"][1] == 3.5
    assert "shininess that is no finite number" in left_out.line()


def test_labels_are_joined_by_the_names_of_files(tmp_path: Path) -> None:
    (tmp_path / "crystals").mkdir()
    for name in SALTS:
        salt(name).to(str(tmp_path / "crystals" / f"{name}.cif"))
    labels = tmp_path / "labels.csv"
    pd.DataFrame({"material_id": ["LiF", "NaCl", "other"], "shininess": [3.5, 1.5, 9.0]}).to_csv(labels)
    found = with_joined_labels(load_prepared([tmp_path / "crystals"]), labels, "shininess")
    joined = dict(zip(found["material_id"], found["shininess"], strict=True))
    assert joined["NaCl"] == 1.5 and joined["LiF"] == 3.5 and np.isnan(joined["KCl"])


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        ({"material_id": ["NaCl", "NaCl"], "shininess": [1, 2]}, "NaCl twice"),
        ({"material_id": ["NaCl"], "shininess": ["bright"]}, "row 0 .NaCl.: shininess that is no finite"),
        ({"material_id": ["MgO"], "shininess": [1.0]}, "names none of the crystals: its first is MgO"),
        ({"name": ["NaCl"], "shininess": [1.0]}, "lacks the columns material_id"),
    ],
)
def test_labels_that_fit_no_crystal_are_told(
    tmp_path: Path, labels: dict[str, list[object]], told: str
) -> None:
    path = tmp_path / "labels.csv"
    pd.DataFrame(labels).to_csv(path, index=False)
    with pytest.raises(DataError, match=told):
        with_joined_labels(table("specs"), path, "shininess")


def test_what_is_left_out_is_told_in_a_line_whatever_the_names() -> None:
    left_out = LeftOut()
    left_out.add("a\nb\x85c", "a formula that is no text")
    assert left_out.line() == "left out 1, a b c the first: 1 with a formula that is no text"
