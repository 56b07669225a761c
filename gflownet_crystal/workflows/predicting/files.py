"""Predictions as a folder that is filled task by task: a table, structures and a summary of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from gflownet_crystal.common.errors import EmptySpaceError
from gflownet_crystal.common.executors import LocalProcesses
from gflownet_crystal.common.files import read_json, write_json
from gflownet_crystal.common.interrupt import stop_on_signal
from gflownet_crystal.common.progress import Progress
from gflownet_crystal.common.run_schema import SUMMARY
from gflownet_crystal.common.units import Lost, run_units
from gflownet_crystal.data.schema import JUDGED_HULL
from gflownet_crystal.models.energies.choice import read_choice
from gflownet_crystal.workflows.candidates.files import Candidates, write_candidates
from gflownet_crystal.workflows.output_folder import open_output
from gflownet_crystal.workflows.predicting.predicting import Predictor
from gflownet_crystal.workflows.predicting.tasks import Task
from gflownet_crystal.workflows.settings.predict import PredictionSettings, PredictSettings

_DECISIVE = (
    "prior", "prototypes", "energies", "contacts", "hull", "space_group", "lattice", "seed", "n", "templates", "cells",
    "most_atoms", "by_prototypes", "temperature", "keep", "sites", "supercell", "dope", "relax", "relax_model",
    "relax_steps",
)  # fmt: skip


class Prediction(NamedTuple):
    """A prediction on disk.

    Attributes:
        folder: folder of its files.
        summary: its figures, as in ``summary.json``.
        frame: its table, best first; None where it was made before.
    """

    folder: Path
    summary: Mapping[str, object]
    frame: pd.DataFrame | None


def write_predictions(
    settings: PredictSettings, tasks: Sequence[Task], predictor: Predictor, generator: object
) -> list[Prediction]:
    """Make the predictions that the folder does not hold yet, each kept once it is done.

    Args:
        settings: settings of the verb.
        tasks: predictions that are asked for; several get folders of their own.
        predictor: predictor of the settings.
        generator: section of the generator, which a resumed prediction must have too.

    Raises:
        ConfigError: the folder was made with other settings.
        EmptySpaceError: there is no structure of the only formula.
        KeyboardInterrupt: interrupted; finished work is kept.
    """
    out, several = settings.out, len(tasks) > 1
    chosen = {key: getattr(settings, key) for key in _DECISIVE}
    chosen |= {"generator": generator, "formulas": [task.text for task in tasks]}
    folders = [out / name for name in _names(tasks)] if several else [out]
    frames: dict[Path, pd.DataFrame | None] = {}
    with open_output(out, chosen, settings.resume), stop_on_signal() as should_stop:
        waiting = [place for place, folder in enumerate(folders) if not (folder / SUMMARY).is_file()]
        quiet = settings.quiet or not several
        with Progress(len(tasks), len(tasks) - len(waiting), "predicting", quiet) as progress:
            make = partial(_find, predictor, several)
            units = [tasks[place] for place in waiting]
            executor = settings.executor if several else LocalProcesses()
            for place, found in run_units(make, units, executor, should_stop):
                task, folder = units[place], folders[waiting[place]]
                summary, frames[folder] = _write(predictor, task, found, folder, settings)
                progress.advance(in_words(summary))
        if not all((folder / SUMMARY).is_file() for folder in folders):
            raise KeyboardInterrupt("finished work is kept; go on with the same command and resume=true")
        summaries = [read_json(folder / SUMMARY) for folder in folders]
        if several:
            write_json(out / SUMMARY, {"predictions": summaries})
    return [
        Prediction(folder, summary, frames.get(folder))
        for folder, summary in zip(folders, summaries, strict=True)
    ]


def _find(predictor: Predictor, several: bool) -> Callable[[Task], Candidates | str]:
    return partial(_found, predictor, several)


def _found(predictor: Predictor, several: bool, task: Task) -> Candidates | str:
    """The structures of a task, or the reason why there are none; that ends the others only where it is alone."""
    try:
        return task.found(predictor)
    except EmptySpaceError as error:
        if not several:
            raise
        return str(error)


def _write(
    predictor: Predictor, task: Task, found: Candidates | str | Lost, folder: Path, settings: PredictSettings
) -> tuple[dict[str, object], pd.DataFrame | None]:
    """Write the files of a prediction."""
    frame = None
    if isinstance(found, str | Lost):
        reason = found.reason if isinstance(found, Lost) else found
        summary: dict[str, object] = {"formula": task.text, "structures": 0, "reason": reason}
    else:
        energies = None if settings.energies is None else read_choice(settings.energies).described
        write_candidates(folder, found, settings.format, energies)
        summary, frame = summary_of(found, task.text, predictor.settings), found.frame
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / SUMMARY, summary)
    return summary, frame


def in_words(summary: Mapping[str, object]) -> str:
    """Summary of a prediction in a line."""
    if summary.get("reason"):
        return f"{summary['formula']}: {summary['reason']}"
    if not summary["structures"]:
        return f"{summary['formula']}: no cell could be filled; raise cells or most_atoms"
    best = f"{summary['best_cell']} in space group {summary['best_space_group']}"
    return f"{summary['formula']}: {summary['structures']} structures, the best {best}"


def _names(tasks: Sequence[Task]) -> list[str]:
    """Names of the folders of several formulas."""
    plain_names = ["".join(letter for letter in task.text if letter.isalnum()) for task in tasks]
    # Ca(OH)2 and CaOH2 are two formulas
    return [
        f"{name}_{place}" if plain_names.count(name) > 1 else name for place, name in enumerate(plain_names)
    ]


def summary_of(candidates: Candidates, formula: str, settings: PredictionSettings) -> dict[str, object]:
    """Figures of a prediction, as JSON values.

    Args:
        candidates: structures that were found.
        formula: formula that was given, or that of the crystal.
        settings: settings of the prediction.
    """
    frame = candidates.frame
    best = frame.iloc[0] if len(frame) else None
    return {
        "formula": formula,
        "structures": len(frame),
        "cells": settings.cells,
        "best_space_group": None if best is None else int(best["space_group"]),
        "best_cell": None if best is None else str(best["formula"]),
        "best_e_above_hull_judged": None if best is None else round(float(best[JUDGED_HULL]), 4),
    }
