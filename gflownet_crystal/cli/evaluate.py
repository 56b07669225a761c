"""Judge structures, alone or against a reference set, or a sampler by its run: validity, coverage, stability and more.

Prints one JSON object and writes it with two tables, of the metrics and of the structures. A structure that fails is
counted and disturbs no other. Features are kept in the cache; a run that was stopped goes on with the same settings
and resume=true. docs/metrics.md has every definition.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from omegaconf import DictConfig, OmegaConf

from gflownet_crystal.cli.data_tables import formula_check_of
from gflownet_crystal.cli.judging import STABILITY, Judging, chosen_judges, stability_thresholds
from gflownet_crystal.cli.sampler_figures import sampler_figures
from gflownet_crystal.common.errors import ConfigError, DataError
from gflownet_crystal.common.files import atomic_path, read_json, write_json
from gflownet_crystal.common.interrupt import stop_on_signal
from gflownet_crystal.common.run_schema import EVALUATION, EVALUATION_CSV, JUDGED
from gflownet_crystal.config.build import to_settings
from gflownet_crystal.config.compose import resolved
from gflownet_crystal.config.groups import unknown
from gflownet_crystal.config.parts import find_device, set_threads
from gflownet_crystal.config.values import (
    check_writable,
    flag,
    names_setting,
    path_setting,
    thread_count,
    whole_number,
)
from gflownet_crystal.evaluation.compared_sets import Choices, Evaluation
from gflownet_crystal.evaluation.known_hulls import known_hull
from gflownet_crystal.evaluation.matching import Tolerances
from gflownet_crystal.evaluation.parallel import Work
from gflownet_crystal.evaluation.structure_metrics import COMPARING, METRICS, Result
from gflownet_crystal.evaluation.structure_sets import StructureSet, read_set
from gflownet_crystal.models.energies.choice import EnergyChoice
from gflownet_crystal.models.energies.structure_energies import StructureEnergies
from gflownet_crystal.relaxation.settings import RelaxationSettings
from gflownet_crystal.workflows.output_folder import open_output

BY_ALL = "stability_by_all"
FIGURES, TABLE, STRUCTURES, PARTS = EVALUATION, EVALUATION_CSV, JUDGED, "parts"

# these say how it is computed, not what
_FREE = ("out", "cache", "processes", "device", "threads", "resume", "quiet", "metrics", "judge", "run", "sampler",
         "trust")  # fmt: skip

_CACHED = ("distances", "coverage", "frechet")

_LEFT_OUT = (
    f"left out: {', '.join(COMPARING)} and the distance of space groups, which compare to other structures; "
    "give reference=... for these"
)


def run(config: DictConfig) -> None:
    """The verb ``evaluate``."""
    config = resolved(config)
    if (config.run is None) == (config.structures is None):
        raise ConfigError(
            "give structures=..., with reference=... to compare them to, or run=DIR for a trained sampler"
        )
    if config.run is not None:
        _run_sampler(config)
        return
    names, judges = chosen_metrics(config), chosen_judges(config)
    set_threads(config.threads)
    evaluation = _evaluation(config)
    judging = _judging(config, evaluation) if judges else None
    models = [] if judging is None else [judging.load(judge) for judge in judges]
    few = evaluation.made.head(whole_number(config.n_judged, "n_judged", 1))
    if evaluation.work.cache is not None and set(names) & set(_CACHED):
        check_writable(evaluation.work.cache / "features")
    evaluation.check(names)
    folder = _out(config)
    settings = _settings(config, evaluation)
    with open_output(folder, settings, flag(config.resume, "resume")), stop_on_signal() as should_stop:
        if config.reference is None and config.metrics is None:
            print(_LEFT_OUT, file=sys.stderr)
        evaluation.work = replace(evaluation.work, should_stop=should_stop)
        figures: dict[str, Any] = {"counts": _counts(evaluation)}
        results = {name: _kept(folder, name, evaluation) for name in names if name != STABILITY}
        figures |= {name: result.figures for name, result in results.items()}
        if judging is not None:
            figures |= _judged(judging, few, judges, models, folder)
        _write_csv(folder / STRUCTURES, structure_table(evaluation.made, results))
        _show(folder, figures)


def _judged(
    judging: Judging,
    made: StructureSet,
    judges: Sequence[EnergyChoice],
    models: Sequence[StructureEnergies],
    folder: Path,
) -> dict[str, Any]:
    """Figures of each judge and, of several, of what they agree on; a table each."""
    verdicts, figures = [], {}
    for judge, energies in zip(judges, models, strict=True):
        kept = folder / f"relaxed_{judge.file_name}"
        verdict, figures[judge.label], rows = judging.judge(made, judge, energies, kept)
        verdicts.append(verdict)
        _write_csv(folder / f"{STABILITY}_{judge.file_name}.csv", pd.DataFrame(rows))
    together = {} if len(judges) < 2 else {BY_ALL: judging.together(verdicts, judges)}
    return {STABILITY: figures, **together}


def _run_sampler(config: DictConfig) -> None:
    folder = _out(config)
    chosen: dict[str, Any] = {key: config[key] for key in ("run", "reference", "seed")}
    chosen |= {f"sampler.{key}": value for key, value in config.sampler.items()}
    with open_output(folder, chosen, flag(config.resume, "resume")):
        _show(folder, sampler_figures(config))


def _show(folder: Path, figures: Mapping[str, Any]) -> None:
    figures = plain(figures)
    write_json(folder / FIGURES, figures)
    _write_csv(folder / TABLE, pd.DataFrame(flat(figures), columns=["metric", "value"]))
    print(json.dumps(figures, indent=2))


def chosen_metrics(config: DictConfig) -> list[str]:
    """Names of metrics in the order in which they are computed.

    Raises:
        ConfigError: an unknown one, or one that lacks what it needs.
    """
    known = (*METRICS, STABILITY)
    given = config.metrics
    if given is None:
        possible = {"matching": config.targets is not None, STABILITY: bool(chosen_judges(config))}
        possible |= dict.fromkeys(COMPARING, config.reference is not None)
        names = [name for name in known if possible.get(name, True)]
    else:
        names = names_setting(given, "metrics")
    for name in names:
        if name not in known:
            raise unknown("metric", name, known)
        if config.reference is None and name in (*COMPARING, STABILITY):
            raise ConfigError(f"{name} compares the structures to known ones; give reference=...")
    if STABILITY in names and not chosen_judges(config):
        raise ConfigError("stability needs a judge; give judge=sevenn:7net-l3i5, or another potential")
    if "matching" in names and config.targets is None:
        raise ConfigError("matching needs what the structures were made for; give targets=FILE")
    return [name for name in known if name in names]


def to_choices(config: DictConfig, device: str) -> Choices:
    """Choices of the metrics' definitions, read from the configuration."""
    names = ("oxidation_states", "network", "site_cutoff", "composition_cutoff", "symprec", "seed", "scaler")
    return Choices(
        **{name: config[name] for name in names},
        device=device,
        tolerances=to_settings(Tolerances, config.matcher, "matcher"),
    )


