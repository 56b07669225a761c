"""A guard that fails when an operation would have to wait for the device to tell the host something."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

# results or decisions that the host needs: values, or sizes that depend on values
ASKING = {
    "_local_scalar_dense", "item", "nonzero", "masked_select", "bincount", "_unique2", "unique_dim",
    "unique_consecutive", "is_nonzero", "equal", "histc", "_linalg_check_errors",
}  # fmt: skip


class HostGuard(TorchDispatchMode):
    """Raises at operations that need the host."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name in ASKING:
            raise AssertionError(f"{name} waits for the device")
        if name == "repeat_interleave" and isinstance(args[0], Tensor) and func._overloadname == "Tensor":
            raise AssertionError("repeat_interleave waits for the device")
        if name in ("index", "index_put", "index_put_") and any(
            isinstance(index, Tensor) and index.dtype == torch.bool for index in args[1]
        ):
            raise AssertionError("a mask as an index waits for the device")
        kwargs = kwargs or {}
        target = kwargs.get("device")
        if name == "_to_copy" and target is not None and torch.device(target) != args[0].device:
            raise AssertionError("a tensor is moved to another device")
        return func(*args, **kwargs)
