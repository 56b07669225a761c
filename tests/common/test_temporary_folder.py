"""A temporary folder goes with the object that owns it, without a warning."""

from __future__ import annotations

import gc
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.common.files import TemporaryFolder


class Owner:
    """An object in a reference cycle, which only the garbage collector removes."""

    def __init__(self) -> None:
        self.itself, self.folder = self, TemporaryFolder()


def test_the_folder_goes_with_its_owner_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        owner = Owner()
        path = owner.folder.path
        (path / "sub").mkdir()
        (path / "sub" / "file").write_text("text")
        gc.collect()
        assert (path / "sub" / "file").is_file()
        del owner
        gc.collect()
    assert not path.exists()


def test_the_folder_goes_when_python_ends() -> None:
    code = "from gflownet_crystal.common.files import TemporaryFolder; kept = TemporaryFolder(); print(kept.path)"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stderr == ""
    assert not Path(done.stdout.strip()).exists()


def test_no_place_for_the_folder_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    with pytest.raises(DataError, match="cannot make a temporary folder: No such file"):
        TemporaryFolder()
