"""Kills each verb at random moments, resumes it, and compares the result with an undisturbed run.

    python -m benchmarks.kills data=FILE [verbs=train_gfn,relax] [n=20] [seed=0]

Each verb runs once undisturbed on a few dozen crystals of FILE (Parquet, as prepare_data reads). Then it is started in
an empty folder, killed with SIGKILL at a random moment between the first file and the end, and resumed (or run again,
where there is no resume), until n kills came before the end. Moments are of processor time, so that programs beside
shift none. All result files have to be those of the undisturbed run, bit for bit but for times, rates, and the word
resume. Columns: runs, kills that came before the end, files lost (or a resume that was refused), files that the kill
left unreadable, files that differ in the end. The exit status is 1 if any of these three is above 0, or fewer than n
kills came before the end in 2 n runs.
"""

from __future__ import annotations

import importlib
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path

import pandas as pd

from benchmarks.kills_files import contents, difference, files_of, is_whole
from benchmarks.options import names, read_options, run
from benchmarks.processor_time import processor_time
from gflownet_crystal.cli.main import main as run_verb
from gflownet_crystal.common.errors import ConfigError

N_CRYSTALS, MOST_ATOMS = 40, 8
_POLL = 0.002
_SPACE = ("env=crystal", "env.space_groups=[225,221,216,139,123]", "env.elements=[Li,O,Na,Mg,Al,Cl,Zn]")
_GFN = (*_SPACE, "proxy=mlp", "trainer.batch_size=8", "trainer.iterations=12", "trainer.checkpoint_every=3",
        "prior=null", "policy.forward.n_hidden=8", "samples.n=40", "export.k=3", "run.dir=out")  # fmt: skip
_LOOP = (
    "loop.epochs=4",
    "loop.checkpoint_every=2",
    "holdout=0.0",
    "run.dir=out",
    "data=../made/known.parquet",
)
COMMANDS = {
    "train_gfn": _GFN,
    "train_proxy": ("proxy=mlp", "training.steps=20", "training.batch_size=16", "training.members=2",
                    "training.width=16", "training.random_strains=2", "checkpoint_every=3", "run.dir=out",
                    "out=out/mlp.safetensors", "data=../made/prepared.parquet"),
    "train_energy": ("model.settings.width=16", "model.settings.embedding=8", "model.settings.alignn_layers=1",
                     "model.settings.gcn_layers=1", "loop.atoms=30", *_LOOP),
    "train_generator": ("generator=wyckoff", "generator.network.width=16", "generator.network.vectors=4",
                        "generator.network.n_layers=1", "loop.atoms=60", *_LOOP),
    "generate": ("specs=../made/known.parquet", "out=out", "generator=quick", "n=16", "batch_size=2", "tries=2"),
    "relax": ("structures=../made/few.parquet", "out=out", "model=alignn", "steps=3"),
    "pipeline": ("run=../made/run", "out=out", "k=4", "n=60", "tries=2", "batch_size=2", "generator=quick",
                 "relax=2", "relax_model=alignn", "relaxation.steps=2"),
    "evaluate": ("structures=../made/few.parquet", "reference=../made/known.parquet", "out=out", "cache=out/cache",
                 "metrics=[validity,space_groups,uniqueness,novelty]"),
    "prepare_data": ("source=../made/known.parquet", "out=out/table.parquet", "hull=out/hull.parquet"),
    "export": ("run=../made/run", "out=out", "k=8", "generator=quick"),
}  # fmt: skip
AGAIN = {"prepare_data": "overwrite=true", "export": "overwrite=true"}
"""A word to run a verb again with where it has no resume."""

DEFAULTS = {"verbs": ",".join(COMMANDS), "n": "20", "seed": "0"}


@dataclass
class Tally:
    """Outcomes of the kills of a verb.

    Attributes:
        runs: started.
        kills: that came before the end.
        lost: files missing in the end, or resumes refused.
        half: files that cannot be read after a kill.
        different: files that differ in the end.
        notes: a line for each of these.
    """

    runs: int = 0
    kills: int = 0
    lost: int = 0
    half: int = 0
    different: int = 0
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Undisturbed:
    """A run that nobody killed.

    Attributes:
        files: contents by name, without times.
        begins: seconds of processor time until its folder appeared.
        ends: seconds of processor time until it was over.
    """

    files: dict[str, object]
    begins: float
    ends: float


