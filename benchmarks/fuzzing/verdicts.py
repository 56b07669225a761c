"""Faults of an execution, and which of them are the same."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

CATEGORIES = ("traceback", "hang", "outside", "impossible", "status", "lines", "process", "fuzzer")
"""Kinds of faults: an error that is not the package's own, no end in time, files written or removed outside the output,
crystals accepted that cannot be, an exit status other than 0 and 2, more or fewer lines than one of an error, a program
started, and a fault of the fuzzer itself."""

_ALLOWED = (0, 2)
_NOTICE = re.compile(r"^(warning: |left out|note: )")
_PROGRESS = re.compile(r"^\S* *\w+: +\d+%|^\d+ |it/s|s/it|\r")


@dataclass(frozen=True)
class Observed:
    """Observations of an execution.

    Attributes:
        status: exit status; None if an exception came out.
        error: standard error.
        raised: that exception, in one line.
        place: where it was raised.
        outside: paths written or removed outside the output.
        impossible: reasons why accepted crystals cannot be.
        started: programs started.
    """

    status: int | None
    error: str = ""
    raised: str = ""
    place: str = ""
    outside: Sequence[str] = field(default_factory=tuple)
    impossible: Sequence[str] = field(default_factory=tuple)
    started: Sequence[str] = field(default_factory=tuple)


def faults(observed: Observed) -> Iterator[tuple[str, str]]:
    """Category and detail of each fault of an execution."""
    if observed.raised:
        yield "traceback", f"{observed.place} {observed.raised}"
    elif "Traceback" in observed.error or "panicked at" in observed.error:
        yield "traceback", f"printed: {_last_line(observed.error)}"
    elif observed.status not in _ALLOWED:
        yield "status", f"{observed.status}: {_last_line(observed.error)}"
    else:
        yield from _of_lines(observed)
    for name in observed.outside:
        yield "outside", name
    if observed.impossible:
        yield "impossible", observed.impossible[0]
    for program in observed.started:
        yield "process", program


def _of_lines(observed: Observed) -> Iterator[tuple[str, str]]:
    lines = [line for line in observed.error.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("error: ")]
    others = [
        line for line in lines if not (line in errors or _NOTICE.search(line) or _PROGRESS.search(line))
    ]
    if observed.status == 2 and len(errors) != 1:
        yield "lines", f"{len(errors)} lines of an error: {_last_line(observed.error)}"
    elif observed.status == 2 and len(errors[0]) > 4000:
        yield "lines", f"an error of {len(errors[0])} characters: {errors[0][:100]}"
    elif observed.status == 0 and errors:
        yield "lines", f"an error, and exit status 0: {errors[0]}"
    elif others:
        yield "lines", f"further: {others[0]}"


def place_of(error: BaseException) -> str:
    """File, line and function in the package that an exception passed last, and where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "gflownet_crystal/" in frame.filename]
    shown = [*own[-1:], *frames[-1:]]
    names = [f"{frame.filename.rpartition('gflownet_crystal/')[2]}:{frame.lineno}" for frame in shown]
    return " < ".join(dict.fromkeys(name.rpartition("site-packages/")[2] for name in names))


def signature(category: str, detail: str) -> str:
    """A text that equal faults share: numbers and names of files left out."""
    place = detail.split(" ")[0] if category == "traceback" else ""
    kind = re.sub(r"\S*/\S*|'[^']*'|\"[^\"]*\"|[\d.eE+-]*\d", "#", detail.removeprefix(place))
    return f"{category} {place} {kind[:70]}"


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "nothing"
