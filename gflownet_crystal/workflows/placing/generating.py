"""Structures of specs in a folder: each batch kept once it is done, then one table and files of structures."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet
import torch

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.common.executors import Executor, LocalProcesses
from gflownet_crystal.common.interrupt import stop_on_signal
from gflownet_crystal.common.progress import Progress
from gflownet_crystal.common.run_schema import SAMPLES
from gflownet_crystal.common.tables import DAMAGES
from gflownet_crystal.common.units import Lost, run_units
from gflownet_crystal.data.left_out import LeftOut
from gflownet_crystal.data.prepare import load_prepared
from gflownet_crystal.data.public_sets import data_path
from gflownet_crystal.data.sources import kind_of
from gflownet_crystal.generators.base import Generator
from gflownet_crystal.models.energies.potentials import load_energies
from gflownet_crystal.structures.spec_checks import placing_fault
from gflownet_crystal.structures.spec_io import LETTERS, REQUIRED_COLUMNS, frame_to_specs, read_specs
from gflownet_crystal.workflows.output_folder import open_output
from gflownet_crystal.workflows.placing.generated import write_generated
from gflownet_crystal.workflows.placing.making import Maker
from gflownet_crystal.workflows.placing.placing import part_file, read_part, write_part
from gflownet_crystal.workflows.placing.property_columns import PropertyColumns
from gflownet_crystal.workflows.settings.verbs import BEST, GenerateSettings

Make = Callable[[pd.DataFrame], pd.DataFrame]
"""Makes structures of specs: rows of the package's schema with ``row``, the index of the spec."""


def generate_structures(
    settings: GenerateSettings, maker: Maker, specs: pd.DataFrame, generator: object
) -> str:
    """Put atoms into specs as ``generate`` does.

    Args:
        settings: settings of the verb.
        maker: makes the structures.
        specs: specs, checked.
        generator: the generator as it is stored: its class and arguments.

    Returns:
        A summary in a few words.

    Raises:
        ConfigError: the folder holds something else.
        KeyboardInterrupt: a stop was requested; finished work is kept.
    """
    chosen = {name: getattr(settings, name) for name in ("tries", "keep", "judge", "batch_size", "seed")}
    if settings.properties is not None:
        chosen["properties"] = [str(path) for path in settings.properties]
    chosen |= {"generator": generator, "specs": _fingerprint(specs)}
    with open_output(settings.out, chosen, settings.resume):
        structures = make_structures(
            settings.out, specs, maker.make, settings.batch_size, settings.quiet, settings.executor
        )
        return write_generated(settings.out, structures, specs, settings.format, maker.columns)


def make_structures(
    folder: Path,
    frame: pd.DataFrame,
    make: Make,
    batch_size: int,
    quiet: bool,
    executor: Executor | None = None,
) -> pd.DataFrame:
    """Structures of all specs; each batch is kept in the folder, and one that it has already is not made again.

    Args:
        folder: folder of the batches.
        frame: specs.
        make: makes the structures of a batch; picklable where that is done in another process.
        batch_size: number of specs of a batch.
        quiet: whether to show no progress.
        executor: place of the work; None for this process.

    Raises:
        DataError: workers died of a batch; the others are kept.
        KeyboardInterrupt: a stop was requested; finished batches are kept.
    """
    starts = range(0, len(frame), batch_size)
    waiting = [start for start in starts if not part_file(folder, start).is_file()]
    batches = [frame.iloc[start : start + batch_size] for start in waiting]
    done = len(frame) - sum(len(batch) for batch in batches)
    with (
        stop_on_signal() as should_stop,
        Progress(len(frame), done, "generating", quiet) as progress,
    ):
        lost, given = "", functools.partial(_given, make)
        for place, made in run_units(given, batches, executor or LocalProcesses(), should_stop):
            if isinstance(made, Lost):
                lost = made.reason
                continue
            write_part(part_file(folder, waiting[place]), made)
            size = len(batches[place])
            progress.advance(f"{len(made)} structures of the last {size} specs", size)
    lacking = [start for start in starts if not part_file(folder, start).is_file()]
    if lost:
        raise DataError(
            f"{len(lacking)} of {len(starts)} batches have no structures: {lost}; the others are kept, go on with "
            "resume=true"
        )
    if lacking:
        raise KeyboardInterrupt("finished work is kept; go on with the same command and resume=true")
    parts = [read_part(part_file(folder, start)) for start in starts]
    return pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)


def _given(make: Make) -> Make:
    return make


def maker_of(settings: GenerateSettings, generator: Generator, device: torch.device) -> Maker:
    """Maker of structures as the settings say.

    Raises:
        ConfigError: the model of ``judge`` is unknown, or two properties have one name.
        WeightsError: weights of a property are missing, corrupt or of another kind.
    """
    judge = None if settings.judge is None else load_energies(settings.judge).to(device)
    properties = PropertyColumns.of(settings.properties, device)
    return Maker(generator, device, settings.tries, settings.seed, settings.keep == BEST, judge, properties)


def specs_asked(settings: GenerateSettings, left_out: LeftOut) -> pd.DataFrame:
    """The specs, checked, one row each, numbered from 0.

    Args:
        settings: settings of the verb.
        left_out: list for records that are no crystals.

    Raises:
        DataError: the file is missing, holds no specs, or one with a cell that its group does not allow.
    """
    # one of the two is given
    path = Path(str(settings.run)) / SAMPLES if settings.specs is None else data_path(settings.specs)
    frame = specs_of(path, settings.formula_check, left_out).iloc[: settings.n]
    if frame.empty:
        raise DataError(f"no specs in {path}; give a file with some")
    if (fault := placing_fault(frame_to_specs(frame))) is not None:
        raise DataError(f"{path}: {fault}")
    return frame


def specs_of(path: Path, formula_check: str = "refuse", left_out: LeftOut | None = None) -> pd.DataFrame:
    """The specs of a file that have a lattice, one row each, numbered from 0.

    Args:
        path: table of specs, or crystals, of which only composition, space group and lattice are read.
        formula_check: for crystals, see :func:`~gflownet_crystal.data.prepare.load_prepared`.
        left_out: list for records that are no crystals; None raises at the first.

    Raises:
        DataError: the file is missing or cannot be read.
    """
    if _holds_specs(path):
        frame = read_specs(path)
    else:
        frame = load_prepared([path], formula_check=formula_check, left_out=left_out)
    return frame[frame["a"].notna()].reset_index(drop=True)


def _holds_specs(path: Path) -> bool:
    """Whether a file is a table with the columns of specs; other files and folders hold crystals."""
    kind = kind_of(path) if path.is_file() else None
    try:
        if kind == "parquet":
            columns = pyarrow.parquet.read_schema(path).names
        elif kind == "csv":
            columns = list(pd.read_csv(path, nrows=0).columns)
        else:
            return False
    except DAMAGES:
        # whoever reads the file says why it cannot be read
        return False
    return set(REQUIRED_COLUMNS) <= set(columns)


def _fingerprint(frame: pd.DataFrame) -> str:
    """A digest that changes if a spec does."""
    columns = [name for name in (*REQUIRED_COLUMNS, LETTERS) if name in frame.columns]
    hashes = pd.util.hash_pandas_object(frame[columns], index=False)
    return hashlib.sha256(np.ascontiguousarray(hashes.to_numpy()).tobytes()).hexdigest()
