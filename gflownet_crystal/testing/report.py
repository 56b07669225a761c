"""Common parts of the checks: a list of faults, comparison of batches, guards of inputs and of global randomness."""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gflownet_crystal.common.errors import ContractError


class Faults:
    """Faults of one subject, each said once.

    Args:
        subject: name of the checked object in the report.
    """

    def __init__(self, subject: str) -> None:
        self.subject = subject
        self._found: dict[str, str] = {}

    def add(self, fault: str, example: str = "") -> None:
        """Note a fault; of several with the same text, the first example is kept."""
        self._found.setdefault(fault, f"{fault}: {example}" if example else fault)

    def add_rows(self, fault: str, wrong: Tensor) -> None:
        """Note a fault if any entry of the (n,) bool ``wrong`` is set, with the first such row as its example."""
        if bool(wrong.any()):
            self.add(fault, f"{int(wrong.sum())} of {len(wrong)} rows, first row {int(wrong.nonzero()[0])}")

    @contextmanager
    def stopping_at(self, what: str) -> Iterator[None]:
        """Turn an error inside the block into a fault; later checks of the block are left out."""
        try:
            yield
        except Exception as error:
            self.add(f"{what} raised {type(error).__name__}", str(error))

    def finish(self, raise_faults: bool) -> list[str]:
        """The faults as texts.

        Raises:
            ContractError: there are faults and ``raise_faults`` is set.
        """
        found = list(self._found.values())
        if found and raise_faults:
            raise ContractError(self.subject, found)
        return found


def tensors_of(value: Any) -> dict[str, Tensor]:
    """The tensors of a batch by name: a tensor itself, or the fields of a dataclass."""
    if isinstance(value, Tensor):
        return {"": value}
    if is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    raise TypeError(f"a batch is a tensor or a dataclass of tensors, not {type(value).__name__}")


def differing_rows(left: Any, right: Any, tolerance: float = 0.0) -> Tensor:
    """Rows in which two batches differ, (n,) bool; batches of other shapes or types differ in every row.

    Args:
        left: a tensor, or a dataclass of tensors with the batch in front.
        right: another.
        tolerance: allowed difference of floats, absolute below 1 and relative above. NaN equals NaN.
    """
    mine, theirs = tensors_of(left), tensors_of(right)
    n = max(_rows(mine), _rows(theirs))
    same_shapes = {k: v.shape for k, v in mine.items()} == {k: v.shape for k, v in theirs.items()}
    if type(left) is not type(right) or not same_shapes:
        return torch.ones(n, dtype=torch.bool)
    differs = torch.zeros(n, dtype=torch.bool, device=next(iter(mine.values())).device)
    for name, tensor in mine.items():
        close = _close(tensor, theirs[name], tolerance)
        differs |= ~close.reshape(n, math.prod(close.shape[1:])).all(dim=1)
    return differs


def _rows(tensors: dict[str, Tensor]) -> int:
    return max(len(tensor) if tensor.ndim else 1 for tensor in tensors.values())


def _close(left: Tensor, right: Tensor, tolerance: float) -> Tensor:
    equal = left == right
    if not left.is_floating_point():
        return equal
    scale = torch.maximum(left.abs(), right.abs()).clamp(min=1.0)
    return equal | (left.isnan() & right.isnan()) | ((left - right).abs() <= tolerance * scale)


def unchanged(before: Any, after: Any) -> bool:
    """Whether a value (nested tuples and dataclasses of tensors and arrays) is unchanged, bit for bit."""
    if isinstance(before, Tensor):
        return bool(
            before.shape == after.shape and before.dtype == after.dtype and _close(before, after, 0.0).all()
        )
    if is_dataclass(before):
        return all(unchanged(getattr(before, f.name), getattr(after, f.name)) for f in fields(before))
    if isinstance(before, np.ndarray):
        return np.array_equal(before, after)
    if isinstance(before, (tuple, list)):
        return len(before) == len(after) and all(unchanged(a, b) for a, b in zip(before, after, strict=True))
    return bool(before == after)


class Watched:
    """A stand-in for an object whose methods must not change their arguments.

    Args:
        target: the object.
        faults: list that changes are added to.
        where: words before the method's name.
    """

    def __init__(self, target: Any, faults: Faults, where: str) -> None:
        self._target, self._faults, self._where = target, faults, where

    def __getattr__(self, name: str) -> Any:
        member = getattr(self._target, name)
        if not callable(member):
            return member

        def call(*arguments: Any) -> Any:
            before = copy.deepcopy(arguments)
            result = member(*arguments)
            if not unchanged(before, arguments):
                self._faults.add(f"{self._where}{name} changes its input")
            return result

        return call


@contextmanager
def watching_global_randomness(faults: Faults, what: str) -> Iterator[None]:
    """Note a fault if the block draws from a global random state (torch, numpy, random); puts all of them back."""
    before = _random_states()
    try:
        yield
    finally:
        if not unchanged(before, _random_states()):
            faults.add(f"{what} draws from the global random state; use a generator of its own")
        torch.set_rng_state(before[0])
        np.random.set_state(before[1])  # noqa: NPY002
        random.setstate(before[2])


def _random_states() -> tuple[Any, Any, Any]:
    return torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002
