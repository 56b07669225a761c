"""Spec files: exact round trips, and malformed ones refused by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from pymatgen.core import Composition

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.crystallography.space_groups import space_group_symbol
from gflownet_crystal.structures.spec import CrystalSpec
from gflownet_crystal.structures.spec_io import (
    SPEC_COLUMNS,
    frame_to_specs,
    read_specs,
    specs_to_frame,
    write_specs,
)


def random_specs(n: int) -> CrystalSpec:
    generator = torch.Generator().manual_seed(0)
    composition = torch.zeros(n, 119, dtype=torch.int64)
    elements = torch.randint(1, 119, (n, 5), generator=generator)
    composition.scatter_(1, elements, torch.randint(1, 97, (n, 5), generator=generator))
    uniform = torch.rand(n, 6, generator=generator, dtype=torch.float64)
    space_group = torch.randint(1, 231, (n,), generator=generator)
    return CrystalSpec(space_group, composition, 1 + 50 * uniform[:, :3], 65 + 50 * uniform[:, 3:])


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_round_trip_is_exact(tmp_path: Path, suffix: str) -> None:
    specs = random_specs(500)
    energy = torch.randn(500, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    path = tmp_path / f"specs{suffix}"
    write_specs(path, specs_to_frame(specs, energy=energy, note=["x"] * 500))
    frame = read_specs(path)
    again = frame_to_specs(frame)
    assert list(frame.columns) == [*SPEC_COLUMNS, "note"]
    assert all(tensor.equal(again.to_dict()[name]) for name, tensor in specs.to_dict().items())
    np.testing.assert_array_equal(frame["energy"], energy.numpy())
    assert frame["log_reward"].isna().all()
    row = frame.iloc[7]
    expected = np.prod([row.a, row.b, row.c]) / Composition(row.formula).num_atoms
    assert row.volume_per_atom < expected


def test_formula_column_is_read_by_pymatgen() -> None:
    specs = random_specs(20)
    for formula, composition in zip(specs_to_frame(specs)["formula"], specs.composition, strict=True):
        counts = {element.Z: int(count) for element, count in Composition(formula).items()}
        assert counts == {int(number): int(composition[number]) for number in composition.nonzero().flatten()}


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("space_group", 0),
        ("space_group", 231),
        ("space_group", 2.5),
        ("space_group", "Fm3k"),
        ("formula", None),
        ("formula", "Qq2"),
        ("a", -1.0),
        ("b", np.nan),
        ("c", np.inf),
        ("c", "long"),
        ("alpha", 180.0),
        ("gamma", None),
    ],
)
def test_a_malformed_value_is_named_with_its_row(column: str, value: object) -> None:
    frame = specs_to_frame(random_specs(5)).astype(object)
    frame.loc[3, column] = value
    with pytest.raises(DataError, match=f"column {column}, row 3"):
        frame_to_specs(frame)


def test_space_groups_may_be_symbols(tmp_path: Path) -> None:
    specs = random_specs(40)
    frame = specs_to_frame(specs)
    path = tmp_path / "specs.csv"
    frame.assign(space_group=[space_group_symbol(group) for group in frame["space_group"]]).to_csv(
        path, index=False
    )
    assert torch.equal(frame_to_specs(read_specs(path)).space_group, specs.space_group)


def test_angles_that_close_no_cell_are_refused() -> None:
    frame = specs_to_frame(random_specs(5))
    frame.loc[2, ["alpha", "beta", "gamma"]] = [30.0, 30.0, 90.0]
    with pytest.raises(DataError, match="row 2"):
        frame_to_specs(frame)


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_missing_columns_are_named(tmp_path: Path, suffix: str) -> None:
    frame = specs_to_frame(random_specs(3)).drop(columns=["beta", "formula"])
    path = tmp_path / f"specs{suffix}"
    _ = frame.to_parquet(path) if suffix == ".parquet" else frame.to_csv(path)
    with pytest.raises(DataError, match="formula, beta"):
        read_specs(path)
    with pytest.raises(DataError, match="formula, beta"):
        write_specs(tmp_path / "other.csv", frame)
    assert not (tmp_path / "other.csv").exists()


def test_files_that_are_no_specs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no data at .*absent"):
        read_specs(tmp_path / "absent.csv")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(DataError, match=r"broken\.parquet"):
        read_specs(tmp_path / "broken.parquet")
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(DataError, match=r"empty\.csv"):
        read_specs(tmp_path / "empty.csv")
    with pytest.raises(DataError, match=r"use \.parquet or \.csv"):
        write_specs(tmp_path / "specs.pickle", specs_to_frame(random_specs(1)))


def test_a_column_of_another_length_is_refused() -> None:
    with pytest.raises(DataError, match="energy"):
        specs_to_frame(random_specs(3), energy=[1.0, 2.0])


def test_no_specs_make_an_empty_frame() -> None:
    frame = specs_to_frame(random_specs(0))
    assert isinstance(frame, pd.DataFrame)
    assert len(frame_to_specs(frame)) == 0
