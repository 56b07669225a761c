"""Lowest energies by formula from every kind of source."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pymatgen.core import Composition

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.data.compounds import read_compounds
from gflownet_crystal.data.label_schemes import legacy_shift
from gflownet_crystal.data.prepare import prepare
from gflownet_crystal.structures.formulas import text_to_composition
from tests.data.crystals import ENERGIES, KNOWN, stored_frame

ENERGY = "formation_energy_per_atom"


def lowest(table: pd.DataFrame) -> dict[str, float]:
    return {
        Composition(formula).reduced_formula: energy
        for formula, energy in zip(table["formula"], table[ENERGY], strict=True)
    }


def test_structures_prepared_specs_and_formulas_say_the_same(tmp_path: Path) -> None:
    stored = stored_frame()
    files = {name: tmp_path / f"{name}.parquet" for name in ("stored", "prepared", "plain")}
    stored.drop(columns="formula", errors="ignore").to_parquet(files["stored"])
    prepare(stored).drop(columns="_linear").to_parquet(files["prepared"])
    plain = read_compounds([files["stored"]])
    plain.to_parquet(files["plain"])
    assert list(plain.columns) == ["formula", ENERGY]
    expected = {name: energy for (name, *_), energy in zip(KNOWN, ENERGIES, strict=True)}
    for path in files.values():
        assert lowest(read_compounds([path])) == pytest.approx(expected)


def test_the_lowest_of_several_files_counts_and_strained_or_unlabelled_rows_do_not(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    rows = {"formula": ["Na4 Cl4", "Cl1 Na1", "Mg1 O1"], ENERGY: [-2.0, -2.1, np.nan]}
    pd.DataFrame(rows).to_parquet(folder / "a.parquet")
    strained = pd.DataFrame({"formula": ["Na1 Cl1", "Li1 F1"], ENERGY: [-9.0, -3.1], "strain": ["scale", ""]})
    strained.to_parquet(folder / "b.parquet")
    deltas = pd.DataFrame({"material_id": ["x"], "strain": ["scale"], "delta_energy_per_atom": [0.1]})
    deltas.to_parquet(folder / "c.parquet")
    assert lowest(read_compounds([folder])) == {"NaCl": -2.1, "LiF": -3.1}


def test_labels_of_before_2020_are_converted_on_request(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    rows = {
        "formula": ["Na1 Br1", "K1 Br1"],
        ENERGY: [-1.5, -1.5],
        "energy_source": ["matbench2019", "mp20_val"],
    }
    pd.DataFrame(rows).to_parquet(path)
    shift = float(legacy_shift(text_to_composition(["Na1 Br1"]))[0])
    assert abs(shift) > 0.1
    assert lowest(read_compounds([path])) == {"NaBr": -1.5, "KBr": -1.5}
    assert lowest(read_compounds([path], one_scheme=True)) == pytest.approx(
        {"NaBr": -1.5 + shift, "KBr": -1.5}
    )


def test_sources_without_energies_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pd.DataFrame({"formula": ["Na1 Cl1"], "size": [3]}).to_parquet(path)
    with pytest.raises(DataError, match=rf"a\.parquet has no {ENERGY}"):
        read_compounds([path])
    pd.DataFrame({"delta_energy_per_atom": [0.1]}).to_parquet(path)
    with pytest.raises(DataError, match="no crystals"):
        read_compounds([path])
    with pytest.raises(DataError, match="nowhere"):
        read_compounds([tmp_path / "nowhere.parquet"])
    pd.DataFrame({"formula": ["Xx3"], ENERGY: [-1.0]}).to_parquet(path)
    with pytest.raises(DataError, match="Xx"):
        read_compounds([path])
