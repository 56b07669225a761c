"""Forked processes that run ranges of cases, killed where a case hangs."""

from __future__ import annotations

import faulthandler
import os
import resource
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.fuzzing.cases import INPUTS, stream
from benchmarks.fuzzing.outcomes import Outcome
from benchmarks.fuzzing.watching import Watch
from benchmarks.processor_time import processor_time

if TYPE_CHECKING:
    from benchmarks.fuzzing.execution import Runner

_MEMORY = 6 * 2**30


class CaseProcess:
    """A forked process with a range of cases."""

    def __init__(self, runner: Runner, numbers: range) -> None:
        self._runner, self.left = runner, numbers
        self.ended = False
        self.pipe, far = get_context("fork").Pipe(duplex=False)
        self._process = get_context("fork").Process(target=_work, args=(runner, numbers, far))
        self._process.start()
        far.close()
        self._begin()

    def _begin(self) -> None:
        self._since, self._used = time.monotonic(), processor_time(self._process.pid)

    def outcomes(self) -> Iterator[Outcome]:
        """Outcomes that came since the last call; that of the case at which the process hung or died, too."""
        try:
            while self.pipe.poll():
                outcome = self.pipe.recv()
                self.left = self.left[1:]
                self._runner.clear(outcome)
                yield outcome
                self._begin()
        except EOFError:
            yield from self._lost(("traceback", f"the process died ({self._status()})"))
            return
        used, waited = processor_time(self._process.pid) - self._used, time.monotonic() - self._since
        limits = self._runner.limits
        if len(self.left) and (used > limits.processor or waited > limits.wall):
            yield from self._lost(("hang", f"{used:.0f} s of processor time, {waited:.0f} s"), used)

    def _lost(self, fault: tuple[str, str], seconds: float = 0.0) -> Iterator[Outcome]:
        self.kill()
        self.ended = True
        if not len(self.left):
            return
        number, self.left = self.left[0], self.left[1:]
        runner = self._runner
        # the case is made once more, for its words
        here = runner.folder / "again"
        shutil.rmtree(here, ignore_errors=True)
        (here / INPUTS).mkdir(parents=True)
        case = runner.maker(stream(runner.seed, runner.target, number), runner.valid, here)
        said = runner.folder / f"{runner.target}-{number}.err"
        text = said.read_text(encoding="utf-8", errors="replace")[-2000:] if said.is_file() else ""
        outcome = Outcome(runner.target, number, case.words, None, seconds, (fault,), text)
        runner.clear(outcome)
        yield outcome

    def kill(self) -> None:
        """End the process with all that it started."""
        if self._process.pid is not None:
            try:
                os.killpg(self._process.pid, signal.SIGKILL)
            except ProcessLookupError:
                self._process.kill()
        self._process.join()
        self.pipe.close()

    def _status(self) -> str:
        self._process.join(5)
        return f"exit status {self._process.exitcode}"


def _work(runner: Runner, numbers: range, pipe: Any) -> None:
    os.setpgid(0, 0)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # a process that dies is told by its exit status
    faulthandler.disable()
    used = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + _MEMORY, used + _MEMORY))
    # whatever the process it was forked from had in their place
    sys.stdout, sys.stderr = (open(handle, "w", encoding="utf-8", closefd=False) for handle in (1, 2))  # noqa: SIM115
    watch = Watch()
    for number in numbers:
        try:
            outcome = runner.one(number, watch)
        except BaseException:
            outcome = Outcome(runner.target, number, faults=(("fuzzer", traceback.format_exc(limit=-4)),))
        pipe.send(replace(outcome, words=tuple(map(str, outcome.words))))
    pipe.close()
    # neither flushes nor exit functions of the process it was forked from
    os._exit(0)
