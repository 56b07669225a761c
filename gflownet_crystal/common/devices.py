"""Devices and threads that tensor operations run on."""

from __future__ import annotations

import re
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any, TypeVar

import torch
from torch import Tensor

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.common.moving import CopiedToDevice
from gflownet_crystal.common.values import thread_count

_Table = TypeVar("_Table", bound=Tensor | CopiedToDevice)

_DEVICE = re.compile(r"auto|cpu|cuda(:[0-9]{1,3})?")

_IN_STEP = frozenset({"cpu"})
"""Kinds of devices on which the host computes itself."""


def find_device(name: object) -> torch.device:
    """The device of a name; ``auto`` is a GPU if there is one.

    Raises:
        ConfigError: unknown, or not on this machine.
    """
    if not isinstance(name, str) or not _DEVICE.fullmatch(name):
        raise ConfigError(f"device must be auto, cpu, cuda or cuda:N for the GPU of number N, not {name!r}")
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.zeros(0, device=name).device
    except (RuntimeError, AssertionError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(
            f"device {name!r} cannot be used here ({reason}); give auto, cpu or cuda"
        ) from error


def runs_ahead(device: torch.device) -> bool:
    """Whether operations of a device end after the host has asked for them, so that a read of values means a wait."""
    return device.type not in _IN_STEP


def asks_in(step: int, device: torch.device) -> bool:
    """Whether a loop asks in a step whether it is done: in each on a CPU, in every fourth where the host would wait."""
    return not runs_ahead(device) or step % 4 == 3


def on_device(table: _Table, device: torch.device) -> _Table:
    """A constant table, or several that are copied together, on a device.

    They are copied there once, as the host waits for each copy, and kept: give objects that exist as long as the
    program.
    """
    if isinstance(table, Tensor) and table.device == device:
        return table
    copied: _Table = _copied(table, device)
    return copied


@cache
def _copied(table: Any, device: torch.device) -> Any:
    return table.to(device)


def set_threads(threads: object) -> None:
    """Limit the CPU threads of tensor operations, if a number is given.

    Raises:
        ConfigError: not a positive whole number.
    """
    if threads is None:
        return
    torch.set_num_threads(thread_count(threads))


def autocast(device: torch.device, half: bool) -> AbstractContextManager[object]:
    """Matrix products in bfloat16, if asked for and if the device has instructions for it.

    Without them a training in bfloat16 is many times slower than in float32, and no more is gained.
    """
    return torch.autocast(device.type, torch.bfloat16) if half and _has_bfloat16(device) else nullcontext()


def _has_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
