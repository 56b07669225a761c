"""The contract of the composition's masks."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor

from gflownet_crystal.common.moving import MovedToDevice


class CompositionMasks(MovedToDevice, ABC):
    """Answers about compositions in space groups; counts are (n, E) int64 of the vocabulary, groups (n,) int64."""

    first: Tensor
    """(231, E, K) bool; allowed first actions in each space group, index ``count - 1``."""

    @abstractmethod
    def forward(self, counts: Tensor, group: Tensor) -> tuple[Tensor, Tensor]:
        """Allowed actions of compositions of at least one element that the source reaches.

        Returns:
            (n, E, K) bool, elements and counts to add; (n,) bool, whether the composition is a valid whole.
        """

    @abstractmethod
    def removable(self, counts: Tensor, group: Tensor) -> Tensor:
        """(n, E) bool; elements whose removal leaves the source or a composition that the source reaches."""

    @abstractmethod
    def reached(self, counts: Tensor, group: Tensor) -> Tensor:
        """(n,) bool; valid wholes that the source reaches, of any counts whatever."""

    @property
    def fillable(self) -> Tensor:
        """(231,) bool; space groups that some composition fits."""
        return self.first.any(dim=(1, 2))