def structure_table(made: StructureSet, results: Mapping[str, Result]) -> pd.DataFrame:
    """A row of each structure that was given: why it could not be read, or what every metric says of it."""
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


def flat(figures: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted names and values of nested figures."""
    for name, value in figures.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def plain(value: Any) -> Any:
    """Figures as JSON has them: numbers that are not finite become null."""
    if isinstance(value, Mapping):
        return {name: plain(inner) for name, inner in value.items()}
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
    kept = Result(plain(result.figures), _plain_columns(result.columns))
    write_json(path, {"figures": kept.figures, "columns": kept.columns})
    return kept


def _plain_columns(columns: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
    return {name: [plain(value) for value in values] for name, values in columns.items()}


def _counts(evaluation: Evaluation) -> dict[str, int]:
    made = evaluation.made
    counts = {"structures": len(made), "structures_unreadable": len(made.reasons)}
    if not evaluation.has_reference:
        return counts
    reference = evaluation.reference
    return counts | {"reference": len(reference), "reference_unreadable": len(reference.reasons)}


def _evaluation(config: DictConfig) -> Evaluation:
    """The sets, read, and how they are compared."""
    processes, quiet = thread_count(config.processes, "processes"), flag(config.quiet, "quiet")
    cache = None if config.cache is None else path_setting(config.cache, "cache")
    work = Work(processes, cache, quiet=quiet)
    choices = to_choices(config, str(find_device(config.device)))
    made = _read(config, "structures", "n")
    reference = None if config.reference is None else _read(config, "reference", "n_reference")
    targets = None if config.targets is None else _read(config, "targets", None)
    return Evaluation(made, reference, choices, work, targets)


def _judging(config: DictConfig, evaluation: Evaluation) -> Judging:
    settings = to_settings(RelaxationSettings, config.relax, "relax")
    hull = None if config.hull is None else str(path_setting(config.hull, "hull"))
    found, hull_of = known_hull(hull, path_setting(config.reference, "reference"))
    return Judging(evaluation, settings, found, hull_of, stability_thresholds(config.threshold))


def _read(config: DictConfig, key: str, limit: str | None) -> StructureSet:
    found = read_set(path_setting(config[key], key), formula_check_of(config))
    return (
        found if limit is None or config[limit] is None else found.head(whole_number(config[limit], limit, 1))
    )


def _settings(config: DictConfig, evaluation: Evaluation) -> dict[str, Any]:
    """Settings that determine the results."""
    stored = OmegaConf.to_container(config)
    chosen = {str(k): v for k, v in stored.items() if k not in _FREE} if isinstance(stored, dict) else {}
    reference = evaluation.reference if evaluation.has_reference else None
    sets = {"structures": evaluation.made, "reference": reference, "targets": evaluation.targets}
    return chosen | {name: "" if found is None else found.digest() for name, found in sets.items()}


def _out(config: DictConfig) -> Path:
    if config.out is not None:
        return path_setting(config.out, "out")
    key = "structures" if config.run is None else "run"
    return Path("runs") / f"evaluate_{path_setting(config[key], key).resolve().stem}"


def _write_csv(path: Path, frame: pd.DataFrame) -> None:
    with atomic_path(path) as temporary:
        frame.to_csv(temporary, index=False)
