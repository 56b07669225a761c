"""Ranges of numbers in annotations, which :func:`~gflownet_crystal.common.annotations.fit_fields` checks."""

from __future__ import annotations

from typing import Annotated, NamedTuple


class Bounds(NamedTuple):
    """Range of a number; NaN is in none.

    Attributes:
        least: smallest number of the range; None for no such end.
        above: number that all of the range are above; None for no such end.
        most: largest number of the range; None for no such end.
        below: number that all of the range are below; None for no such end.
    """

    least: float | None = None
    above: float | None = None
    most: float | None = None
    below: float | None = None

    def holds(self, value: float) -> bool:
        """Whether a number is in the range."""
        low = (self.least is None or value >= self.least) and (self.above is None or value > self.above)
        high = (self.most is None or value <= self.most) and (self.below is None or value < self.below)
        return low and high

    def __str__(self) -> str:
        ends = {"at least": self.least, "above": self.above, "at most": self.most, "below": self.below}
        return " and ".join(f"{words} {end:g}" for words, end in ends.items() if end is not None)


Whole = Annotated[int, Bounds(least=0)]
"""A number of things that may be none."""
Count = Annotated[int, Bounds(least=1)]
"""A number of at least one thing."""
Several = Annotated[int, Bounds(least=2)]
"""A number of at least two things."""
NonNegative = Annotated[float, Bounds(least=0)]
"""A number from 0."""
Positive = Annotated[float, Bounds(above=0)]
"""A number above 0."""
Share = Annotated[float, Bounds(least=0, most=1)]
"""A share from 0 to 1."""
ShareBelowOne = Annotated[float, Bounds(least=0, below=1)]
"""A share from 0 to below 1."""
InnerShare = Annotated[float, Bounds(above=0, below=1)]
"""A share between 0 and 1."""
