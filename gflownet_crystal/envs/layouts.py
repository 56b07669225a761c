"""Layouts of features and actions that environments of different vocabularies share, so that one policy serves them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Descriptors:
    """Fixed descriptions of the columns of a layout; similar columns, as of similar elements, have similar descriptors.

    Attributes:
        features: (n_features, p) float32.
        summary: (n_summary, q) float32.
        forward: (n_forward, r) float32.
    """

    features: Tensor
    summary: Tensor
    forward: Tensor


@dataclass(frozen=True)
class StageLayout:
    """Places of a stage's columns in a wider layout, which environments of different vocabularies share.

    Attributes:
        n_features, n_summary: columns of the layout's features and summaries.
        n_forward, n_backward: actions of the layout in the two directions.
        features, summary: (columns of the stage,) int64 places in the layout.
        forward, backward: (actions of the stage,) int64 places in the layout.
        describe: makes the descriptors of the layout, for policies that use them.
    """

    n_features: int
    n_summary: int
    n_forward: int
    n_backward: int
    features: Tensor
    summary: Tensor
    forward: Tensor
    backward: Tensor
    describe: Callable[[], Descriptors]

    @property
    def sizes(self) -> tuple[int, int, int, int]:
        """Columns and actions of the layout."""
        return self.n_features, self.n_summary, self.n_forward, self.n_backward
