"""Many relaxations: failures stay alone, processes agree, and records survive."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pymatgen.core import Structure

from gflownet_crystal.common.executors import LocalProcesses
from gflownet_crystal.common.run_schema import RELAXATIONS
from gflownet_crystal.data.readers import read_source
from gflownet_crystal.relaxation.inputs import Item, read_items
from gflownet_crystal.relaxation.records import Record, RecordsFile, to_record, write_results
from gflownet_crystal.relaxation.relax import relax
from gflownet_crystal.relaxation.results import Relaxation
from gflownet_crystal.relaxation.run import relax_items
from gflownet_crystal.relaxation.settings import RelaxationSettings
from gflownet_crystal.structures.convert import to_pymatgen
from tests.relaxation.metals import copper, emt_energies, overlapping

ITEMS = [
    Item("first", copper(3.7)),
    Item("overlapping", overlapping()),
    Item("unread", None, "not a CIF"),
    Item("last", copper(3.5)),
]
SETTINGS = RelaxationSettings(steps=30)


def test_a_failure_disturbs_no_other() -> None:
    finished = sorted(relax_items(ITEMS, range(4), emt_energies, SETTINGS))
    assert [row for row, _, _ in finished] == [0, 1, 2, 3]
    assert [result.status for _, result, _ in finished] == ["converged", "failed", "failed", "converged"]
    assert finished[2].result.reason == "not a CIF"
    alone = relax(copper(3.5), emt_energies(), SETTINGS)
    assert finished[3].result.after == alone.after


def test_processes_agree_with_one(tmp_path: Path) -> None:
    one = {row: result for row, result, _ in relax_items(ITEMS, [3, 0, 2], emt_energies, SETTINGS)}
    two = {
        row: result
        for row, result, _ in relax_items(ITEMS, [3, 0, 2], emt_energies, SETTINGS, LocalProcesses(2))
    }
    assert one.keys() == two.keys()
    for row, result in one.items():
        assert (result.status, result.steps, result.after) == (
            two[row].status,
            two[row].steps,
            two[row].after,
        )


def test_a_stop_is_heeded_between_crystals() -> None:
    asked = iter([False, False, True])
    finished = list(relax_items(ITEMS, range(4), emt_energies, SETTINGS, should_stop=lambda: next(asked)))
    assert sorted(row for row, _, _ in finished) == [0, 1, 2]


@pytest.fixture(scope="module")
def records() -> list[Record]:
    finished = relax_items(ITEMS, range(4), emt_energies, SETTINGS)
    return [to_record(row, ITEMS[row], result, seconds) for row, result, seconds in sorted(finished)]


def test_records_outlive_a_line_that_was_cut_off(tmp_path: Path, records: list[Record]) -> None:
    file = RecordsFile(tmp_path)
    for record in records[:2]:
        file.add(record)
    file.close()
    with (tmp_path / RELAXATIONS).open("a") as handle:
        handle.write('{"row": 2, "name": "unr')
    file = RecordsFile(tmp_path)
    assert [record.row for record in file.records] == [0, 1]
    file.add(records[3])
    file.close()
    assert RecordsFile(tmp_path).records == [records[0], records[1], records[3]]


def test_tables_and_cifs_are_the_relaxed_crystals(tmp_path: Path, records: list[Record]) -> None:
    write_results(tmp_path, records[::-1], "emt", 0.01)
    table = pd.read_csv(tmp_path / "relaxed.csv", keep_default_na=False, na_values={"energy_after": [""]})
    assert table["name"].tolist() == ["first", "overlapping", "unread", "last"]
    assert (table["reason"] != "").tolist() == [False, True, True, False]
    assert table["energy_after"].isna().tolist() == [False, True, True, False]
    expected = relax(copper(3.7), emt_energies(), SETTINGS)
    assert expected.structure is not None and expected.after is not None
    relaxed = to_pymatgen(expected.structure)[0]
    assert float(table["volume_change"].iloc[0]) == pytest.approx(relaxed.volume / (3.7**3 / 4) - 1)
    assert float(table["max_strain"].iloc[0]) == pytest.approx(1 - (relaxed.volume * 4) ** (1 / 3) / 3.7)
    stored = read_source(tmp_path / "relaxed.parquet")
    assert stored["formation_energy_per_atom"].iloc[0] == expected.after.energy
    assert stored["space_group"].tolist() == [225, 225]
    cif = Structure.from_file(tmp_path / table["cif"].iloc[0])
    assert len(cif) == 4 and cif.matches(relaxed, scale=False)
    np.testing.assert_allclose(cif.volume, 4 * relaxed.volume, rtol=1e-6)
    again = read_items(tmp_path / "relaxed.parquet")[0].structure
    assert again is not None
    np.testing.assert_allclose(float(again.volume[0]), relaxed.volume, rtol=1e-9)


def test_tables_of_failures_alone(tmp_path: Path) -> None:
    record = to_record(0, ITEMS[2], Relaxation("failed", "not a CIF", 0), 0.0)
    write_results(tmp_path, [record], "emt", 0.01)
    assert pd.read_csv(tmp_path / "relaxed.csv")["status"].tolist() == ["failed"]
    assert not (tmp_path / "relaxed.parquet").exists()
