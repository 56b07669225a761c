"""The stages of ``pipeline``, each of which finds on disk what an earlier run has done of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd

from gflownet_crystal.cli.candidates import cif_names
from gflownet_crystal.cli.generate import Maker
from gflownet_crystal.cli.generated import part_file, read_part, write_part
from gflownet_crystal.cli.interrupt import stop_on_signal
from gflownet_crystal.cli.output_folder import holds_nothing, open_output
from gflownet_crystal.cli.relax import relax_kept
from gflownet_crystal.common.files import read_json, write_json
from gflownet_crystal.common.progress import Progress
from gflownet_crystal.crystallography.occupation import WyckoffOccupation
from gflownet_crystal.evaluation.ranking import Selection, distinct_rows
from gflownet_crystal.relaxation.inputs import Item
from gflownet_crystal.relaxation.run import Loader
from gflownet_crystal.relaxation.settings import RelaxationSettings
from gflownet_crystal.structures.spec_io import frame_to_specs, read_specs, write_specs
from gflownet_crystal.structures.structure import StructureBatch

SAMPLES, RELAXED, SECONDS = "samples.parquet", "relaxed", "seconds.json"


class Stopwatch:
    """Seconds that the stages have taken, interrupted runs included.

    Args:
        folder: where they are kept.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / SECONDS
        self.seconds: dict[str, float] = read_json(self._path) if self._path.is_file() else {}

    @contextmanager
    def time(self, stage: str) -> Iterator[None]:
        """Add what passes to a stage."""
        start, before = time.perf_counter(), self.seconds.get(stage, 0.0)
        try:
            yield
        finally:
            self.seconds[stage] = round(before + time.perf_counter() - start, 3)
            write_json(self._path, self.seconds)


def sampled(
    folder: Path, n: int, draw: Callable[[Callable[[int], None]], pd.DataFrame], quiet: bool
) -> pd.DataFrame:
    """The samples of a folder, drawn if it has none.

    Args:
        folder: of the pipeline.
        n: samples wanted.
        draw: makes the table, and calls what it is given after each batch.
        quiet: show no progress.
    """
    path = folder / SAMPLES
    if not path.is_file():
        with Progress(n, 0, "sampling", quiet) as progress:
            frame = draw(lambda drawn: progress.advance(f"{drawn} of {n} samples", drawn - progress.done))
        write_specs(path, frame)
    return read_specs(path)


@dataclass
class Placement:
    """What became of the best specs, in the order of their ranking.

    Attributes:
        parts: structures, in the columns of :class:`~gflownet_crystal.cli.generate.Maker`.
        tried: rows of the samples that were to get atoms.
    """

    parts: list[pd.DataFrame] = field(default_factory=list)
    tried: list[int] = field(default_factory=list)

    @property
    def n_placed(self) -> int:
        """Specs with a structure."""
        return sum(map(len, self.parts))

    def add(self, batch: Sequence[int], part: pd.DataFrame) -> None:
        """The structures of a batch of rows."""
        place = {row: number for number, row in enumerate(batch)}
        self.parts.append(part.sort_values("row", key=lambda rows: rows.map(place), ignore_index=True))
        self.tried += batch

    def table(self) -> pd.DataFrame:
        """All structures."""
        return pd.concat([part for part in self.parts if len(part)] or self.parts[:1], ignore_index=True)

    def unplaced(self) -> list[int]:
        """Rows that got no structure."""
        placed = {row for part in self.parts for row in part["row"]}
        return [row for row in self.tried if row not in placed]


def place_best(
    folder: Path,
    frame: pd.DataFrame,
    selection: Selection,
    maker: Maker,
    k: int,
    batch_size: int,
    quiet: bool,
) -> Placement:
    """Atoms for the best distinct specs, until ``k`` have them or there are no more.

    Args:
        folder: of the pipeline.
        frame: samples with ``e_above_hull``.
        selection: what is a duplicate.
        maker: makes the structures.
        k: structures wanted.
        batch_size: specs at a time.
        quiet: show no progress.

    Raises:
        KeyboardInterrupt: a signal asked for a stop.
    """
    remaining = distinct_rows(frame, selection)
    placement = Placement()

    def following() -> list[int]:
        return list(islice(remaining, min(batch_size, k - placement.n_placed)))

    batch = following()
    while batch and (path := part_file(folder, len(placement.tried))).is_file():
        placement.add(batch, read_part(path))
        batch = following()
    with stop_on_signal() as should_stop, Progress(k, placement.n_placed, "generating", quiet) as progress:
        while batch:
            if should_stop():
                raise KeyboardInterrupt("what is done is kept; go on with the same command and resume=true")
            part = maker.make(frame.iloc[batch])
            write_part(part_file(folder, len(placement.tried)), part)
            placement.add(batch, part)
            progress.advance(f"{len(placement.tried)} specs tried", len(part))
            batch = following()
    return placement


def why_unplaced(frame: pd.DataFrame) -> list[str]:
    """Why specs got no atoms, in a few words each."""
    if frame.empty:
        return []
    specs = frame_to_specs(frame)
    counts = specs.composition.sort(dim=1, descending=True).values
    counts = counts[:, : int((counts > 0).sum(1).max())]
    fits = WyckoffOccupation(int(counts.max())).fits(specs.space_group, counts)
    lacking = "no Wyckoff positions of the group hold these counts"
    crowded = "positions fit, but the generator found no place for the atoms that passes its checks"
    return [crowded if fit else lacking for fit in fits.tolist()]


def relax_best(
    folder: Path,
    structures: StructureBatch,
    rows: Sequence[int],
    load: Loader,
    model: dict[str, Any],
    settings: RelaxationSettings,
    processes: int,
    quiet: bool,
) -> dict[int, dict[str, Any]]:
    """Relax the best structures.

    Args:
        folder: of the pipeline; results go to its folder ``relaxed``.
        structures: all.
        rows: of those to relax, best first.
        load: makes the model.
        model: its name and version.
        settings: of the relaxations.
        processes: at once.
        quiet: show no progress.

    Returns:
        The record of each row.

    Raises:
        ConfigError: the folder has relaxations with other settings.
        KeyboardInterrupt: a signal asked for a stop.
    """
    out = folder / RELAXED
    names = [name.removesuffix(".cif") for name in cif_names(structures)]
    items = [Item(name, structures[row : row + 1]) for row, name in enumerate(names)]
    with open_output(out, {**model, **asdict(settings)}, resume=not holds_nothing(out)):
        records = relax_kept(out, items, rows, load, settings, str(model["model"]), processes, quiet)
    return {record["row"]: record for record in records}
