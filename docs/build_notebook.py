"""Run docs/notebook.ipynb and store it with its outputs: ``python docs/build_notebook.py``."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import nbclient
import nbformat

NOTEBOOK = Path(__file__).with_name("notebook.ipynb")


def executed(path: Path, folder: Path) -> nbformat.NotebookNode:
    """A notebook with the outputs of a run in a folder; no times and no machine's names are kept.

    Args:
        path: of the notebook.
        folder: working directory of the run.
    """
    book = nbformat.read(path, as_version=4)
    os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    nbclient.NotebookClient(book, timeout=600, resources={"metadata": {"path": str(folder)}}).execute()
    for cell in book.cells:
        cell.metadata.pop("execution", None)
    book.metadata["language_info"] = {"name": "python"}
    return book


def main() -> None:
    """Write the notebook."""
    with tempfile.TemporaryDirectory() as folder:
        book = executed(NOTEBOOK, Path(folder))
    nbformat.write(book, NOTEBOOK)


if __name__ == "__main__":
    main()
