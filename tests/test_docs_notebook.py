"""docs/notebook.ipynb runs from top to bottom, and does what it says."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from pymatgen.core import Structure

nbformat = pytest.importorskip("nbformat", reason="pip install -e '.[dev]'")
nbclient = pytest.importorskip("nbclient", reason="pip install -e '.[dev]'")
pytest.importorskip("ipykernel", reason="pip install -e '.[dev]'")

REPOSITORY = Path(__file__).parents[1]
NOTEBOOK = REPOSITORY / "docs" / "notebook.ipynb"


def test_it_is_valid_and_stored_without_outputs():
    book = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(book)
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    assert code
    assert all(not cell.outputs and cell.execution_count is None for cell in code)


@pytest.mark.skipif(os.name != "posix", reason="the kernel is found by PYTHONPATH")
def test_it_runs_and_training_lowers_energies(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    # settings and history of this user's Jupyter play no part
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "TMPDIR"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(name, str(tmp_path / name))
    book = nbformat.read(NOTEBOOK, as_version=4)
    client = nbclient.NotebookClient(book, timeout=600, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()
    outputs = [output for cell in book.cells if cell.cell_type == "code" for output in cell.outputs]
    (medians,) = [text for o in outputs if (text := o.get("data", {}).get("text/plain", "")).startswith("[-")]
    before, after = json.loads(medians)
    assert after < before - 0.3
    assert any("image/png" in output.get("data", {}) for output in outputs)
    crystals = [Structure.from_file(path) for path in (tmp_path / "TMPDIR").rglob("*.cif")]
    assert crystals
    assert {element.symbol for crystal in crystals for element in crystal.elements} <= {"Li", "Mg", "O", "F"}
