"""docs/python.md and the lines of the README, in an empty folder and with fewer iterations and samples."""

from __future__ import annotations

import re

import pytest
from pymatgen.core import Structure

import gflownet_crystal as gfc
from tests.own_pages import REPOSITORY, blocks, text_of

PAGE = "python.md"
SMALLER = (
    (r"iterations=\d+", "iterations=2, batch_size=16, quiet=True"),
    (r"\.sample\(1000", ".sample(60"),
    (r"head\(50\)", "head(6)"),
    (r'relax\("chgnet"\)', 'relax("chgnet", steps=1)'),
    (r"steps=200", "steps=1"),
    (r"sample\(100,", "sample(20,"),
    (r"screen\(5", "screen(2"),
    (r'"within": 0.2', '"within": 5.0'),
    (r"crystals = samples.place\(\)", "crystals = samples.head(3).place()"),
    (r"< 0.3", "< 20.0"),
)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_every_block_runs_and_does_what_it_says(tmp_path, monkeypatch):
    pytest.importorskip("chgnet")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "page"}
    first_files = None
    texts = [block for _, block in blocks(text_of(PAGE), "python")]
    assert len(texts) >= 9
    for text in texts:
        for pattern, smaller in SMALLER:
            text = re.sub(pattern, smaller, text)
        exec(compile(text, PAGE, "exec"), names)
        first_files = list(tmp_path.iterdir()) if first_files is None else first_files
    assert first_files == []
    assert all(isinstance(one, Structure) for one in names["structures"])
    assert isinstance(names["best"], gfc.Crystals)
    assert len(names["best"]) == len(names["again"]) == len(names["mine"])
    written = {path.name for path in tmp_path.iterdir()}
    assert written == {"runs", "samples.parquet", "best.extxyz", "best.parquet", "best_cif", "first.cif"}


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_lines_of_the_readme_make_structures_and_write_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (text,) = (block for _, block in blocks((REPOSITORY / "README.md").read_text(encoding="utf-8"), "python"))
    *lines, last = text.strip().splitlines()
    smaller = "\n".join(lines).replace("4000", "200").replace("k=10", 'k=1, settings={"within": 5.0}')
    names: dict[str, object] = {}
    exec(compile(smaller, "README.md", "exec"), names)
    (structure,) = eval(last, names)
    assert isinstance(structure, Structure)
    assert {str(one) for one in structure.elements} <= {"Li", "Na", "Ti", "Mn", "O", "F", "S"}
    assert list(tmp_path.iterdir()) == []
