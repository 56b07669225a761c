"""Objects that hold tensors, moved from one device to another."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, Self

import torch
from torch import Tensor, nn


class MovedToDevice:
    """Base of objects whose tensors, networks and parts of this kind move together, in place."""

    def to(self, device: torch.device | str) -> Self:
        """Move tensors and networks to ``device`` and return self."""
        for name, value in vars(self).items():
            if isinstance(value, Tensor | nn.Module | MovedToDevice):
                setattr(self, name, value.to(device))
        return self


class CopiedToDevice:
    """Base of frozen dataclasses whose tensors, and parts of this kind, are copied to a device together."""

    def to(self, device: torch.device | str) -> Self:
        """The same on ``device``."""
        held: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]
        moved = {name: x.to(device) for name, x in held.items() if isinstance(x, Tensor | CopiedToDevice)}
        return replace(self, **moved)  # type: ignore[type-var]
