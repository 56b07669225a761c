"""Files of a run folder for its report: those present are read, those not written yet are None."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.common.files import read_json
from gflownet_crystal.common.metrics import note_on_steps, read_metrics
from gflownet_crystal.common.run_schema import (
    CANDIDATES,
    CIF_FILE,
    ENERGY_AFTER,
    ENERGY_BEFORE,
    ENERGY_STD,
    HULL_COLUMN,
    LOG_REWARD,
    METRICS,
    RANK,
    RELAXED_CSV,
    SAMPLES,
    SETTINGS,
    STATUS,
)
from gflownet_crystal.common.run_summary import RunSummary, read_summary, text_of
from gflownet_crystal.common.tables import read_csv, read_parquet
from gflownet_crystal.data.schema import JUDGED_HULL
from gflownet_crystal.structures.spec_io import REQUIRED_COLUMNS, RESULT_COLUMNS, frame_to_specs

_RELAXED_COLUMNS = (
    STATUS, ENERGY_BEFORE, ENERGY_AFTER, "volume_change", "rms_displacement", "space_group_after",
)  # fmt: skip
_FOUND = "space_group_found"
OUTCOMES = {"converged": "relaxed", "not_converged": "not_converged", "failed": "relaxation_failed"}
"""Status of a relaxed candidate in a pipeline's table, by the status that ``relax`` writes."""
PLACED = "generated"
"""Status of a candidate that was not relaxed."""


@dataclass(frozen=True)
class RunFiles:
    """The files of a run.

    Attributes:
        folder: the run folder.
        config: stored configuration.
        summary: summary of the finished training.
        metrics: one record an iteration.
        samples: samples of the trained sampler, columns of a spec file or ``x0``, ``x1``, ...
        candidates: the best, with ``cif``; and with ``status``, ``energy_after``, ... where they were relaxed.
        candidates_folder: folder of their CIFs.
        relaxed_folder: folder of the CIFs of relaxed candidates, None if nothing was relaxed.
        judge: name of the energy model that judged them, or "".
        relaxer: name of the one that relaxed them, or "": the judge, unless a pipeline has two.
        is_pipeline: whether the candidates are those of ``pipeline``, which relaxes its own.
        funnel: stages of the screening that made the candidates, and numbers of specs left.
        notes: damage that the report leaves out.
    """

    folder: Path
    config: Mapping[str, object]
    summary: RunSummary
    metrics: list[dict[str, object]]
    samples: pd.DataFrame | None
    candidates: pd.DataFrame | None
    candidates_folder: Path
    relaxed_folder: Path | None
    judge: str
    relaxer: str = ""
    is_pipeline: bool = False
    funnel: Sequence[tuple[str, int]] = ()
    notes: Sequence[str] = ()

    @property
    def property_label(self) -> str:
        """Name of the sampled property, and its unit where it has one."""
        name, unit = self.summary.quantity
        words = str(name).replace("_", " ").removesuffix(" per atom")
        if not name:
            return "energy"
        return words if unit in (None, "", "1") else f"{words} ({unit})"

    @property
    def is_crystals(self) -> bool:
        """Whether the samples are crystals."""
        return self.samples is not None and set(REQUIRED_COLUMNS) <= set(self.samples.columns)

    @property
    def may_be_crystals(self) -> bool:
        """Whether the samples are crystals, or there are none yet."""
        return self.samples is None or self.is_crystals


def read_run(
    folder: Path,
    config: Mapping[str, object],
    *,
    samples: Path | None = None,
    candidates: Path | None = None,
    relaxed: Path | None = None,
) -> RunFiles:
    """Read the files of a run.

    Args:
        folder: the run folder.
        config: its stored configuration.
        samples: file to show in place of the run's samples.
        candidates: folder of candidates; None for the run's own.
        relaxed: folder of relaxed candidates; None for ``relaxed`` in the run folder.

    Raises:
        DataError: a file is damaged, or one that was named does not exist.
    """
    path = folder / METRICS
    metrics = read_metrics(path) if path.is_file() else []
    note = note_on_steps(path, metrics)
    chosen = candidates or folder / "candidates"
    relaxed_folder = relaxed or folder / "relaxed"
    table = read_table_file(chosen / CANDIDATES, must_exist=candidates is not None)
    # a pipeline's table has its own relaxations; those beside the run may be of other candidates
    is_whole = relaxed is None and table is not None and _FOUND in table.columns
    judged = (
        None if is_whole else read_table_file(relaxed_folder / RELAXED_CSV, must_exist=relaxed is not None)
    )
    if table is not None:
        table = with_relaxed(_checked_candidates(table, chosen / CANDIDATES), judged)
    drawn = samples or folder / SAMPLES
    objects = read_table_file(drawn, must_exist=samples is not None)
    if objects is not None and set(REQUIRED_COLUMNS) <= set(objects.columns):
        objects = with_results(objects, drawn)
    about, summary = read_summary(chosen), read_summary(folder)
    judge = _judge(relaxed_folder if judged is not None else None, about, table)
    relaxer = text_of(about, "relax_model") or "" if is_whole else ""
    return RunFiles(
        folder,
        config,
        RunSummary.of(summary),
        [record for record in metrics if "step" in record],
        objects,
        table,
        chosen,
        relaxed_folder if judged is not None else None,
        judge,
        relaxer or judge,
        is_whole,
        funnel_of(about) or funnel_of(summary),
        [] if note is None else [note],
    )


