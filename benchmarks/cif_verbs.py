"""CIFs with known contents through the verbs that read crystals; prints one JSON object.

    OMP_NUM_THREADS=1 python -m benchmarks.cif_verbs cases=DIR [verbs=prepare_data,generate,report]

DIR holds CIFs and ``expected.csv`` with the columns ``file`` and ``expected``: formula of the conventional cell and
number of the space group, as ``Na4 Cl4 | 225``, or ``refuse`` and perhaps why. Each file is given to each verb alone:
to prepare_data as source, to generate as specs, and to report as reference, of a run that is made for it. Right is
the expected crystal, and a refusal if it is one line that names the file. Printed are
the numbers of both for each verb, and all other outcomes; exit status 1 if there were any.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.fuzzing.execution import drawing
from benchmarks.fuzzing.material import CRYSTAL_RUN
from benchmarks.options import names, read_options, run
from gflownet_crystal.cli import report
from gflownet_crystal.cli.main import main as run_verb
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.report.population import Population
from gflownet_crystal.structures.formulas import composition_to_text, text_to_composition

REFUSE = "refuse"
Read = Callable[[Path], tuple[int, str, pd.DataFrame]]
"""Gives a file to a verb: exit status, standard error, and the crystals that it found."""


def by_prepare_data(path: Path) -> tuple[int, str, pd.DataFrame]:
    """The prepared table."""
    status, said = command("prepare_data", f"source={path}", "out=made/table.parquet", "quiet=true")
    return status, said, pd.read_parquet("made/table.parquet") if not status else pd.DataFrame()


def by_generate(path: Path) -> tuple[int, str, pd.DataFrame]:
    """The structures and the specs that got none."""
    words = ("generator=quick", "generator.tries=2", "quiet=true", "threads=1", "out=made")
    status, said = command("generate", f"specs={path}", *words)
    if status:
        return status, said, pd.DataFrame()
    return (
        status,
        said,
        pd.concat([pd.read_parquet("made/structures.parquet"), pd.read_csv("made/unplaced.csv")]),
    )


def by_report(path: Path) -> tuple[int, str, pd.DataFrame]:
    """The known crystals that the page shows."""
    shown: list[Population] = []
    gather = report.gather

    def watched(files: Any, known: Any, *rest: Any) -> Any:
        shown.append(known)
        return gather(files, known, *rest)

    report.gather = watched
    try:
        status, said = command(
            "report", "run=run", f"reference={path}", "compare=0", "k=1", "out=made/page.html", "threads=1"
        )
    finally:
        report.gather = gather
    return status, said, pd.DataFrame() if status else shown[0].frame


VERBS: dict[str, Read] = {"prepare_data": by_prepare_data, "generate": by_generate, "report": by_report}
DEFAULTS = {"verbs": ",".join(VERBS)}


def command(*words: str) -> tuple[int, str]:
    """Exit status and standard error of a command."""
    said = io.StringIO()
    with redirect_stderr(said), redirect_stdout(io.StringIO()), drawing(False):
        status = run_verb(list(words))
    return status, said.getvalue()


def fault(expected: str, path: Path, status: int, said: str, found: pd.DataFrame) -> str:
    """Fault in the result of a verb on a file; empty if there is none."""
    if expected.startswith(REFUSE):
        lines = said.strip().splitlines()
        one = status == 2 and len(lines) == 1 and path.name in lines[0]
        return "" if one else f"not refused in one line with its name: {said or found.to_dict('records')}"
    if status or len(found) != 1:
        return f"{len(found)} crystals: {said.strip()}"
    formula, _, group = expected.partition(" | ")
    row = found.iloc[0]
    texts = composition_to_text(text_to_composition([formula, row["formula"]]))
    if texts[0] == texts[1] and int(row["space_group"]) == int(group):
        return ""
    return f"{texts[1]} | {int(row['space_group'])} in place of {texts[0]} | {group}"


def main(arguments: list[str]) -> None:
    """Read the arguments, run and print.

    Raises:
        ConfigError: the folder holds no cases.
        SystemExit: with status 1 if something is not as expected.
    """
    options = read_options(__doc__, DEFAULTS, arguments, required=("cases",))
    folder = Path(options["cases"]).resolve()
    if not (folder / "expected.csv").is_file():
        raise ConfigError(f"{folder} has no expected.csv; give cases=DIR with CIFs and this table")
    cases = pd.read_csv(folder / "expected.csv")
    results, wrong, here = {}, {}, Path.cwd()
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        try:
            status, said = command(*CRYSTAL_RUN, "run.dir=run")
            if status:
                raise ConfigError(f"a run for the reports cannot be made: {said.strip()}")
            for verb in names(options, "verbs", VERBS):
                results[verb] = {"cases": len(cases), "right": 0, "refused": 0}
                for name, expected in zip(cases["file"], cases["expected"], strict=True):
                    shutil.rmtree("made", ignore_errors=True)
                    said = fault(expected, folder / name, *VERBS[verb](folder / name))
                    results[verb]["right"] += not said
                    results[verb]["refused"] += not said and expected.startswith(REFUSE)
                    if said:
                        wrong[f"{verb} {name}"] = said
        finally:
            os.chdir(here)
    print(json.dumps({**results, "wrong": wrong}, indent=1))
    if wrong:
        raise SystemExit(1)


if __name__ == "__main__":
    run(main)
