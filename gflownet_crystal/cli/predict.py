"""Predict crystal structures of a formula, best first: a table, CIFs and a summary.

From the formula alone: a prior and known prototypes say which space groups, numbers of formula units and cells are
likely, a generator puts the atoms in, an energy model ranks. `space_group=` and `lattice=` narrow the search. Of a list
of formulas each is kept once it is done; a run that was stopped goes on with resume=true.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from gflownet_crystal.common.errors import ConfigError, DataError, EmptySpaceError
from gflownet_crystal.common.files import read_json, write_json
from gflownet_crystal.common.interrupt import stop_on_signal
from gflownet_crystal.common.progress import Progress
from gflownet_crystal.common.run_schema import SUMMARY
from gflownet_crystal.config.build import plain
from gflownet_crystal.config.compose import resolved
from gflownet_crystal.config.predicting import SETTINGS, build_predictor
from gflownet_crystal.config.values import flag, formats_setting, path_setting
from gflownet_crystal.envs.composition.patterns import FormulaPattern
from gflownet_crystal.models.energies.choice import read_choice
from gflownet_crystal.structures.writing import CIF
from gflownet_crystal.workflows.candidates import write_candidates
from gflownet_crystal.workflows.output_folder import open_output
from gflownet_crystal.workflows.predicting import Predictor, summary_of

_WHOLE = ("prior", "prototypes", "energies", "contacts", "hull", "space_group", "lattice", "seed", *SETTINGS)


def run(config: DictConfig) -> None:
    """The verb ``predict``."""
    config = resolved(config)
    patterns = patterns_asked(config)
    out, quiet = path_setting(config.out, "out"), flag(config.quiet, "quiet")
    formats = formats_setting(config.format, always=[CIF])
    source = None if config.energies is None else read_choice(plain(config.energies)).described
    predictor = build_predictor(config)
    chosen = {key: plain(config[key]) for key in _WHOLE}
    chosen |= {
        "generator": OmegaConf.to_container(config.generator),
        "formulas": [one.text for one in patterns],
    }
    several = len(patterns) > 1
    folders = [out / name for name in _names(patterns)] if several else [out]
    with open_output(out, chosen, flag(config.resume, "resume")), stop_on_signal() as should_stop:
        waiting = [place for place, folder in enumerate(folders) if not (folder / SUMMARY).is_file()]
        with Progress(
            len(patterns), len(patterns) - len(waiting), "predicting", quiet or not several
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
) -> dict[str, Any]:
    """Predict one formula and write its files; one that is impossible ends the others only where it is alone."""
    try:
        found = predictor.predict(pattern)
    except EmptySpaceError as error:
        if not goes_on:
            raise
        summary = {"formula": pattern.text, "structures": 0, "reason": str(error)}
    else:
        write_candidates(folder, found, formats, source)
        summary = summary_of(found, pattern, predictor.settings)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / SUMMARY, summary)
    return summary


def _words(summary: Any) -> str:
    if summary.get("reason"):
        return f"{summary['formula']}: {summary['reason']}"
    if not summary["structures"]:
        return f"{summary['formula']}: no cell could be filled; raise cells or most_atoms"
    best = f"{summary['best_cell']} in space group {summary['best_space_group']}"
    return f"{summary['formula']}: {summary['structures']} structures, the best {best}"


def patterns_asked(config: DictConfig) -> list[FormulaPattern]:
    """The formulas of a configuration.

    Raises:
        ConfigError: not exactly one of ``formula`` and ``formulas`` is given, or one cannot be read.
        DataError: the file of formulas cannot be read, or is empty.
    """
    if (config.formula is None) == (config.formulas is None):
        raise ConfigError("give either formula=NaCl, or formulas=FILE or a list")
    if config.sites is not None and config.formula is None:
        raise ConfigError("sites goes with formula; leave it out, or give formula in place of formulas")
    if config.formula is not None:
        return [FormulaPattern.of(plain(config.formula), plain(config.sites))]
    listed = plain(config.formulas)
    if not isinstance(listed, list):
        path = path_setting(config.formulas, "formulas")
        listed = _lines(path)
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
