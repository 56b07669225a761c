"""Cases in forked processes: output caught, writes watched, time and memory limited."""

from __future__ import annotations

import io
import os
import shutil
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import connection
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from benchmarks.fuzzing.cases import HOME, INPUTS, Case, Maker, stream
from benchmarks.fuzzing.crystals import impossible, impossible_files
from benchmarks.fuzzing.outcomes import Outcome
from benchmarks.fuzzing.processes import CaseProcess
from benchmarks.fuzzing.verdicts import Observed, faults, place_of
from benchmarks.fuzzing.watching import Watch, changed, contents
from gflownet_crystal.cli.main import main
from gflownet_crystal.common.errors import GFlowNetCrystalError
from gflownet_crystal.common.programs import FAILED, one_line

CHUNK = 25
"""Cases of one process, after which a new one is forked."""

DRAWN = 8
"""In one case of so many, figures are drawn, which takes longer than all the rest of most commands."""


@dataclass(frozen=True)
class Limits:
    """When an execution has hung.

    Attributes:
        processor: seconds of processor time.
        wall: elapsed seconds, for commands that wait without working; longer, as other programs may run at the same
            time.
    """

    processor: float = 10.0
    wall: float = 90.0


@dataclass
class Runner:
    """Runs cases in forked processes.

    Attributes:
        maker: makes the cases of ``target``.
        target: its name.
        seed: of the cases.
        valid: folder of valid inputs.
        folder: for the folders of the cases; one is removed after its case.
        kept: where folders of cases with faults go; None to remove them too.
        limits: of one execution.
        command: function called with the words of a command.
    """

    maker: Maker
    target: str
    seed: int
    valid: Path
    folder: Path
    kept: Path | None = None
    limits: Limits = field(default_factory=Limits)
    command: Callable[[Sequence[str]], int] = main

    def run(self, numbers: range, n_processes: int = 1) -> Iterator[Outcome]:
        """Outcomes of the cases, in any order."""
        waiting = [numbers[start : start + CHUNK] for start in range(0, len(numbers), CHUNK)][::-1]
        running: list[CaseProcess] = []
        try:
            while waiting or running:
                while waiting and len(running) < n_processes:
                    running.append(CaseProcess(self, waiting.pop()))
                connection.wait([process.pipe for process in running], timeout=0.2)
                for process in list(running):
                    yield from process.outcomes()
                    if process.ended:
                        running.remove(process)
                        if len(process.left):
                            waiting.append(process.left)
        finally:
            for process in running:
                process.kill()

    def one(self, number: int, watch: Watch) -> Outcome:
        """Run a case in this process."""
        here = self.folder / f"{self.target}-{number}"
        shutil.rmtree(here, ignore_errors=True)
        (here / INPUTS).mkdir(parents=True)
        try:
            case = self.maker(stream(self.seed, self.target, number), self.valid, here)
        except Exception:
            return Outcome(self.target, number, faults=(("fuzzer", traceback.format_exc(limit=-3).strip()),))
        started = time.process_time()
        with drawing(number % DRAWN == 0):
            observed = self._observe(case, here, watch)
        seconds = time.process_time() - started
        return Outcome(
            self.target,
            number,
            case.words,
            observed.status,
            seconds,
            tuple(faults(observed)),
            observed.error[-2000:],
        )

    def _observe(self, case: Case, here: Path, watch: Watch) -> Observed:
        before, path = contents(here), list(sys.path)
        said = here.with_name(f"{here.name}.err"), here.with_name(f"{here.name}.out")
        os.chdir(here)
        home = os.environ.get("HOME", "")
        os.environ["HOME"] = str(here / HOME)
        watch.begin()
        raised, place, read, status = "", "", None, None
        with _Streams(*said):
            try:
                if case.read is None:
                    status = self.command(case.words)
                else:
                    status, read = _reader(case.read)
            # a panic of Rust code is no Exception
            except BaseException as error:
                raised, place = one_line(error)[:300] or " ", place_of(error)
                raised = f"{type(error).__name__}: {raised}"
        watch.end()
        os.environ["HOME"] = home
        os.chdir(self.folder)
        sys.path[:] = path
        allowed = [here / name for name in case.outputs]
        outside = watch.outside([*allowed, *said])
        outside += [name for name in changed(before, here, case.outputs) if str(here / name) not in outside]
        broken: list[str] = []
        if status == 0:
            broken = impossible(read, case.close_atoms)
            for name in case.outputs:
                broken += impossible_files(here / name, case.close_atoms) if (here / name).is_dir() else []
        error, _ = (file.read_text(encoding="utf-8", errors="replace") for file in said)
        for file in said:
            file.unlink()
        return Observed(status, error, raised, place, outside, broken, watch.started)

    def clear(self, outcome: Outcome) -> None:
        """Remove the folder of a case, or keep it if there is a fault."""
        here = self.folder / f"{self.target}-{outcome.number}"
        if outcome.faults and self.kept is not None:
            shutil.copytree(here, self.kept / here.name, dirs_exist_ok=True, symlinks=True)
        shutil.rmtree(here, ignore_errors=True)


def _reader(read: Callable[[], Any]) -> tuple[int, Any]:
    try:
        return 0, read()
    except GFlowNetCrystalError as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        return FAILED, None


@contextmanager
def drawing(wanted: bool) -> Iterator[None]:
    """Let figures be written without being drawn, unless wanted."""
    drawn = Figure.savefig

    def blank(_: Figure, target: Any, **options: Any) -> None:
        text = b"<svg xmlns='http://www.w3.org/2000/svg'/>"
        if hasattr(target, "write"):
            target.write(text.decode() if isinstance(target, io.TextIOBase) else text)
        else:
            Path(target).write_bytes(text)

    if not wanted:
        Figure.savefig = blank
    try:
        yield
    finally:
        Figure.savefig = drawn


class _Streams:
    """Standard error and output of this process into files, those of C and Rust code too."""

    def __init__(self, error: Path, output: Path) -> None:
        self._files = {2: error, 1: output}
        self._kept: dict[int, int] = {}

    def __enter__(self) -> None:
        self._flush()
        for number, path in self._files.items():
            self._kept[number] = os.dup(number)
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(handle, number)
            os.close(handle)

    def __exit__(self, *_: object) -> None:
        self._flush()
        for number, kept in self._kept.items():
            os.dup2(kept, number)
            os.close(kept)

    @staticmethod
    def _flush() -> None:
        sys.stdout.flush()
        sys.stderr.flush()