def main(arguments: Sequence[str]) -> None:
    """Run the verbs, and print a table.

    Raises:
        SystemExit: with status 1 if something was lost, half-written or different, or too few kills came in time.
    """
    options = read_options(__doc__, DEFAULTS, arguments, required=("data",))
    verbs = names(options, "verbs", COMMANDS)
    data, n = Path(options["data"]).resolve(), int(options["n"])
    print("| verb | runs | killed | lost | half-written | different |\n|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        make_inputs(place / "made", data)
        tallies = [kill(verb, place, n, int(options["seed"])) for verb in verbs]
    for note in (note for tally in tallies for note in tally.notes):
        print(note)
    if any(tally.lost + tally.half + tally.different or tally.kills < n for tally in tallies):
        raise SystemExit(1)


def make_inputs(folder: Path, data: Path) -> None:
    """Write tables of a few crystals, and a run to sample from.

    Raises:
        ConfigError: the data hold too few crystals, or a verb failed on them.
    """
    folder.mkdir()
    frame = pd.read_parquet(data)
    frame = frame[frame["n_atoms"] <= MOST_ATOMS].head(N_CRYSTALS).reset_index(drop=True)
    if len(frame) < N_CRYSTALS:
        raise ConfigError(
            f"{data} must have {N_CRYSTALS} crystals of at most {MOST_ATOMS} atoms, not {len(frame)}"
        )
    frame = frame.assign(mp20_split=["val" if row % 5 == 3 else "train" for row in range(len(frame))])
    frame.to_parquet(folder / "known.parquet")
    frame.iloc[:6].to_parquet(folder / "few.parquet")
    for words in (
        ("prepare_data", "source=known.parquet", "out=prepared.parquet"),
        ("train_gfn", *_GFN, "run.dir=run", "export.k=0"),
    ):
        if finish(start(words, folder, folder / "log.txt")):
            raise ConfigError(f"{words[0]} failed on {data}: {(folder / 'log.txt').read_text()}")


def kill(verb: str, place: Path, n: int, seed: int) -> Tally:
    """Kill a verb until n kills came before its end, print its row of the table."""
    # the processes share the modules imported here, so that few kills come before there is any work
    importlib.import_module(f"gflownet_crystal.cli.{verb}")
    # a first run is slower than all others
    undisturbed(verb, place, "warm")
    whole = undisturbed(verb, place, "whole")
    moments = random.Random(f"{verb} {seed}")
    tally = Tally()
    for number in range(2 * n):
        if tally.kills == n:
            break
        folder = place / f"{verb}_{number}"
        folder.mkdir()
        _kill_once(verb, folder, moments.uniform(whole.begins, whole.ends), whole, tally)
        shutil.rmtree(folder)
    counts = (tally.runs, tally.kills, tally.lost, tally.half, tally.different)
    print(f"| {verb} | {' | '.join(map(str, counts))} |", flush=True)
    return tally


def undisturbed(verb: str, place: Path, name: str) -> Undisturbed:
    """Run a verb to its end, in a folder of that name.

    Raises:
        ConfigError: it failed.
    """
    folder = place / f"{verb}_{name}"
    folder.mkdir()
    process = start((verb, *COMMANDS[verb]), folder, folder / "log.txt")
    begins, ends = None, 0.0
    while process.is_alive():
        ends = max(ends, processor_time(process.pid))
        if begins is None and (folder / "out").exists():
            begins = ends
        time.sleep(_POLL)
    if finish(process):
        raise ConfigError(f"{verb} failed: {(folder / 'log.txt').read_text()}")
    return Undisturbed(contents(folder / "out"), ends if begins is None else begins, ends)


def _kill_once(verb: str, folder: Path, moment: float, whole: Undisturbed, tally: Tally) -> None:
    out, log = folder / "out", folder / "log.txt"
    process = start((verb, *COMMANDS[verb]), folder, log)
    while process.is_alive() and processor_time(process.pid) < moment:
        time.sleep(_POLL)
    process.kill()
    tally.runs += 1
    tally.kills += finish(process) != 0

    def note(what: str) -> None:
        tally.notes.append(f"{verb}, killed after {moment:.3f} s: {what}")

    for path in files_of(out):
        if not is_whole(path):
            tally.half += 1
            note(f"{path.relative_to(out)} cannot be read")
    # a folder in which nothing was done yet is begun again
    begun = bool(files_of(out)) or verb in AGAIN
    words = [AGAIN.get(verb, "resume=true")] if begun else []
    if finish(start((verb, *COMMANDS[verb], *words), folder, log)):
        tally.lost += 1
        note(f"refused to go on: {log.read_text().strip().splitlines()[-1]}")
        return
    lost, different = difference(whole.files, contents(out))
    tally.lost += len(lost)
    tally.different += len(different)
    for name in lost:
        note(f"{name} is lost")
    for name in different:
        note(f"{name} differs")


def start(words: Sequence[str], folder: Path, log: Path) -> BaseProcess:
    """Start a verb in a process of its own, which shares the imported modules of this one."""
    process = get_context("fork").Process(target=_run, args=(list(words), folder, log))
    process.start()
    return process


def _run(words: list[str], folder: Path, log: Path) -> None:
    os.chdir(folder)
    with open(log, "w", encoding="utf-8") as file:
        sys.stdout = sys.stderr = file
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        status = run_verb([*words, "threads=1"] if words[0] not in AGAIN else words)
        file.flush()
        os._exit(status)


def finish(process: BaseProcess) -> int:
    """Wait for a process; its exit status, negative where a signal ended it."""
    process.join()
    return process.exitcode or 0


if __name__ == "__main__":
    run(main)
