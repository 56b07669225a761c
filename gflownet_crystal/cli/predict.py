"""Predict crystal structures of a formula, or vary a given crystal, best first: a table, CIFs and a summary.

From the formula alone: a prior and known prototypes say which space groups, numbers of formula units and cells are
likely, a generator puts the atoms in, an energy model ranks. `space_group=` and `lattice=` narrow the search. From a
crystal (start=FILE): other elements on its sites, other groups and cells for its elements, or a doped supercell. Of a
list of formulas each is kept once it is done; a run that was stopped goes on with resume=true.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gflownet_crystal.cli.page import print_predictions
from gflownet_crystal.common.errors import EmptySpaceError
from gflownet_crystal.common.files import read_json, write_json
from gflownet_crystal.common.interrupt import stop_on_signal
from gflownet_crystal.common.progress import Progress
from gflownet_crystal.common.run_schema import SUMMARY
from gflownet_crystal.config.predicting import predictor_of
from gflownet_crystal.config.request import Request
from gflownet_crystal.generators.base import Generator
from gflownet_crystal.models.energies.choice import read_choice
from gflownet_crystal.workflows.candidates import write_candidates
from gflownet_crystal.workflows.output_folder import open_output
from gflownet_crystal.workflows.predict_settings import PredictSettings
from gflownet_crystal.workflows.predicting import Predictor, summary_of
from gflownet_crystal.workflows.prediction_tasks import Task, tasks_asked

_WHOLE = ("prior", "prototypes", "energies", "contacts", "hull", "space_group", "lattice", "seed", "n", "cells",
          "most_atoms", "by_prototypes", "temperature", "keep", "sites", "supercell", "dope", "relax", "relax_model",
          "relax_steps")  # fmt: skip


def run(request: Request) -> None:
    """The verb ``predict``."""
    settings = request.settings(PredictSettings)
    asked, out, formats = tasks_asked(settings), settings.out, settings.format
    source = None if settings.energies is None else read_choice(settings.energies).described
    predictor = predictor_of(settings, request.build("generator", Generator))
    chosen = {key: getattr(settings, key) for key in _WHOLE}
    chosen |= {"generator": request.value("generator"), "formulas": [one.text for one in asked]}
    several = len(asked) > 1
    folders = [out / name for name in _names(asked)] if several else [out]
    with open_output(out, chosen, settings.resume), stop_on_signal() as should_stop:
        waiting = [place for place, folder in enumerate(folders) if not (folder / SUMMARY).is_file()]
        with Progress(
            len(asked), len(asked) - len(waiting), "predicting", settings.quiet or not several
        ) as progress:
            for place in waiting:
                if should_stop():
                    raise KeyboardInterrupt(
                        "finished work is kept; go on with the same command and resume=true"
                    )
                summary = _predict(predictor, asked[place], folders[place], formats, source, several)
                progress.advance(_words(summary))
        summaries = [read_json(folder / SUMMARY) for folder in folders]
        if several:
            write_json(out / SUMMARY, {"predictions": summaries})
    for summary, folder in zip(summaries, folders, strict=True):
        print(f"{_words(summary)}; in {folder}" if not summary.get("reason") else _words(summary))


def _predict(
    predictor: Predictor,
    task: Task,
    folder: Path,
    formats: tuple[str, ...],
    source: str | None,
    several: bool,
) -> dict[str, object]:
    """Predict for one task and write its files; one that is impossible ends the others only where it is alone."""
    try:
        found = task.found(predictor)
    except EmptySpaceError as error:
        if not several:
            raise
        summary: dict[str, object] = {"formula": task.text, "structures": 0, "reason": str(error)}
    else:
        write_candidates(folder, found, formats, source)
        summary = summary_of(found, task.text, predictor.settings)
        if not several:
            print_predictions(found.frame)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / SUMMARY, summary)
    return summary


def _words(summary: Mapping[str, object]) -> str:
    if summary.get("reason"):
        return f"{summary['formula']}: {summary['reason']}"
    if not summary["structures"]:
        return f"{summary['formula']}: no cell could be filled; raise cells or most_atoms"
    best = f"{summary['best_cell']} in space group {summary['best_space_group']}"
    return f"{summary['formula']}: {summary['structures']} structures, the best {best}"


def _names(asked: list[Task]) -> list[str]:
    """Names of the folders of several formulas."""
    plain_names = ["".join(letter for letter in one.text if letter.isalnum()) for one in asked]
    # Ca(OH)2 and CaOH2 are two formulas
    return [
        f"{name}_{place}" if plain_names.count(name) > 1 else name for place, name in enumerate(plain_names)
    ]
