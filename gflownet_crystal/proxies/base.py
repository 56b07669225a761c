"""The contract of a proxy: objects in, one property value an object out, with an uncertainty if it has one.

A proxy of the user's own subclasses :class:`Proxy`, states ``property_name`` and ``unit``, and writes ``predict``::

    class Density(Proxy):
        property_name = "density"
        unit = "g/cm3"

        def predict(self, batch):
            return mass(batch) / batch.volume
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from gflownet_crystal.common.errors import ProxyError


@dataclass(frozen=True)
class Prediction:
    """What a proxy says of n objects.

    Attributes:
        value: (n,) float64, in the proxy's unit.
        std: (n,) float64, one standard deviation in the same unit; zeros if the proxy knows none.
        valid: (n,) bool; False where ``value`` or ``std`` is not finite. Such values never reach a reward unseen.
        penalised: (n,) bool; True where ``value`` is a penalty that the proxy gives to what it cannot judge.
    """

    value: Tensor
    std: Tensor
    valid: Tensor
    penalised: Tensor


class Proxy(ABC):
    """Base of proxies.

    Class attributes to state:
        eats: kind of object, equal to the environment's ``produces`` (``specs``: a ``CrystalSpec`` batch).
        property_name: what ``predict`` returns, e.g. ``formation_energy_per_atom``.
        unit: of the value, e.g. ``eV/atom``.

    ``predict`` gives each object a value that depends on that object alone: not on its neighbours in the batch, its
    position or the batch size. It must not change its input, draw from the global random state or need gradients.
    """

    eats: ClassVar[str] = "specs"
    property_name: ClassVar[str]
    unit: ClassVar[str]

    @abstractmethod
    def predict(self, batch: Any) -> Tensor | tuple[Tensor, Tensor]:
        """(n,) values, or a pair of (n,) values and (n,) standard deviations, in ``unit``."""

    def to(self, device: torch.device | str) -> Self:
        """Move to a device; proxies with tensors override it."""
        return self

    def __call__(self, batch: Any) -> Prediction:
        """Predict and check.

        Args:
            batch: n objects of the kind ``eats``.

        Raises:
            ProxyError: the result does not have one real value an object, or a standard deviation is below 0.
        """
        with torch.no_grad():
            result = self.predict(batch)
        return self._prediction(result, len(batch))

    def _prediction(self, result: Any, n: int, penalised: Tensor | None = None) -> Prediction:
        """What :meth:`predict` returned of n objects, checked."""
        if isinstance(result, tuple) and len(result) != 2:
            raise ProxyError(
                f"proxy {type(self).__name__} returned {len(result)} tensors; give values, or values and their std"
            )
        value, std = result if isinstance(result, tuple) else (result, None)
        value = self._checked(value, n)
        std = torch.zeros_like(value) if std is None else self._checked(std, n)
        if bool((std < 0).any()):
            row = int((std < 0).nonzero()[0])
            raise ProxyError(
                f"proxy {type(self).__name__} returned a standard deviation below 0 ({float(std[row])}) for object "
                f"{row} of {n}; it must be at least 0"
            )
        valid = torch.isfinite(value) & torch.isfinite(std)
        return Prediction(value, std, valid, torch.zeros_like(valid) if penalised is None else penalised)

    def _checked(self, column: Tensor, n: int) -> Tensor:
        name = type(self).__name__
        if not isinstance(column, Tensor):
            raise ProxyError(f"proxy {name} must return torch tensors, not {type(column).__name__}")
        if tuple(column.shape) != (n,):
            raise ProxyError(
                f"proxy {name} returned shape {tuple(column.shape)} for {n} objects; it must be ({n},)"
            )
        if column.is_complex():
            raise ProxyError(
                f"proxy {name} returned complex numbers ({column.dtype}); give real ones, as value.real"
            )
        return column.detach().double()
