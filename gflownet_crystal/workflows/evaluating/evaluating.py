"""Metrics of structures, each kept once it is done, and tables of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd
import torch

from gflownet_crystal.common.errors import ConfigError, DataError, unknown
from gflownet_crystal.common.files import atomic_path, read_json, write_json
from gflownet_crystal.common.interrupt import stop_on_signal
from gflownet_crystal.common.run_schema import EVALUATION, EVALUATION_CSV, JUDGED
from gflownet_crystal.common.values import path_setting
from gflownet_crystal.evaluation.compared_sets import Evaluation
from gflownet_crystal.evaluation.known_hulls import known_hull
from gflownet_crystal.evaluation.parallel import Work
from gflownet_crystal.evaluation.phonons import check_phonopy
from gflownet_crystal.evaluation.structure_metrics import COMPARING, METRICS, Result
from gflownet_crystal.evaluation.structure_sets import StructureSet, read_set
from gflownet_crystal.models.energies.choice import EnergyChoice
from gflownet_crystal.models.energies.structure_energies import StructureEnergies
from gflownet_crystal.workflows.output_folder import open_output
from gflownet_crystal.workflows.placing.property_columns import PropertyColumns
from gflownet_crystal.workflows.relaxing.judging import (
    STABILITY,
    Judging,
    chosen_judges,
    stability_thresholds,
)
from gflownet_crystal.workflows.settings.evaluate import EvaluateSettings

BY_ALL = "stability_by_all"
PARTS = "parts"
PROPERTIES = "properties"
_OWN = ("row", "name", "reason", "formula")
_CACHED = ("distances", "coverage", "frechet")


@dataclass(frozen=True)
class StructuresToJudge:
    """Structures with all that judges them, read and loaded before anything is written.

    Attributes:
        names: names of the metrics.
        evaluation: the sets, and how they are compared.
        judges: judges of stability.
        judging: settings of their judging; None without judges.
        models: models of the judges.
        properties: further columns of the table of structures, of properties with atoms.
    """

    names: Sequence[str]
    evaluation: Evaluation
    judges: Sequence[EnergyChoice]
    judging: Judging | None
    models: Sequence[StructureEnergies]
    properties: PropertyColumns

    @classmethod
    def of(cls, settings: EvaluateSettings) -> Self:
        """Sets, metrics and judges that the settings ask for.

        Raises:
            ConfigError: a metric or a model is unknown, or a metric lacks a set.
            DataError: a file cannot be read.
        """
        names, judges = chosen_metrics(settings), chosen_judges(settings)
        evaluation = _evaluation(settings)
        judging = _judging(settings, evaluation) if judges else None
        models = [] if judging is None else [judging.load(judge) for judge in judges]
        properties = PropertyColumns.of(settings.properties, torch.device(settings.choices.device))
        return cls(names, evaluation, judges, judging, models, properties)

    @property
    def fills_cache(self) -> bool:
        """Whether features are kept for a next time."""
        return self.evaluation.work.cache is not None and bool(set(self.names) & set(_CACHED))

    def digests(self) -> dict[str, str]:
        """Digests of the sets."""
        evaluation = self.evaluation
        reference = evaluation.reference if evaluation.has_reference else None
        sets = {"structures": evaluation.made, "reference": reference, "targets": evaluation.targets}
        return {name: "" if found is None else found.digest() for name, found in sets.items()}


def evaluate_structures(
    settings: EvaluateSettings,
    asked: StructuresToJudge,
    decisive: Mapping[str, object],
    begin: Callable[[], None] = lambda: None,
) -> dict[str, object]:
    """Judge structures into a folder; returns the figures that were written.

    Args:
        settings: settings of ``evaluate``.
        asked: the structures, metrics and judges.
        decisive: settings that determine the results, as JSON values.
        begin: called once the folder is open.

    Raises:
        ConfigError: the folder holds something else, or a metric lacks a package.
        KeyboardInterrupt: a stop was requested; finished work is kept.
    """
    folder, evaluation = settings.folder, asked.evaluation
    evaluation.check(asked.names)
    chosen = {**decisive, **asked.digests()}
    with open_output(folder, chosen, settings.resume), stop_on_signal() as should_stop:
        begin()
        evaluation.work = replace(evaluation.work, should_stop=should_stop)
        figures: dict[str, object] = {"counts": _counts(evaluation)}
        results = {name: _kept(folder, name, evaluation) for name in asked.names if name != STABILITY}
        if asked.properties.properties:
            results[PROPERTIES] = _properties(asked.properties, evaluation.made, results)
        figures |= {name: result.figures for name, result in results.items()}
        if asked.judging is not None:
            few = evaluation.made.head(settings.n_judged)
            figures |= _judged(asked.judging, few, asked.judges, asked.models, folder)
        _write_csv(folder / JUDGED, structure_table(evaluation.made, results))
        return write_figures(folder, figures)


def _properties(properties: PropertyColumns, made: StructureSet, others: Mapping[str, Result]) -> Result:
    """Values of properties with atoms; of each the number of structures that have one, their mean and median."""
    taken = [*_OWN, *(name for result in others.values() for name in result.columns)]
    columns = properties.values(made.structures, taken)
    figures = {}
    for name in properties.names(taken):
        known = columns[name][np.isfinite(columns[name])]
        mean, median = (float(known.mean()), float(np.median(known))) if len(known) else (None, None)
        figures[name] = {"n": len(known), "mean": mean, "median": median}
    return Result(figures, {name: values.tolist() for name, values in columns.items()})


def write_figures(folder: Path, figures: Mapping[str, object]) -> dict[str, object]:
    """Write figures as JSON and as a table; as JSON has them."""
    figures = finite(figures)
    write_json(folder / EVALUATION, figures)
    _write_csv(folder / EVALUATION_CSV, pd.DataFrame(flat(figures), columns=["metric", "value"]))
    return figures


def _judged(
    judging: Judging,
    made: StructureSet,
    judges: Sequence[EnergyChoice],
    models: Sequence[StructureEnergies],
    folder: Path,
) -> dict[str, object]:
    """Figures of each judge and, of several judges, of their agreement; a table each."""
    verdicts, figures = [], {}
    for judge, energies in zip(judges, models, strict=True):
        kept = folder / f"relaxed_{judge.file_name}"
        verdict, figures[judge.label], rows = judging.judge(made, judge, energies, kept)
        verdicts.append(verdict)
        _write_csv(folder / f"{STABILITY}_{judge.file_name}.csv", pd.DataFrame(rows))
    together = {} if len(judges) < 2 else {BY_ALL: judging.together(verdicts, judges)}
    return {STABILITY: figures, **together}


def chosen_metrics(settings: EvaluateSettings) -> list[str]:
    """Names of metrics in the order in which they are computed.

    Raises:
        ConfigError: an unknown metric, or one that lacks its input.
    """
    known = (*METRICS, STABILITY)
    names = settings.metrics
    if names is None:
        possible = {"matching": settings.targets is not None, STABILITY: bool(chosen_judges(settings))}
        possible |= dict.fromkeys(COMPARING, settings.reference is not None)
        names = [name for name in known if possible.get(name, True)]
    for name in names:
        if name not in known:
            raise unknown("metric", name, known)
        if settings.reference is None and name in (*COMPARING, STABILITY):
            raise ConfigError(f"{name} compares the structures to known ones; give reference=...")
    if STABILITY in names and not chosen_judges(settings):
        raise ConfigError("stability needs a judge; give judge=sevenn:7net-l3i5, or another potential")
    if "matching" in names and settings.targets is None:
        raise ConfigError("matching needs the target of each structure; give targets=FILE")
    return [name for name in known if name in names]


def structure_table(made: StructureSet, results: Mapping[str, Result]) -> pd.DataFrame:
    """A row of each given structure: the reason why it could not be read, or its value of every metric."""
    columns = {name: values for result in results.values() for name, values in result.columns.items()}
    formulas = made.structures.specs().formulas()
    rows = made.rows.tolist()
    if any(len(values) != len(rows) for values in columns.values()):
        raise DataError("kept results are of other structures: leave resume out, and give another out=...")
    read = pd.DataFrame({"formula": formulas, **columns}, index=rows)
    table = pd.DataFrame({"row": range(len(made)), "name": made.names})
    table["reason"] = [made.reasons.get(row, "") for row in range(len(made))]
    # rows that could not be read leave gaps, which neither of these has
    gaps = {np.dtype("int64"): "Int64", np.dtype("bool"): "boolean"}
    return table.join(read.astype({name: gaps.get(dtype, dtype) for name, dtype in read.dtypes.items()}))


def flat(figures: Mapping[str, object], above: str = "") -> Iterator[tuple[str, object]]:
    """Dotted names and values of nested figures."""
    for name, value in figures.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def finite(figures: Mapping[str, object]) -> dict[str, object]:
    """Figures as JSON has them: numbers that are not finite become null."""
    return {
        name: finite(value) if isinstance(value, Mapping) else _finite(value)
        for name, value in figures.items()
    }


def _finite(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _kept(folder: Path, name: str, evaluation: Evaluation) -> Result:
    """A metric, from the folder where it is done already."""
    path = folder / PARTS / f"{name}.json"
    if path.is_file():
        stored = read_json(path)
        figures, columns = (
            stored.get(key) if isinstance(stored, dict) else None for key in ("figures", "columns")
        )
        if not isinstance(figures, dict) or not isinstance(columns, dict):
            raise DataError(f"{path} is damaged: remove it, and it is computed again")
        return Result(figures, columns)
    result = METRICS[name](evaluation)
    # the run that did the work and the one that goes on with it show the same
    kept = Result(finite(result.figures), _plain_columns(result.columns))
    write_json(path, {"figures": kept.figures, "columns": kept.columns})
    return kept


def _plain_columns(columns: Mapping[str, Sequence[object]]) -> dict[str, list[object]]:
    return {name: [_finite(value) for value in values] for name, values in columns.items()}


def _counts(evaluation: Evaluation) -> dict[str, int]:
    made = evaluation.made
    counts = {"structures": len(made), "structures_unreadable": len(made.reasons)}
    if not evaluation.has_reference:
        return counts
    reference = evaluation.reference
    return counts | {"reference": len(reference), "reference_unreadable": len(reference.reasons)}


def _evaluation(settings: EvaluateSettings) -> Evaluation:
    """The sets, read, and how they are compared."""
    work = Work(settings.executor, settings.cache, quiet=settings.quiet)
    check, given = settings.formula_check, path_setting(settings.structures, "structures")
    made = _read(given, check, settings.n)
    reference = None if settings.reference is None else _read(settings.reference, check, settings.n_reference)
    targets = None if settings.targets is None else _read(settings.targets, check, None)
    return Evaluation(made, reference, settings.choices, work, targets)


def _read(path: Path, formula_check: str, limit: int | None) -> StructureSet:
    found = read_set(path, formula_check)
    return found if limit is None else found.head(limit)


def _judging(settings: EvaluateSettings, evaluation: Evaluation) -> Judging:
    path = path_setting(settings.reference, "reference")
    found, hull_of = known_hull(settings.hull, path)
    if settings.phonons.n:
        check_phonopy()
    thresholds = stability_thresholds(settings.threshold)
    return Judging(evaluation, settings.relax, found, hull_of, thresholds, settings.phonons)


def _write_csv(path: Path, frame: pd.DataFrame) -> None:
    with atomic_path(path) as temporary:
        frame.to_csv(temporary, index=False)
