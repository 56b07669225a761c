"""The stages of ``pipeline``, each of which resumes from its files."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from gflownet_crystal.common.executors import Executor
from gflownet_crystal.common.files import read_json, write_json
from gflownet_crystal.common.run_schema import SAMPLES
from gflownet_crystal.relaxation.inputs import Item
from gflownet_crystal.relaxation.records import Record
from gflownet_crystal.relaxation.run import Loader
from gflownet_crystal.relaxation.settings import RelaxationSettings
from gflownet_crystal.structures.spec_io import read_specs, write_specs
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.workflows.candidates.files import cif_names
from gflownet_crystal.workflows.candidates.further import FURTHER, MOST_DRAWS
from gflownet_crystal.workflows.output_folder import holds_nothing, open_output
from gflownet_crystal.workflows.relaxing.relaxing import relax_kept

RELAXED, SECONDS = "relaxed", "seconds.json"


class Stopwatch:
    """Seconds that the stages have taken, interrupted runs included.

    Args:
        folder: folder of the times.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / SECONDS
        self.seconds: dict[str, float] = read_json(self._path) if self._path.is_file() else {}

    @contextmanager
    def time(self, stage: str) -> Iterator[None]:
        """Add the elapsed time to a stage's total."""
        start, before = time.perf_counter(), self.seconds.get(stage, 0.0)
        try:
            yield
        finally:
            self.seconds[stage] = round(before + time.perf_counter() - start, 3)
            write_json(self._path, self.seconds)


def kept_samples(folder: Path, draw: Callable[[], pd.DataFrame]) -> pd.DataFrame:
    """The samples of a folder, drawn if it has none."""
    path = folder / SAMPLES
    if not path.is_file():
        write_specs(path, draw())
    return read_specs(path)


def growing_samples(
    folder: Path, kept: pd.DataFrame, n: int, draw: Callable[[int], pd.DataFrame] | None
) -> Iterator[pd.DataFrame]:
    """The first samples, then further ones, which the file keeps behind them.

    Args:
        folder: folder of the pipeline.
        kept: content of its file.
        n: first samples.
        draw: draws further ones by the number of the draw, ``FURTHER`` at a time; None for none.
    """
    yield kept.iloc[:n]
    for number in range(1, MOST_DRAWS + 1) if draw is not None else ():
        start = n + (number - 1) * FURTHER
        if draw is not None and len(kept) <= start:
            write_specs(folder / SAMPLES, pd.concat([kept, draw(number)], ignore_index=True))
            kept = read_specs(folder / SAMPLES)
        yield kept.iloc[start : start + FURTHER]


def relax_best(
    folder: Path,
    structures: StructureBatch,
    rows: Sequence[int],
    load: Loader,
    model: Mapping[str, str | None],
    settings: RelaxationSettings,
    executor: Executor,
    quiet: bool,
) -> dict[int, Record]:
    """Relax the best structures; returns the record of each row.

    Args:
        folder: folder of the pipeline; results go to its folder ``relaxed``.
        structures: all.
        rows: rows of the crystals to relax, best first.
        load: makes the model.
        model: its name and version.
        settings: settings of the relaxations.
        executor: place of the work.
        quiet: show no progress.

    Raises:
        ConfigError: the folder has relaxations with other settings.
        KeyboardInterrupt: a signal asked for a stop.
    """
    out = folder / RELAXED
    names = [name.removesuffix(".cif") for name in cif_names(structures)]
    items = [Item(name, structures[row : row + 1]) for row, name in enumerate(names)]
    with open_output(out, {**model, **settings.deciding()}, resume=not holds_nothing(out)):
        records = relax_kept(out, items, rows, load, settings, str(model["model"]), executor, quiet)
    return {record.row: record for record in records}
