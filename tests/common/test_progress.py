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


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.5, "slow 30/40, 2.00 it/s, 00:05 left, good\n"),
        (400.0, "slow 30/40, 400.0 s/it, 1:06:40 left, good\n"),
    ],
)
def test_a_line_has_rate_and_time_left(seconds, expected, monkeypatch, capsys):
    clock = iter((0.0, 20 * seconds))
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    Progress(40, 10, "slow").advance("good", 20)
    assert capsys.readouterr().out == expected


def test_ipython_in_a_terminal_is_no_notebook(monkeypatch):
    shell = SimpleNamespace()
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    assert not in_notebook()


def test_quiet_shows_nothing(kernel, capsys):
    count(quiet=True)
    assert capsys.readouterr() == ("", "")
