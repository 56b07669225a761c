"""Predictions that are asked for: structures of formulas, or variants of a crystal."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.common.values import path_setting
from gflownet_crystal.envs.composition.patterns import FormulaPattern
from gflownet_crystal.workflows.candidates.files import Candidates
from gflownet_crystal.workflows.predicting.doping import doped
from gflownet_crystal.workflows.predicting.predicting import Predictor
from gflownet_crystal.workflows.predicting.starting_structures import Start, read_start, substituted
from gflownet_crystal.workflows.settings.predict import ELEMENTS, PredictSettings


@dataclass(frozen=True)
class Task:
    """One prediction.

    Attributes:
        text: formula as it was given, or that of the crystal.
        pattern: formula; None where the elements of a crystal vary.
        start: crystal to vary, or to rank among the structures of its formula; None for none.
        settings: settings of the verb.
    """

    text: str
    pattern: FormulaPattern | None
    start: Start | None
    settings: PredictSettings

    def found(self, predictor: Predictor) -> Candidates:
        """The structures, best first.

        Raises:
            EmptySpaceError: there are none.
            ConfigError: the crystal has no such elements or sites.
        """
        settings, start = self.settings, self.start
        if self.pattern is not None:
            return predictor.predict(self.pattern, start)
        if start is None:
            raise DataError("neither a formula nor a crystal is given")
        if settings.dope is not None and settings.supercell is not None:
            return predictor.vary(doped(start, settings.supercell, settings.dope, settings.cells))
        return predictor.vary(substituted(start, settings.sites, predictor.model, settings.cells))


def tasks_asked(settings: PredictSettings, start: Start | None = None) -> list[Task]:
    """The predictions of settings.

    Args:
        settings: settings of the verb.
        start: crystal that is varied, in place of the file of the settings.

    Raises:
        ConfigError: a formula cannot be read.
        DataError: the file of formulas or of the crystal cannot be read, or is empty.
    """
    if settings.start is not None:
        start = read_start(settings.start) if start is None else start
        pattern = FormulaPattern.of(start.formula) if settings.keep == ELEMENTS else None
        return [Task(start.formula, pattern, start, settings)]
    if settings.formula is not None:
        patterns = [FormulaPattern.of(settings.formula, settings.sites)]
    else:
        listed = settings.formulas
        if not isinstance(listed, list):
            listed = _lines(path_setting(listed, "formulas"))
        patterns = [FormulaPattern.of(one) for one in dict.fromkeys(listed)]
    return [Task(one.text, one, None, settings) for one in patterns]


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
