"""Contract of the objects that a training has found, where finding them again has a cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from torch import Tensor


class History(Protocol):
    """Objects found by a training, and the cost of finding them again; a state that checkpoints keep."""

    def cost(self, objects: Any) -> Tensor:
        """Cost (n,) float64, taken off the log-rewards of n objects while training."""
        ...

    def remember(self, objects: Any) -> None:
        """Take note of objects that the training has found."""
        ...

    def state_dict(self) -> dict[str, Tensor]:
        """The state as named tensors."""
        ...

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a state."""
        ...
