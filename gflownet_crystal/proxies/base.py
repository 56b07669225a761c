"""The contract of a proxy: objects in, one property value an object out, with an uncertainty if it has one.

A proxy of the user's own subclasses :class:`Proxy`, states ``property_name`` and ``unit``, and writes ``predict``::

    class Density(Proxy):
        property_name = "density"
        unit = "g/cm3"

        def predict(self, batch):
            return mass(batch) / batch.volume
"""

from __future__ import annotations

import traceback
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from gflownet_crystal.common.errors import GFlowNetCrystalError, ProxyError
from gflownet_crystal.common.moving import MovedToDevice


@dataclass(frozen=True)
class Prediction:
    """Predictions of a proxy for n objects.

    Attributes:
        value: (n,) float64, in the proxy's unit.
        std: (n,) float64, one standard deviation in the same unit; zeros if the proxy knows none.
        valid: (n,) bool; False where ``value`` or ``std`` is not finite. Such values never reach a reward unseen.
        penalised: (n,) bool; True where ``value`` is a penalty for objects that the proxy cannot judge.
        unplaced: (n,) bool; True where that is because no atoms could be placed; None where the proxy places none.
        parts: predictions of each of several proxies by its name; empty for one proxy.
    """

    value: Tensor
    std: Tensor
    valid: Tensor
    penalised: Tensor
    unplaced: Tensor | None = None
    parts: Mapping[str, Prediction] = field(default_factory=dict)


class Proxy(MovedToDevice, ABC):
    """Base of proxies.

    Class attributes to state:
        input_kind: kind of object, equal to the environment's ``produces`` (``specs``: a ``CrystalSpec`` batch).
        property_name: name of the property that ``predict`` returns, e.g. ``formation_energy_per_atom``.
        unit: unit of the value, e.g. ``eV/atom``.

    ``predict`` gives each object a value that depends on that object alone: not on its neighbours in the batch, its
    position or the batch size. It must not change its input, draw from the global random state or need gradients.
    """

    input_kind: ClassVar[str] = "specs"
    property_name: ClassVar[str]
    unit: ClassVar[str]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Read the former name of ``input_kind`` in a class that still has it."""
        super().__init_subclass__(**kwargs)
        if "eats" in vars(cls) and "input_kind" not in vars(cls):
            warnings.warn(
                f"`{cls.__qualname__}.eats` is now called `input_kind`; rename it",
                DeprecationWarning,
                stacklevel=2,
            )
            cls.input_kind = vars(cls)["eats"]

    @abstractmethod
    def predict(self, batch: Any) -> Tensor | tuple[Tensor, Tensor]:
        """(n,) values, or a pair of (n,) values and (n,) standard deviations, in ``unit``."""

    def __call__(self, batch: Any) -> Prediction:
        """Predict and check.

        Args:
            batch: n objects of the kind :attr:`input_kind`.

        Raises:
            ProxyError: ``predict`` fails, or its result is not one real value an object, with a standard deviation that
                is not negative.
        """
        with torch.no_grad(), naming_the_object(f"proxy {type(self).__name__}", self.predict, batch):
            result = self.predict(batch)
        return self._prediction(result, batch)

    def _prediction(self, result: Any, batch: Any, penalised: Tensor | None = None) -> Prediction:
        """Checked result of :meth:`predict` for the objects of a batch."""
        name = f"proxy {type(self).__name__}"
        if isinstance(result, tuple) and len(result) != 2:
            raise ProxyError(
                f"{name} returned {len(result)} columns; it must return the values, or the pair of values and "
                "standard deviations"
            )
        value, std = result if isinstance(result, tuple) else (result, None)
        value = checked_column(value, len(batch), name)
        std = torch.zeros_like(value) if std is None else checked_column(std, len(batch), name)
        if bool((std < 0.0).any()):
            row = int((std < 0.0).nonzero()[0])
            raise ProxyError(
                f"{name} gave the standard deviation {float(std[row])} for row {row}: {object_name(batch, row)}; "
                "none is negative: correct the proxy"
            )
        valid = torch.isfinite(value) & torch.isfinite(std)
        return Prediction(value, std, valid, torch.zeros_like(valid) if penalised is None else penalised)


def checked_column(column: Any, n: int, name: str) -> Tensor:
    """A column of one real number an object, as (n,) float64 without gradient.

    Args:
        column: values as returned by a class of the user's.
        n: number of objects.
        name: name of that class, for the message.

    Raises:
        ProxyError: no tensor, of another shape, or not of real numbers.
    """
    if not isinstance(column, Tensor):
        raise ProxyError(f"{name} must return torch tensors, not {type(column).__name__}")
    if tuple(column.shape) != (n,):
        raise ProxyError(f"{name} returned shape {tuple(column.shape)} for {n} objects; it must be ({n},)")
    if column.is_complex() or column.dtype == torch.bool:
        raise ProxyError(f"{name} returned {column.dtype}; it must return real numbers, as torch.float64")
    return column.detach().double()


@contextmanager
def naming_the_object(name: str, function: Callable[[Any], Any], batch: Any) -> Iterator[None]:
    """Turn an error of a class of the user's into one line that names the first object it fails for.

    Args:
        name: name of the class, for the message.
        function: that is called with the batch; called again with parts of it to find the object.
        batch: n objects.

    Raises:
        ProxyError: in place of any error that the package does not know; errors of memory stay as they are.
    """
    try:
        yield
    except (GFlowNetCrystalError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        place = f"{Path(frames[-1].filename).name}, line {frames[-1].lineno}"
        reason = " ".join(str(error).split()) or "no message"
        row = _failing_row(function, batch)
        about = (
            f"all {len(batch)} objects together" if row is None else f"row {row}: {object_name(batch, row)}"
        )
        raise ProxyError(
            f"{name} failed with {type(error).__name__} ({reason}; {place}) for {about}"
        ) from error


def _failing_row(function: Callable[[Any], Any], batch: Any) -> int | None:
    """The first row of one half after the other that fails, alone in the end; None if no half does."""
    first, n = 0, len(batch)
    while n > 1:
        half = n // 2
        if _fails(function, batch[first : first + half]):
            n = half
        elif _fails(function, batch[first + half : first + n]):
            first, n = first + half, n - half
        else:
            return None
    return first if n else None


def _fails(function: Callable[[Any], Any], batch: Any) -> bool:
    try:
        function(batch)
    except Exception:
        return True
    return False


def object_name(batch: Any, row: int) -> str:
    """An object of a batch in words: its formula where it has one."""
    one = batch[row : row + 1]
    return " ".join(str(one.formulas()[0] if hasattr(one, "formulas") else one).split())
