"""``import gflownet_crystal`` is light, and its names are those of the interface."""

from __future__ import annotations

import subprocess
import sys

import pytest

import gflownet_crystal as gfc
from tests.cli.commands import environment

HEAVY = ("torch", "pandas", "numpy", "pymatgen", "ase", "hydra", "matplotlib")


def test_the_package_alone_imports_nothing_heavy(tmp_path):
    code = f"import sys, gflownet_crystal; print([name for name in {HEAVY!r} if name in sys.modules])"
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout.strip() == "[]"


def test_every_name_is_there_and_documented():
    assert set(gfc.__all__) <= set(dir(gfc))
    for name in gfc.__all__:
        assert getattr(gfc, name) is not None
        assert name == "__version__" or getattr(gfc, name).__doc__


def test_another_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        _ = gfc.trian
