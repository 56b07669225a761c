"""Predict crystal structures of a formula, best first: a table, CIFs and a summary.

From the formula alone: a prior and known prototypes say which space groups, numbers of formula units and cells are
likely, a generator puts the atoms in, an energy model ranks. `space_group=` and `lattice=` narrow the search. Of a list
of formulas each is kept once it is done; a run that was stopped goes on with resume=true.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gflownet_crystal.common.errors import DataError, EmptySpaceError
from gflownet_crystal.common.files import read_json, write_json
from gflownet_crystal.common.interrupt import stop_on_signal
from gflownet_crystal.common.progress import Progress
from gflownet_crystal.common.run_schema import SUMMARY
from gflownet_crystal.common.values import path_setting
from gflownet_crystal.config.predicting import predictor_of
from gflownet_crystal.config.request import Request
from gflownet_crystal.envs.composition.patterns import FormulaPattern
from gflownet_crystal.generators.base import Generator
from gflownet_crystal.models.energies.choice import read_choice
from gflownet_crystal.workflows.candidates import write_candidates
from gflownet_crystal.workflows.output_folder import open_output
from gflownet_crystal.workflows.predict_settings import PredictSettings
from gflownet_crystal.workflows.predicting import Predictor, summary_of

_WHOLE = ("prior", "prototypes", "energies", "contacts", "hull", "space_group", "lattice", "seed", "n", "cells",
          "most_atoms", "by_prototypes", "temperature")  # fmt: skip


def run(request: Request) -> None:
    """The verb ``predict``."""
    settings = request.settings(PredictSettings)
    patterns, out, formats = patterns_asked(settings), settings.out, settings.format
    source = None if settings.energies is None else read_choice(settings.energies).described
    predictor = predictor_of(settings, request.build("generator", Generator))
    chosen = {key: getattr(settings, key) for key in _WHOLE}
    chosen |= {"generator": request.value("generator"), "formulas": [one.text for one in patterns]}
    several = len(patterns) > 1
    folders = [out / name for name in _names(patterns)] if several else [out]
    with open_output(out, chosen, settings.resume), stop_on_signal() as should_stop:
        waiting = [place for place, folder in enumerate(folders) if not (folder / SUMMARY).is_file()]
        with Progress(
            len(patterns), len(patterns) - len(waiting), "predicting", settings.quiet or not several
        ) as progress:
            for place in waiting:
                if should_stop():
                    raise KeyboardInterrupt(
                        "what is done is kept; go on with the same command and resume=true"
                    )
                summary = _predict(predictor, patterns[place], folders[place], formats, source, several)
                progress.advance(_words(summary))
        summaries = [read_json(folder / SUMMARY) for folder in folders]
        if several:
            write_json(out / SUMMARY, {"predictions": summaries})
    for summary, folder in zip(summaries, folders, strict=True):
        print(f"{_words(summary)}; in {folder}" if not summary.get("reason") else _words(summary))


def _predict(
    predictor: Predictor,
    pattern: FormulaPattern,
    folder: Path,
    formats: tuple[str, ...],
    source: str | None,
    goes_on: bool,
) -> dict[str, object]:
    """Predict one formula and write its files; one that is impossible ends the others only where it is alone."""
    try:
        found = predictor.predict(pattern)
    except EmptySpaceError as error:
        if not goes_on:
            raise
        summary: dict[str, object] = {"formula": pattern.text, "structures": 0, "reason": str(error)}
    else:
        write_candidates(folder, found, formats, source)
        summary = summary_of(found, pattern, predictor.settings)
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


def patterns_asked(settings: PredictSettings) -> list[FormulaPattern]:
    """The formulas of the settings.

    Raises:
        ConfigError: one cannot be read.
        DataError: the file of formulas cannot be read, or is empty.
    """
    if settings.formula is not None:
        return [FormulaPattern.of(settings.formula, settings.sites)]
    listed = settings.formulas
    if not isinstance(listed, list):
        listed = _lines(path_setting(listed, "formulas"))
    return [FormulaPattern.of(one) for one in dict.fromkeys(listed)]


def _lines(path: Path) -> list[str]:
    """The lines of a file that are not empty."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise DataError(
            f"cannot read formulas={path}: {reason}; give a text file with one formula a line"
        ) from error
    if not (listed := [line.strip() for line in lines if line.strip()]):
        raise DataError(f"{path} holds no formulas; write one a line, as NaCl")
    return listed


def _names(patterns: list[FormulaPattern]) -> list[str]:
    """Names of the folders of several formulas."""
    plain_names = ["".join(letter for letter in one.text if letter.isalnum()) for one in patterns]
    # Ca(OH)2 and CaOH2 are two formulas
    return [
        f"{name}_{place}" if plain_names.count(name) > 1 else name for place, name in enumerate(plain_names)
    ]
