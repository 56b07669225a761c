"""Batches of tensors with named fields: the one shape in which states, specs and structures travel."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Self

import torch
from torch import Tensor

from gflownet_crystal.common.errors import DataError

Rows = Tensor | slice


@dataclass(frozen=True)
class TensorBatch:
    """Base of frozen dataclasses whose fields are all tensors with one leading batch dimension.

    A subclass only declares its fields; indexing, concatenation and device moves come from here.
    """

    def __len__(self) -> int:
        return int(self._tensors()[0].shape[0])

    def __getitem__(self, rows: Rows) -> Self:
        """Rows selected by an index tensor, a boolean mask or a slice."""
        if isinstance(rows, Tensor) and rows.dtype == torch.bool:
            # the host waits for a GPU once, not once for each field
            rows = rows.nonzero()[:, 0]
        return self.map(lambda tensor: tensor[rows])

    @property
    def device(self) -> torch.device:
        """Device of the first field; all fields share it."""
        return self._tensors()[0].device

    def to(self, device: torch.device | str) -> Self:
        """The same batch on ``device``."""
        return self.map(lambda tensor: tensor.to(device))

    def map(self, function: Callable[[Tensor], Tensor]) -> Self:
        """A batch of the same type with ``function`` applied to each field."""
        return type(self)(*(function(tensor) for tensor in self._tensors()))

    def put(self, rows: Tensor, other: Self) -> Self:
        """This batch with ``rows`` (indices, no repeats) replaced by the rows of ``other``, field by field."""
        pairs = zip(self._tensors(), other._tensors(), strict=True)
        return type(self)(*(mine.index_copy(0, rows, theirs) for mine, theirs in pairs))

    @classmethod
    def cat(cls, batches: Sequence[Self]) -> Self:
        """The rows of ``batches`` one after the other."""
        columns = zip(*(batch._tensors() for batch in batches), strict=True)
        return cls(*(torch.cat(column) for column in columns))

    def to_dict(self) -> dict[str, Tensor]:
        """Fields by name, as for a safetensors file."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def _tensors(self) -> list[Tensor]:
        return [getattr(self, field.name) for field in fields(self)]


def check_tensors(
    batch: object, words: str, expected: Mapping[str, tuple[tuple[int, ...], torch.dtype]]
) -> None:
    """Check shapes and dtypes of tensors.

    Args:
        batch: object that has them as attributes.
        words: words before the name of an attribute, for the message.
        expected: shape and dtype by name.

    Raises:
        DataError: a tensor has another shape or dtype.
    """
    for name, (shape, dtype) in expected.items():
        tensor: Tensor = getattr(batch, name)
        if tuple(tensor.shape) != shape or tensor.dtype != dtype:
            raise DataError(
                f"{words} {name} is {tuple(tensor.shape)} {tensor.dtype}: it has to be {shape} {dtype}"
            )
