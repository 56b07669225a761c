"""Conversion to conventional cells against hand-made crystals, and every reader against the same crystals."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.data.prepare import load_prepared, prepare
from gflownet_crystal.data.readers import read_source
from gflownet_crystal.data.schema import LATTICE_COLUMNS
from gflownet_crystal.data.standardize import parameters_to_rows, rows_to_parameters
from gflownet_crystal.structures.spec_io import frame_to_specs
from tests.data.crystals import ENERGIES, KNOWN, conventional_structures, stored_frame


def check_is_known(table: pd.DataFrame) -> None:
    specs = frame_to_specs(table)
    assert table["space_group"].tolist() == [group for _, group, *_ in KNOWN]
    for row, structure in enumerate(conventional_structures()):
        assert int(specs.n_atoms[row]) == len(structure)
        np.testing.assert_allclose(sorted(specs.lengths[row]), sorted(structure.lattice.abc), atol=2e-3)
        assert float(specs.volume[row]) == pytest.approx(structure.volume, rel=1e-4)


def test_primitive_cells_become_the_conventional_ones_they_came_from() -> None:
    check_is_known(prepare(stored_frame(primitive=True)))


def test_supercells_become_conventional_cells() -> None:
    frame = stored_frame(primitive=False)
    bigger = [structure.make_supercell([2, 1, 1]) for structure in conventional_structures()]
    frame["lattice"] = [np.array(structure.lattice.parameters) for structure in bigger]
    frame["atomic_numbers"] = [np.array(structure.atomic_numbers) for structure in bigger]
    frame["frac_coords"] = [structure.frac_coords.ravel() for structure in bigger]
    check_is_known(prepare(frame))


def test_lattice_parameters_survive_the_way_to_vectors_and_back() -> None:
    parameters = np.random.default_rng(0).uniform([2, 2, 2, 60, 60, 60], [9, 9, 9, 110, 110, 110], (50, 6))
    np.testing.assert_allclose(rows_to_parameters(parameters_to_rows(parameters)), parameters, rtol=1e-10)


def test_strained_cells_keep_counts_and_scale_the_conventional_cell(tmp_path: Path) -> None:
    frame = stored_frame()
    factor = np.array([1.1] * 3 + [1.0] * 3)
    strained = pd.DataFrame(
        {
            "material_id": frame["material_id"],
            "strain": "scale",
            "lattice": [lattice * factor for lattice in frame["lattice"]],
            "delta_energy_per_atom": 0.25,
        }
    )
    frame.to_parquet(tmp_path / "a.parquet")
    strained.to_parquet(tmp_path / "b.parquet")
    table = load_prepared([tmp_path])
    true, scaled = table[table["strain"] == ""], table[table["strain"] == "scale"]
    assert scaled["formula"].tolist() == true["formula"].tolist()
    np.testing.assert_allclose(
        scaled[list(LATTICE_COLUMNS)], true[list(LATTICE_COLUMNS)].to_numpy() * factor, rtol=1e-4
    )
    np.testing.assert_allclose(scaled["formation_energy_per_atom"], np.array(ENERGIES) + 0.25)


def test_strains_of_unknown_crystals_are_refused(tmp_path: Path) -> None:
    frame = stored_frame()
    frame.to_parquet(tmp_path / "a.parquet")
    frame.assign(material_id="other", strain="scale", delta_energy_per_atom=0.0).to_parquet(
        tmp_path / "b.parquet"
    )
    with pytest.raises(DataError, match="in no source"):
        load_prepared([tmp_path])


def test_mp20_csv_matbench_json_cif_folder_and_parquet_agree(tmp_path: Path) -> None:
    structures = conventional_structures()
    csv = pd.DataFrame(
        {
            "material_id": range(len(structures)),
            "formation_energy_per_atom": ENERGIES,
            "cif": [structure.to(fmt="cif") for structure in structures],
            "spacegroup.number": [group for _, group, *_ in KNOWN],
        }
    )
    csv.to_csv(tmp_path / "train.csv", index=False)
    matbench = {
        "index": list(range(len(structures))),
        "columns": ["structure", "e_form"],
        "data": [[s.as_dict(), e] for s, e in zip(structures, ENERGIES, strict=True)],
    }
    with gzip.open(tmp_path / "matbench_mp_e_form.json.gz", "wt") as file:
        json.dump(matbench, file)
    cifs = tmp_path / "cifs"
    cifs.mkdir()
    for row, structure in enumerate(structures):
        structure.to(filename=str(cifs / f"{row}.cif"))
    stored_frame().to_parquet(tmp_path / "rows.parquet")
    for name in ("train.csv", "matbench_mp_e_form.json.gz", "cifs", "rows.parquet"):
        table = prepare(read_source(tmp_path / name))
        check_is_known(table)
        if name != "cifs":
            np.testing.assert_allclose(table["formation_energy_per_atom"], ENERGIES)


def test_rows_without_structure_count_the_conventional_cell(tmp_path: Path) -> None:
    path = tmp_path / "compositions.parquet"
    pd.DataFrame(
        {
            "matbench_id": ["a", "b"],
            "composition": ["Na1 Cl1", "Zr4 O8"],
            "space_group": [225, 14],
            "formation_energy_per_atom": [-2.1, -3.8],
        }
    ).to_parquet(path)
    table = load_prepared([path])
    assert table["formula"].tolist() == ["Na4 Cl4", "Zr4 O8"]
    assert table["a"].isna().all()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.parquet", b"not parquet", "cannot read"),
        ("a.csv", b"material_id,xml\nx,y\n", "lacks the columns"),
        ("a.json", b"{}", "MatBench"),
        ("a.cif", b"nothing", "not a CIF"),
        ("a.txt", b"", "cannot read"),
    ],
)
def test_malformed_files_are_named_in_one_line(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        read_source(tmp_path / name)
    assert name in str(caught.value) and "\n" not in str(caught.value)


def test_missing_columns_files_and_broken_rows_are_data_errors(tmp_path: Path) -> None:
    frame = stored_frame()
    frame.drop(columns="lattice").to_parquet(tmp_path / "a.parquet")
    with pytest.raises(DataError, match="lattice"):
        read_source(tmp_path / "a.parquet")
    with pytest.raises(DataError, match="no data"):
        read_source(tmp_path / "missing.parquet")
    broken = frame.copy()
    broken.at[2, "frac_coords"] = np.zeros(4)
    with pytest.raises(DataError, match="row 2"):
        prepare(broken)
    broken = frame.copy()
    broken.at[1, "lattice"] = np.array([4.0, 4.0, 4.0, 150.0, 150.0, 150.0])
    with pytest.raises(DataError, match="row 1"):
        prepare(broken)
