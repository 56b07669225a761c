"""Modes that notice operations for which the host would have to wait for the device."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from gflownet_crystal.common import devices

# results or decisions that the host needs: values, or sizes that depend on values
ASKING = {
    "_local_scalar_dense", "item", "nonzero", "masked_select", "bincount", "_unique2", "unique_dim",
    "unique_consecutive", "is_nonzero", "equal", "histc", "isin", "_linalg_check_errors",
}  # fmt: skip

# calls that copy from or to the host, which a CPU does not show in its operations
COPYING = {"tolist", "cpu", "numpy", "tensor", "as_tensor", "from_numpy"}

ON_THE_CPU = ("proxies/hull", "proxies/reference_hull", "proxies/chemical_systems", "proxies/known_compounds",
              "proxies/history")  # fmt: skip
"""Files that compute on the CPU whatever the device; only their copies from and to a device are waits."""

ON_THE_DEVICE = ("training/optimizer",)
"""Files that move only what is on the device already."""


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


@contextmanager
def as_on_a_gpu() -> Iterator[None]:
    """Compute on the CPU in the way in which a GPU is used: more rows, and fewer questions."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(devices, "_IN_STEP", frozenset())
        yield


class HostGuard(TorchDispatchMode):
    """Raises at operations that need the host."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if (reason := wait_of(func, args, kwargs or {})) is not None:
            raise AssertionError(reason)
        return func(*args, **(kwargs or {}))


class HostWaits(TorchDispatchMode):
    """Counts operations that need the host, by the line of this package that asks for them, and all operations.

    Attributes:
        lines: number of waits by file, line and function.
        n_operations: number of operations that compute; on a GPU each starts one kernel or more.
    """

    def __init__(self) -> None:
        super().__init__()
        self.lines: Counter[str] = Counter()
        self.n_operations = 0
        self._copies = _Copies(self._note_copy)

    def __enter__(self) -> HostWaits:
        self._copies.__enter__()
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self._copies.__exit__(*error)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        place = _place()
        if not place.startswith(ON_THE_CPU):
            self.n_operations += _computes(func)
            if wait_of(func, args, kwargs or {}) is not None:
                self.lines[place] += 1
        return func(*args, **(kwargs or {}))

    def _note_copy(self, name: str) -> None:
        place = _place()
        of_the_cpu = place.startswith(ON_THE_CPU) and name not in ("cpu", "to")
        if not of_the_cpu and not (name == "to" and place.startswith(ON_THE_DEVICE)):
            self.lines[place] += 1


class _Copies(TorchFunctionMode):
    """Tells a function of each copy from or to the host, by the name of the call."""

    def __init__(self, note: Callable[[str], None]) -> None:
        super().__init__()
        self.note = note

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        moves = name == "to" and any(isinstance(value, torch.device | str) for value in args[1:])
        if moves or name in COPYING:
            self.note(name)
        return func(*args, **(kwargs or {}))


def _computes(func: Any) -> bool:
    """Whether an operation is more than a view or an empty tensor."""
    name, returned = func.overloadpacket.__name__, func._schema.returns
    view = any(value.alias_info is not None and not value.alias_info.is_write for value in returned)
    return not view and not name.startswith(("empty", "new_empty", "detach"))


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
