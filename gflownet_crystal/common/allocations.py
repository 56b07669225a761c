"""A limit on the tensors that are made in a block of code."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

_SPARE = 20_000_000
_TIMES = 8
_SIZED = ("empty", "zeros", "ones", "full", "rand", "randn", "arange", "linspace", "eye", "randint")


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


class _Limit(TorchDispatchMode):
    """Counts the elements of new tensors.

    Args:
        most: elements in all.
    """

    def __init__(self, most: int) -> None:
        super().__init__()
        self.left = most

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name = func.overloadpacket.__name__
        if name in _SIZED:
            self.left -= _elements(name, args)
            if self.left < 0:
                raise ValueError("its sizes are far larger than the tensors of the file")
        return func(*args, **(kwargs or {}))


def _elements(name: str, args: tuple[Any, ...]) -> int:
    """Elements that a call of a factory asks for."""
    if name in ("arange", "eye"):
        return int(math.prod(size for size in args if isinstance(size, int)) if name == "eye" else args[-1])
    if name == "linspace":
        return int(args[2])
    sizes = next((arg for arg in args if isinstance(arg, list | tuple)), ())
    return math.prod(int(size) for size in sizes)
