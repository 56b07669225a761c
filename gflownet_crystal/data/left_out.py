"""Entries that readers could not use: named, with the reason, and counted."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

import pandas as pd

from gflownet_crystal.common.run_schema import REASON

_SHOWN = 20
# quoted texts of a file, coordinates in brackets, distances, and elements with counts
_DETAILS = re.compile(
    r"""'[^']*'|"[^"]*"|\([^()]*\d[^()]*\)|\b\d+\.\d{4}\b|\b[A-Z][a-z]?\d+(?: [A-Z][a-z]?\d+)*\b"""
)


class LeftOut:
    """Names and reasons of the records left out, in order; the same pair counts once."""

    def __init__(self) -> None:
        self._pairs: dict[tuple[str, str], None] = {}

    def __len__(self) -> int:
        return len(self._pairs)

    def add(self, name: str, reason: str) -> None:
        """Add one.

        Args:
            name: name of the crystal or file.
            reason: one line.
        """
        self._pairs[str(name), " ".join(str(reason).split())] = None

    def add_rows(self, names: Iterable[object], reasons: Iterable[str]) -> None:
        """Add those with a reason that is not empty."""
        for name, reason in zip(names, reasons, strict=True):
            if reason:
                self.add(str(name), reason)

    def update(self, other: LeftOut) -> None:
        """Add all of another."""
        self._pairs |= other._pairs

    def names(self) -> set[str]:
        """All names."""
        return {name for name, _ in self._pairs}

    def counts(self) -> dict[str, int]:
        """Number left out by reason, most frequent first; rare ones beyond the first 20 reasons as one.

        Reasons that differ in names of sites, formulas or distances alone count as one, with dots in their place.
        """
        reasons: dict[str, Counter[str]] = {}
        for _, reason in self._pairs:
            reasons.setdefault(_DETAILS.sub(_dots, reason), Counter())[reason] += 1
        kinds = {next(iter(own)) if len(own) == 1 else kind: own.total() for kind, own in reasons.items()}
        frequent = Counter(kinds).most_common()
        shown = dict(frequent[:_SHOWN])
        if rest := sum(count for _, count in frequent[_SHOWN:]):
            shown["other reasons"] = rest
        return shown

    def frame(self) -> pd.DataFrame:
        """Table with the columns name and reason."""
        return pd.DataFrame(list(self._pairs), columns=["name", REASON], dtype=object)

    def line(self) -> str:
        """A summary in one line; empty if nothing was left out."""
        if not self._pairs:
            return ""
        parts = [f"{count} with {reason}" for reason, count in self.counts().items()]
        (first, _), *_ = self._pairs
        more = f" and {len(parts) - 3} more reasons" if len(parts) > 3 else ""
        # names are the user's, and may hold ends of lines
        return " ".join(f"left out {len(self)}, {first} the first: {'; '.join(parts[:3])}{more}".split())


def _dots(detail: re.Match[str]) -> str:
    return "'...'" if detail[0][0] in "'\"" else "..."
