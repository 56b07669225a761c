"""Where progress is shown: a bar on a terminal and in a notebook, few lines elsewhere, nothing where it is quiet."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from gflownet_crystal.common.progress import N_LINES, Progress, in_notebook


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that a Jupyter kernel runs."""
    shell = SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))


def count(quiet: bool = False) -> None:
    with Progress(100, 0, "counting", quiet) as progress:
        for _ in range(100):
            progress.advance("")


def test_a_notebook_has_a_bar(kernel, capsys):
    assert in_notebook()
    count()
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "counting: 100%" in shown.err


def test_elsewhere_there_are_few_lines(capsys):
    assert not in_notebook()
    count()
    shown = capsys.readouterr()
    assert len(shown.out.splitlines()) == N_LINES
    assert shown.err == ""


def test_ipython_in_a_terminal_is_no_notebook(monkeypatch):
    shell = SimpleNamespace()
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    assert not in_notebook()


def test_quiet_shows_nothing(kernel, capsys):
    count(quiet=True)
    assert capsys.readouterr() == ("", "")
