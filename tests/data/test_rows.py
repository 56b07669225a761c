"""Rows that are no crystals are named by every reader, whatever the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from pymatgen.core import Lattice, Structure

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.data.left_out import LeftOut
from gflownet_crystal.data.prepare import load_prepared
from gflownet_crystal.data.readers import read_rows, read_source
from gflownet_crystal.data.rows import REASON
from gflownet_crystal.evaluation.structure_sets import read_set
from gflownet_crystal.relaxation.inputs import read_items
from gflownet_crystal.training.energies.labelled import read_labelled
from tests.data.crystals import QUARTZ, stored_frame, table

SOUND = table(QUARTZ, False)
FAULTS = {
    "a length below 0": ("lattice", 0, -4.9, "not finite and above 0"),
    "a length of 0": ("lattice", 1, 0.0, "not finite and above 0"),
    "an angle of 180": ("lattice", 4, 180.0, "180 degrees"),
    "a negative angle": ("lattice", 3, -90.0, "180 degrees"),
    "angles that close no cell": ("lattice", 3, 179.0, "close no cell"),
    "a cell of 1e8 Å": ("lattice", 2, 1e8, "longer than"),
    "a length of 1e308": ("lattice", 2, 1e308, "longer than"),
    "NaN in the lattice": ("lattice", 0, np.nan, "not finite"),
    "atomic number 0": ("atomic_numbers", 0, 0, "unknown elements"),
    "atomic number 119": ("atomic_numbers", 0, 119, "unknown elements"),
    "a negative atomic number": ("atomic_numbers", 0, -3, "unknown elements"),
    "half an atomic number": ("atomic_numbers", 0, 14.5, "not whole"),
    "a NaN coordinate": ("frac_coords", 3, np.nan, "not finite"),
    "an infinite coordinate": ("frac_coords", 3, np.inf, "not finite"),
    "a coordinate of 1e308": ("frac_coords", 3, 1e308, "beyond"),
}


def changed(column: str, place: int, value: float) -> pd.DataFrame:
    frame = pd.concat([SOUND, SOUND.assign(material_id="two")], ignore_index=True)
    values = [float(x) for x in frame.at[1, column]]
    values[place] = value
    frame[column] = [[float(x) for x in frame.at[0, column]], values]
    return frame


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("suffix", ["parquet", "csv", "pt"])
def test_what_is_no_crystal_is_named_by_every_reader(fault: str, suffix: str, tmp_path: Path) -> None:
    column, place, value, said = FAULTS[fault]
    path, frame = tmp_path / f"two.{suffix}", changed(column, place, value)
    if suffix == "pt":
        if fault == "half an atomic number":
            said = "unknown elements"
        lattice = np.array(frame["lattice"].tolist())
        content = {
            "frac_coords": np.concatenate(frame["frac_coords"].tolist()).reshape(-1, 3),
            "atom_types": np.concatenate(frame["atomic_numbers"].tolist()),
            "lengths": lattice[:, :3],
            "angles": lattice[:, 3:],
            "num_atoms": [len(QUARTZ)] * 2,
        }
        torch.save({name: torch.tensor(np.asarray(values)) for name, values in content.items()}, path)
    else:
        frame.to_parquet(path) if suffix == "parquet" else frame.to_csv(path, index=False)
    bad = "two-1" if suffix == "pt" else "two"
    (good, other) = read_items(path)
    assert good.structure is not None and other.structure is None and other.name == bad
    assert other.reason and said in other.reason and "\n" not in other.reason
    assert read_set(path).reasons == {1: other.reason}
    left_out = LeftOut()
    assert len(load_prepared([path], left_out=left_out)) == 1
    assert left_out.frame().to_dict("records") == [{"name": bad, "reason": other.reason}]
    with pytest.raises(DataError, match=bad) as caught:
        read_source(path)
    assert "\n" not in str(caught.value)
    if suffix != "pt":
        left_out = LeftOut()
        assert len(read_labelled([path], left_out=left_out)) == 1 and left_out.names() == {bad}


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("frac_coords", [0.1, 0.2], "coordinates"),
        ("frac_coords", None, "missing"),
        ("lattice", [4.0, 4.0, 4.0], "3 numbers"),
        ("lattice", None, "missing"),
        ("atomic_numbers", [], "coordinates of 0 atoms"),
    ],
)
def test_arrays_that_do_not_fit_are_named(column: str, value: object, said: str, tmp_path: Path) -> None:
    frame = pd.concat([SOUND, SOUND.assign(material_id="two")], ignore_index=True)
    frame[column] = [frame.at[0, column], value]
    frame.to_parquet(tmp_path / "two.parquet")
    rows = read_rows(tmp_path / "two.parquet")
    assert rows[REASON].iloc[0] == "" and said in rows[REASON].iloc[1]


@pytest.mark.parametrize("text", ["none", "[4.9 4.9", "[4.9 ... 120]", "4.9, 4.9, 5.4, 90, 90, 120"])
def test_texts_that_are_no_lists_are_named(text: str, tmp_path: Path) -> None:
    frame = pd.concat([SOUND.astype({"lattice": str}), SOUND.assign(lattice=text)])
    frame.to_csv(tmp_path / "two.csv", index=False)
    rows = read_rows(tmp_path / "two.csv")
    assert rows[REASON].iloc[0] == "" and "no numbers" in rows[REASON].iloc[1]


def test_labels_that_are_no_numbers(tmp_path: Path) -> None:
    for label in ("high", np.inf, "1e999"):
        frame = pd.concat([SOUND, SOUND.assign(material_id="two")], ignore_index=True)
        frame["formation_energy_per_atom"] = ["-3.0", str(label)]
        frame.to_csv(tmp_path / "two.csv", index=False)
        left_out = LeftOut()
        prepared = load_prepared([tmp_path / "two.csv"], left_out=left_out)
        assert prepared["formation_energy_per_atom"].tolist() == [-3.0] and left_out.names() == {"two"}
        # who asks for no labels is not disturbed by them
        assert all(item.structure is not None for item in read_items(tmp_path / "two.csv"))
        with pytest.raises(DataError, match="two the first, is no finite number"):
            read_labelled([tmp_path / "two.csv"], left_out=LeftOut())


def test_atoms_on_top_of_each_other_and_thin_cells_are_left_out(tmp_path: Path) -> None:
    crowded = Structure(Lattice.cubic(4.0), ["Na", "Cl"], [[0, 0, 0], [0.1, 0, 0]])
    thin = Structure(Lattice.orthorhombic(0.3, 4.0, 4.0), ["Na"], [[0, 0, 0]])
    frames = [
        table(s, False).assign(material_id=name) for s, name in ((QUARTZ, "q"), (crowded, "c"), (thin, "t"))
    ]
    pd.concat(frames).to_parquet(tmp_path / "three.parquet")
    left_out = LeftOut()
    assert load_prepared([tmp_path / "three.parquet"], left_out=left_out)["material_id"].tolist() == ["q"]
    assert left_out.names() == {"c", "t"} and set(left_out.counts()) == {"atoms closer than 0.5 Å"}


def test_specs_of_a_prepared_table_are_checked(tmp_path: Path) -> None:
    stored_frame().to_parquet(tmp_path / "stored.parquet")
    prepared = load_prepared([tmp_path / "stored.parquet"])
    faults = {
        1: ("a", -3.0),
        2: ("gamma", 200.0),
        3: ("space_group", 300),
        4: ("formula", "Xx2"),
        5: ("a", 1e9),
    }
    wrong = prepared.copy()
    for row, (column, value) in faults.items():
        wrong.loc[row, column] = value
    wrong.to_parquet(tmp_path / "wrong.parquet")
    left_out = LeftOut()
    kept = load_prepared([tmp_path / "wrong.parquet"], left_out=left_out)
    assert left_out.frame()["name"].tolist() == [prepared["material_id"][row] for row in faults]
    pd.testing.assert_frame_equal(kept, prepared.drop(index=list(faults)).reset_index(drop=True))
