"""Names of public data sets as paths, and the registry itself."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.data.public_sets import PUBLIC_SETS, data_folder, data_path, table_path
from gflownet_crystal.data.public_tables import FORMS
from gflownet_crystal.data.readers import read_source
from tests.data.crystals import stored_frame


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GFLOWNET_CRYSTAL_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "data"


def test_every_file_has_an_address_a_digest_and_a_licence() -> None:
    lengths = {"sha256": 64, "md5": 32}
    for name, public in PUBLIC_SETS.items():
        assert public.name == name and public.form in FORMS
        assert public.licence and public.source and public.purpose and public.crystals > 0
        for file in public.files:
            assert file.url.startswith("https://")
            kind, _, digest = (file.digest or "").partition(":")
            assert re.fullmatch(rf"[0-9a-f]{{{lengths[kind]}}}", digest)
    tables = [table for public in PUBLIC_SETS.values() for table in public.tables]
    assert len(tables) == len(set(tables))


def test_digests_of_matbench_are_those_of_matminer() -> None:
    datasets = pytest.importorskip("matminer.datasets.utils", reason="pip install -e '.[evaluate]'")
    published = datasets._load_dataset_dict()
    for name, public in PUBLIC_SETS.items():
        if name.startswith("matbench"):
            (file,) = public.files
            assert (file.url, file.digest) == (published[name]["url"], f"sha256:{published[name]['hash']}")
            assert public.crystals == published[name]["num_entries"]


def test_the_folder_is_the_variable_or_in_the_cache_of_the_user(tmp_path: Path) -> None:
    assert data_folder({"GFLOWNET_CRYSTAL_DATA": "/a/b"}) == Path("/a/b")
    home = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache"), "LOCALAPPDATA": str(tmp_path)}
    assert data_folder(home).is_relative_to(tmp_path) and data_folder(home).name == "data"


def test_a_name_that_was_not_fetched_says_how(folder: Path) -> None:
    for name in ("mp20", "mp20_val"):
        with pytest.raises(DataError, match=f"{name} is a public data set .*run fetch_data name=mp20,"):
            read_source(name)


def test_a_name_is_the_table_that_was_fetched(folder: Path) -> None:
    table = table_path(PUBLIC_SETS["mp20"], "mp20_val")
    table.parent.mkdir(parents=True)
    stored_frame().to_parquet(table)
    assert data_path("mp20_val") == table
    pd.testing.assert_series_equal(
        read_source("mp20_val")["material_id"], stored_frame()["material_id"], check_dtype=False
    )


def test_a_file_or_folder_of_that_name_goes_first(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "mp20").mkdir()
    stored_frame().to_parquet(tmp_path / "mp20" / "own.parquet")
    assert data_path("mp20") == Path("mp20")
    assert len(read_source("mp20")) == len(stored_frame())
    (tmp_path / "wbm").write_text("no table")
    with pytest.raises(DataError, match="cannot read wbm"):
        read_source("wbm")


def test_other_paths_stay_as_they_are(folder: Path) -> None:
    for path in ("mp20.parquet", "data/mp20", Path("/somewhere/mp20")):
        assert data_path(path) == Path(path)
