"""docs/notebook.ipynb runs from top to bottom, does what it says, and is stored with its outputs."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

nbformat = pytest.importorskip("nbformat", reason="pip install -e '.[dev]'")
nbclient = pytest.importorskip("nbclient", reason="pip install -e '.[dev]'")
pytest.importorskip("ipykernel", reason="pip install -e '.[dev]'")

REPOSITORY = Path(__file__).parents[1]
NOTEBOOK = REPOSITORY / "docs" / "notebook.ipynb"


def code_cells(book: Any) -> list[Any]:
    return [cell for cell in book.cells if cell.cell_type == "code"]


def kinds(cell: Any) -> list[list[str]]:
    """Kinds of the outputs of a cell: MIME types, or streams."""
    return [sorted(output.get("data", {output.get("name"): ""})) for output in cell.outputs]


def test_it_is_valid_and_stored_with_its_outputs():
    book = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(book)
    cells = code_cells(book)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert all(cell.outputs for cell in cells)
    assert not any(output.output_type == "error" for cell in cells for output in cell.outputs)


def test_it_uses_the_python_interface_alone():
    text = "\n".join(cell.source for cell in code_cells(nbformat.read(NOTEBOOK, as_version=4)))
    assert set(re.findall(r"gflownet_crystal[\w.]*", text)) == {"gflownet_crystal"}


@pytest.mark.skipif(os.name != "posix", reason="the kernel is found by PYTHONPATH")
def test_it_runs_as_stored_training_raises_rewards_and_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    # settings and history of this user's Jupyter play no part
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "TMPDIR", "here"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(name, str(tmp_path / name))
    book = nbformat.read(NOTEBOOK, as_version=4)
    stored = [kinds(cell) for cell in code_cells(book)]
    here = tmp_path / "here"
    nbclient.NotebookClient(book, timeout=600, resources={"metadata": {"path": str(here)}}).execute()
    assert [kinds(cell) for cell in code_cells(book)] == stored
    outputs = [output for cell in code_cells(book) for output in cell.outputs]
    texts = [text for o in outputs if (text := o.get("data", {}).get("text/plain", "")).startswith("[-")]
    before, after = json.loads(texts[0])
    assert after > before + 1.0
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert any("<iframe" in output.get("data", {}).get("text/html", "") for output in outputs)
    assert list(here.iterdir()) == []
