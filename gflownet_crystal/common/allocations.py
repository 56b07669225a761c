"""A limit on the tensors that are made in a block of code."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

_SPARE = 20_000_000
_TIMES = 8
_OF_SIZES = (torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn, torch.randint)


@contextmanager
def at_most(stored: int | None) -> Iterator[None]:
    """Limit of the memory that a network may allocate while it is built for stored tensors.

    Sizes that a damaged card asks for are refused before their memory is taken.

    Args:
        stored: number of elements of the tensors; None for no limit.

    Raises:
        ValueError: the network asks for more than 8 times as many plus 20 million.
    """
    with nullcontext() if stored is None else _Limit(_TIMES * stored + _SPARE):
        yield


def elements_of(tensors: Mapping[str, Tensor]) -> int:
    """Number of elements of named tensors."""
    return sum(tensor.numel() for tensor in tensors.values())


class _Limit(TorchFunctionMode):
    """Counts the elements of new tensors.

    A mode of Python functions: one of operators would import the compiler of torch, 1.4 s of a core.

    Args:
        most: elements in all.
    """

    def __init__(self, most: int) -> None:
        super().__init__()
        self.left = most

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = kwargs or {}
        self.left -= _elements(func, args, given)
        if self.left < 0:
            raise ValueError("its sizes are far larger than the tensors of the file")
        return func(*args, **given)


def _elements(func: Any, args: tuple[Any, ...], given: Mapping[str, Any]) -> int:
    """Elements that a call of a factory asks for; 0 for other functions."""
    if func in _OF_SIZES:
        sizes = given.get("size") or next((arg for arg in args if isinstance(arg, list | tuple)), args)
        return math.prod(int(size) for size in sizes)
    if func is torch.eye:
        return int(args[0] * args[-1])
    if func is torch.linspace:
        return int(given.get("steps", args[-1]))
    if func is torch.arange:
        start, end, step = (0, *args, 1) if len(args) == 1 else (*args, 1)[:3]
        return math.ceil((end - start) / step)
    return 0
