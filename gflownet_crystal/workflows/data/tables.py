"""Data files of the verbs on data: read, converted with a progress bar, and checked for labels."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from gflownet_crystal.data.left_out import LeftOut
from gflownet_crystal.data.prepare import load_prepared
from gflownet_crystal.training.energies.labelled import LabelledStructures, read_labelled


def tell(left_out: LeftOut) -> None:
    """Say on standard error how many crystals were left out, and why."""
    if line := left_out.line():
        sys.stderr.write(f"{line}\n")


def crystal_bar(description: str, quiet: bool) -> Callable[[Iterable[int]], Iterable[int]]:
    """Wrapper of a loop over crystals that shows its progress on standard error.

    Args:
        description: text before the bar.
        quiet: show nothing.
    """
    return partial(tqdm, desc=description, unit="crystal", disable=quiet, file=sys.stderr)


def read_prepared(
    paths: Iterable[Path],
    quiet: bool,
    formula_check: str = "refuse",
    left_out: LeftOut | None = None,
    *,
    atoms: bool = False,
    labels: Sequence[str] = (),
) -> pd.DataFrame:
    """A prepared table of all ``paths``.

    Args:
        paths: files and folders.
        quiet: show no progress.
        formula_check: ``refuse`` CIFs whose own formula differs from the structure, or ``warn``.
        left_out: list for records that are no crystals; None reports them on standard error.
        atoms: keep the stored cells with their atoms, where a source has some.
        labels: further columns of numbers to keep.
    """
    progress = crystal_bar("converting", quiet)
    dropped = LeftOut() if left_out is None else left_out
    table = load_prepared(
        paths, progress, formula_check=formula_check, left_out=dropped, atoms=atoms, labels=labels
    )
    if left_out is None:
        tell(dropped)
    return table


def read_crystals(
    paths: Sequence[Path], *, one_scheme: bool = True, strained: float = 1.0, seed: int = 0
) -> LabelledStructures:
    """Labelled structures of all ``paths``; omissions are reported on standard error.

    See :func:`~gflownet_crystal.training.energies.labelled.read_labelled` for the arguments.
    """
    left_out = LeftOut()
    data = read_labelled(paths, one_scheme, strained, seed, left_out)
    tell(left_out)
    return data
