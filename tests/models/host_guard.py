"""Modes that notice operations for which the host would have to wait for the device."""

from __future__ import annotations

import sys
from collections import Counter
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

# results or decisions that the host needs: values, or sizes that depend on values
ASKING = {
    "_local_scalar_dense", "item", "nonzero", "masked_select", "bincount", "_unique2", "unique_dim",
    "unique_consecutive", "is_nonzero", "equal", "histc", "_linalg_check_errors",
}  # fmt: skip


def wait_of(func: Any, args: Any, kwargs: Any) -> str | None:
    """Reason for a wait of the host in an operation; None for no wait."""
    name = func.overloadpacket.__name__
    if name in ASKING:
        return f"{name} waits for the device"
    if name == "repeat_interleave" and isinstance(args[0], Tensor) and func._overloadname == "Tensor":
        return "repeat_interleave waits for the device"
    if name in ("index", "index_put", "index_put_", "_index_put_impl_") and any(
        isinstance(index, Tensor) and index.dtype == torch.bool for index in args[1]
    ):
        return "a mask as an index waits for the device"
    target = kwargs.get("device")
    if name == "_to_copy" and target is not None and torch.device(target) != args[0].device:
        return "a tensor is moved to another device"
    return None


class HostGuard(TorchDispatchMode):
    """Raises at operations that need the host."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if (reason := wait_of(func, args, kwargs or {})) is not None:
            raise AssertionError(reason)
        return func(*args, **(kwargs or {}))


class HostWaits(TorchDispatchMode):
    """Counts operations that need the host, by the line of this package that asks for them.

    Attributes:
        lines: number of waits by file, line and function.
    """

    def __init__(self) -> None:
        super().__init__()
        self.lines: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if wait_of(func, args, kwargs or {}) is not None:
            self.lines[_place()] += 1
        return func(*args, **(kwargs or {}))


def _place() -> str:
    """The innermost line of this package that runs; backward passes have none."""
    frame = sys._getframe()
    while (caller := frame.f_back) is not None:
        frame = caller
        path = frame.f_code.co_filename
        if "/gflownet_crystal/" in path:
            inside = path.rpartition("/gflownet_crystal/")[2]
            return f"{inside}:{frame.f_lineno} {frame.f_code.co_name}"
    return "backward"
