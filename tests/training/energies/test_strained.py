"""Strained copies of labelled crystals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.training.energies.labelled import read_labelled, split_labelled
from gflownet_crystal.training.energies.strained import strained_copies
from tests.data.crystals import stored_frame


def strains(crystals: pd.DataFrame) -> pd.DataFrame:
    """Each crystal as it is, stretched twice, and once with an energy that no potential can be trusted with."""
    rows = []
    for name, lattice in zip(crystals["material_id"], crystals["lattice"], strict=True):
        for kind, factor, energy in (
            ("reference", 1.0, 0.0),
            ("scale", 1.1, 0.2),
            ("scale", 0.9, 0.5),
            ("scale", 0.8, 7.0),
        ):
            stretched = np.asarray(lattice) * np.array([factor] * 3 + [1.0] * 3)
            rows.append((name, kind, stretched, energy))
    return pd.DataFrame(rows, columns=["material_id", "strain", "lattice", "delta_energy_per_atom"])


def test_copies_keep_their_atoms_and_cost_what_the_strain_costs():
    crystals = stored_frame()
    copies = strained_copies(crystals, strains(crystals), per_crystal=2.0)
    assert len(copies) == 2 * len(crystals)
    by_name = crystals.set_index("material_id")
    for copy in copies.itertuples():
        parent = by_name.loc[copy.material_id]
        factor = copy.lattice[0] / parent["lattice"][0]
        cost = copy.formation_energy_per_atom - parent["formation_energy_per_atom"]
        assert np.isclose(cost, 0.2 if factor > 1.0 else 0.5)
        assert np.array_equal(copy.frac_coords, parent["frac_coords"])
        assert np.array_equal(copy.atomic_numbers, parent["atomic_numbers"])
        assert copy.mp20_split == "none" and copy.energy_source.endswith("_strained")


def test_the_share_is_chosen_by_the_seed():
    crystals = stored_frame()
    first, same, other = (strained_copies(crystals, strains(crystals), 0.5, seed) for seed in (0, 0, 1))
    assert len(first) == len(crystals) // 2
    pd.testing.assert_frame_equal(first, same)
    assert not first["material_id"].equals(other["material_id"])


def test_copies_of_formulas_kept_apart_are_not_trained_on(tmp_path: Path):
    crystals = stored_frame()
    crystals["mp20_split"] = ["val" if row in (1, 4) else "train" for row in range(len(crystals))]
    crystals.to_parquet(tmp_path / "crystals.parquet")
    strains(crystals).to_parquet(tmp_path / "strained.parquet")
    paths = [tmp_path / "strained.parquet", tmp_path / "crystals.parquet"]
    data = read_labelled(paths, strained=2.0)
    assert len(data) == 3 * len(crystals)
    splits = split_labelled(data, holdout=0.0)
    assert len(splits.validation) == 2 and len(splits.train) == 3 * (len(crystals) - 2)
    assert set(splits.train.formula).isdisjoint(splits.validation.formula)


def test_strains_of_unknown_crystals_are_refused(tmp_path: Path):
    crystals = stored_frame()
    others = strains(crystals.assign(material_id=[f"other-{row}" for row in range(len(crystals))]))
    with pytest.raises(DataError, match="strains none of the crystals"):
        strained_copies(crystals, others, 1.0, origin="strained.parquet")
    others.to_parquet(tmp_path / "strained.parquet")
    with pytest.raises(DataError, match="need the file of their structures"):
        read_labelled([tmp_path / "strained.parquet"])
