"""Progress of a counted loop: a bar with rate and time left on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from tqdm import tqdm

N_LINES = 20


class Progress:
    """Shows how far ``total`` steps have come.

    On a terminal and in a notebook a bar on standard error; otherwise about twenty lines on standard output, so that a
    log file stays short and standard error is left to errors.

    Args:
        total: steps in all.
        done: steps already taken.
        label: name of the counted items.
        quiet: show nothing.
    """

    def __init__(self, total: int, done: int = 0, label: str = "training", quiet: bool = False) -> None:
        self.total, self.done, self.label, self.quiet = total, done, label, quiet
        self._start, self._first = time.perf_counter(), done
        on_terminal = (sys.stderr.isatty() or in_notebook()) and not quiet
        self._bar = (
            tqdm(total=total, initial=done, desc=label, unit="it", dynamic_ncols=True)
            if on_terminal
            else None
        )
        self._every = max(1, -(-total // N_LINES))

    def advance(self, message: str, steps: int = 1) -> None:
        """A step more, or several at once, with a few words on where things stand."""
        before = self.done
        self.done += steps
        if self._bar is not None:
            self._bar.set_postfix_str(message, refresh=False)
            self._bar.update(steps)
        elif not self.quiet and (self.done // self._every > before // self._every or self.done == self.total):
            rate = (self.done - self._first) / max(1e-9, time.perf_counter() - self._start)
            shown = f"{rate:.2f} it/s" if rate >= 1.0 else f"{1.0 / rate:.1f} s/it"
            left = tqdm.format_interval((self.total - self.done) / rate)
            sys.stdout.write(f"{self.label} {self.done}/{self.total}, {shown}, {left} left, {message}\n")
            sys.stdout.flush()

    def note(self, message: str) -> None:
        """A line of its own, beside the bar."""
        if not self.quiet:
            tqdm.write(message, file=sys.stdout)
            sys.stdout.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()


def in_notebook() -> bool:
    """Whether a Jupyter kernel runs this process, which shows a bar below the cell."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None) is not None


@contextmanager
def announced(message: str, after: float = 2.0, quiet: bool = False) -> Iterator[None]:
    """Show a line if the work inside takes longer than some seconds; where :class:`Progress` shows its own.

    Args:
        message: the line.
        after: seconds.
        quiet: show nothing.
    """

    def show() -> None:
        stream = sys.stderr if sys.stderr.isatty() else sys.stdout
        stream.write(message + "\n")
        stream.flush()

    timer = threading.Timer(after, show)
    timer.daemon = True
    if not quiet:
        timer.start()
    try:
        yield
    finally:
        timer.cancel()
