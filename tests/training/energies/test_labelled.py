"""Labelled structures: read, cleaned, and split without a common formula."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from pymatgen.core import Structure

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.structures.convert import to_pymatgen
from gflownet_crystal.training.energies.labelled import read_labelled, split_labelled
from tests.data.crystals import ENERGIES, KNOWN, conventional_structures, stored_frame


def test_labels_formulas_and_order_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "known.parquet"
    stored_frame().to_parquet(path)
    data = read_labelled([path], one_scheme=False)
    assert data.energy.tolist() == list(ENERGIES)
    formulas = [structure.composition.reduced_formula for structure in conventional_structures()]
    same = [Structure.from_sites(s).composition.reduced_formula for s in to_pymatgen(data.structures)]
    assert same == formulas
    assert len(set(data.formula)) == len(KNOWN)


def test_records_that_are_no_crystals_are_left_out(tmp_path: Path) -> None:
    frame = pd.concat([stored_frame()] * 3, ignore_index=True)
    # one with two atoms on top of each other, one blown up, one without an energy
    points = frame.at[0, "frac_coords"].copy()
    points[3:6] = points[:3]
    frame.at[0, "frac_coords"] = points
    frame.at[1, "lattice"] = frame.at[1, "lattice"] * np.array([4, 4, 4, 1, 1, 1])
    frame.loc[2, "formation_energy_per_atom"] = np.nan
    path = tmp_path / "some.parquet"
    frame.to_parquet(path)
    assert len(read_labelled([path])) == len(frame) - 3


def test_training_shares_no_formula_with_what_is_kept_apart(tmp_path: Path) -> None:
    frame = pd.concat([stored_frame()] * 4, ignore_index=True)
    frame["mp20_split"] = ["val" if row in (3, 6) else "train" for row in range(len(frame))]
    path = tmp_path / "many.parquet"
    frame.to_parquet(path)
    splits = split_labelled(read_labelled([path]), holdout=0.3)
    assert set(splits.validation.split) == {"val"} and len(splits.validation) == 2
    kept = set(splits.validation.formula) | set(splits.holdout.formula)
    assert kept.isdisjoint(splits.train.formula)
    assert torch.equal(
        splits.train.structures.n_atoms, splits.train.take(np.arange(len(splits.train))).structures.n_atoms
    )


def test_what_cannot_be_trained_on_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bare.parquet"
    stored_frame().drop(columns="formation_energy_per_atom").to_parquet(path)
    with pytest.raises(DataError, match="formation_energy_per_atom"):
        read_labelled([path])
    stored_frame().assign(formation_energy_per_atom=np.nan).to_parquet(path)
    with pytest.raises(DataError, match="no structure with an energy"):
        read_labelled([path])
    stored_frame().assign(mp20_split="val").to_parquet(path)
    with pytest.raises(DataError, match=r"0 structures to train.* a greater holdout"):
        split_labelled(read_labelled([path]), holdout=0.0)
