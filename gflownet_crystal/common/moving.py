"""Objects that hold tensors, moved from one device to another."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, Self

import torch
from torch import Tensor, nn


class MovedToDevice:
    """Base of objects whose tensors, networks and parts of this kind, also in tuples, move together, in place."""

    def to(self, device: torch.device | str) -> Self:
        """Move tensors and networks to ``device`` and return self."""
        for name, value in vars(self).items():
            if (moved := _moved(value, device)) is not value:
                setattr(self, name, moved)
        return self


def _moved(value: Any, device: torch.device | str) -> Any:
    if isinstance(value, Tensor | nn.Module | MovedToDevice):
        return value.to(device)
    return tuple(_moved(part, device) for part in value) if type(value) is tuple else value


class CopiedToDevice:
    """Base of frozen dataclasses whose tensors, and parts of this kind, are copied to a device together."""

    def to(self, device: torch.device | str) -> Self:
        """The same on ``device``."""
        held: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]
        moved = {name: x.to(device) for name, x in held.items() if isinstance(x, Tensor | CopiedToDevice)}
        return replace(self, **moved)  # type: ignore[type-var]
