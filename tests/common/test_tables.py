"""Tables: numbers exact, and damaged files refused in a line."""

from __future__ import annotations

import json
import random
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet
import pytest

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.common.tables import read_csv, read_parquet
from gflownet_crystal.report.run_files import read_table_file
from gflownet_crystal.structures.spec_io import read_specs
from gflownet_crystal.workflows.sampling.samples import read_objects


@pytest.mark.parametrize("equal_lines", [True, False])
def test_numbers_of_a_csv_are_exact_and_nothing_warns(tmp_path: Path, equal_lines: bool) -> None:
    bits = np.random.default_rng(0).integers(0, 2**63, 20_000, dtype=np.int64).view(np.float64)
    numbers = bits[np.isfinite(bits)]
    path = tmp_path / "numbers.csv"
    path.write_text("x\n" + "\n".join(map(repr, numbers.tolist())))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read = read_csv(path, equal_lines)["x"].to_numpy()
    assert np.array_equal(read.view(np.int64), numbers.view(np.int64))


def test_lines_of_unequal_length_are_refused_where_asked(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a,b\n1,2\n3\n")
    assert len(read_csv(path)) == 2
    with pytest.raises(DataError, match="cannot read"):
        read_csv(path, equal_lines=True)


@pytest.mark.parametrize("read", [read_csv, read_parquet])
def test_a_missing_file_is_named(tmp_path: Path, read) -> None:
    with pytest.raises(DataError, match=r"no data at .*none\.parquet"):
        read(tmp_path / "none.parquet")


def _without_types(path: Path) -> None:
    """Take from the description of the columns what pandas relies on."""
    table = pyarrow.parquet.read_table(path)
    about = json.loads(table.schema.metadata[b"pandas"])
    for column in about["columns"]:
        del column["numpy_type"]
    pyarrow.parquet.write_table(table.replace_schema_metadata({b"pandas": json.dumps(about).encode()}), path)


def test_damaged_files_are_refused_by_whoever_reads_them(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x0": [1.0, 2.0], "when": pd.to_datetime(["2020-01-01", "2021-01-01"])})
    path = tmp_path / "a.parquet"
    frame.to_parquet(path)
    whole = path.read_bytes()
    _without_types(path)
    damages = [path.read_bytes(), whole[:-20], whole[:40], b""]
    rng = random.Random(0)
    for _ in range(40):
        changed = bytearray(whole)
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
        damages.append(bytes(changed))
    n_refused = 0
    for content in damages:
        path.write_bytes(content)
        for read in (
            read_parquet,
            read_specs,
            lambda file: read_table_file(file, must_exist=True),
            lambda file: read_objects(file, "grid", "cpu"),
        ):
            said = refusal(read, path)
            n_refused += said != ""
            assert said == "" or ("a.parquet" in said and "\n" not in said)
    assert n_refused >= 4 * 4


def refusal(read, path: Path) -> str:
    try:
        read(path)
    except DataError as error:
        return str(error)
    return ""


def test_errors_of_arrow_without_a_class_of_their_own_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "table.parquet"
    pd.DataFrame({"a": [1]}).to_parquet(path)

    def fail(*given, **named):
        # as of texts in the footer that are no UTF-8
        raise pyarrow.lib.ArrowException("Unknown error: Wrapping failed")

    monkeypatch.setattr(pd, "read_parquet", fail)
    with pytest.raises(DataError, match=r"cannot read .*table.parquet as Parquet: Unknown error"):
        read_parquet(path)
