"""Results of cases."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Outcome:
    """Outcome of a case.

    Attributes:
        target: name of its target.
        number: of the case.
        words: of the command line.
        status: exit status; None if there was none.
        seconds: of processor time.
        faults: category and detail of each.
        said: end of standard error.
    """

    target: str
    number: int
    words: tuple[str, ...] = ()
    status: int | None = None
    seconds: float = 0.0
    faults: tuple[tuple[str, str], ...] = ()
    said: str = ""