def read_table_file(path: Path, must_exist: bool) -> pd.DataFrame | None:
    """A Parquet or CSV table, None if there is no such file.

    Raises:
        DataError: it is damaged, or missing although it must exist.
    """
    if not path.is_file():
        if must_exist:
            raise DataError(f"there is no file {path}; give one that exists")
        return None
    frame = read_parquet(path) if path.suffix == ".parquet" else read_csv(path)
    for name in ("energy", ENERGY_STD, LOG_REWARD, HULL_COLUMN, ENERGY_BEFORE, ENERGY_AFTER, JUDGED_HULL):
        if name in frame.columns:
            frame[name] = pd.to_numeric(frame[name], errors="coerce")
    return frame


def with_relaxed(candidates: pd.DataFrame, relaxed: pd.DataFrame | None) -> pd.DataFrame:
    """Candidates beside their relaxations.

    Args:
        candidates: table with the column ``cif``, the name of each one's file.
        relaxed: table written by ``relax``, ``name`` being the name of a CIF without its suffix; or None.

    Returns:
        The candidates in their order, with the columns of the relaxation, and ``relaxed_cif``; empty where there was
        none. They take the place of such columns that the candidates have already.
    """
    if relaxed is None or "name" not in relaxed.columns:
        return candidates
    found = relaxed.drop_duplicates("name").set_index("name").rename(columns={CIF_FILE: "relaxed_cif"})
    names = [name for name in (*_RELAXED_COLUMNS, "relaxed_cif") if name in found.columns]
    stems = [Path(str(name)).stem for name in candidates[CIF_FILE]]
    mine = found[names].reindex(stems).set_index(candidates.index)
    return pd.concat([candidates.drop(columns=[*names, JUDGED_HULL], errors="ignore"), mine], axis=1)


def _checked_candidates(frame: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Candidates with numbers as ranks, and NaN where a result is not known."""
    missing = [name for name in (*REQUIRED_COLUMNS, RANK, CIF_FILE) if name not in frame.columns]
    if missing:
        raise DataError(f"{path} has no column {', '.join(missing)}; make it with export")
    if STATUS in frame.columns and frame[STATUS].isin([PLACED, *OUTCOMES.values()]).any():
        frame = _with_atoms(frame)
    rank = pd.to_numeric(frame[RANK], errors="coerce")
    if rank.isna().any():
        raise DataError(
            f"{path}: the rank {frame[RANK][rank.isna()].iloc[0]} is no number; make it with export"
        )
    return with_results(frame.assign(rank=rank.astype("int64")), path)


def _with_atoms(frame: pd.DataFrame) -> pd.DataFrame:
    """The candidates of a table of ``pipeline`` or ``export``, with the columns that ``relax`` would have given."""
    outcomes = {PLACED: None} | {told: outcome for outcome, told in OUTCOMES.items()}
    frame = frame[frame[STATUS].isin(list(outcomes))].reset_index(drop=True)
    status = frame[STATUS].map(outcomes)
    if _FOUND not in frame.columns:
        return frame.assign(status=status)
    group = frame[_FOUND].where(status.notna())
    return frame.drop(columns=_FOUND).assign(status=status, space_group_after=group)


def with_results(frame: pd.DataFrame, path: Path) -> pd.DataFrame:
    """A table of specs, checked, with its volumes, and with NaN for results that it lacks.

    Args:
        frame: the columns that a spec file needs.
        path: named in errors.

    Raises:
        DataError: a row is not a spec.
    """
    try:
        specs = frame_to_specs(frame)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    results = {name: frame.get(name, np.nan) for name in (*RESULT_COLUMNS, HULL_COLUMN)}
    return frame.assign(volume_per_atom=specs.volume_per_atom.numpy(), **results)


def _judge(folder: Path | None, about: Mapping[str, object], candidates: pd.DataFrame | None) -> str:
    """The energy model that a folder of relaxed crystals, a pipeline, or the table of candidates names."""
    if folder is not None and (folder / SETTINGS).is_file():
        settings = read_json(folder / SETTINGS)
        return str(settings.get("model", "")) if isinstance(settings, dict) else ""
    if name := about.get("energies") or about.get("relax_model"):
        return str(name)
    if candidates is None or "judge" not in candidates.columns:
        return ""
    return str(next(iter(candidates["judge"].dropna()), ""))


def funnel_of(summary: Mapping[str, object]) -> list[tuple[str, int]]:
    """Stages of a summary with the numbers left after each; none where it has no such list."""
    stored = summary.get("funnel")
    entries = stored if isinstance(stored, list) else []
    stages = [
        (str(entry["stage"]), int(entry["n"]))
        for entry in entries
        if isinstance(entry, Mapping) and "stage" in entry and _is_count(entry.get("n"))
    ]
    return stages if len(stages) == len(entries) else []


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
