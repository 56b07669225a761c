"""Common parts of proxies with stored weights: loading, weights in memory, and evaluation in batches."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from gflownet_crystal.common.devices import runs_ahead
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.common.run_schema import ENERGY_COLUMN
from gflownet_crystal.proxies.base import Proxy
from gflownet_crystal.structures.spec import CrystalSpec
from gflownet_crystal.weights import load_weights

_FEWEST_ROWS = 32


class StoredProxy(Proxy):
    """A formation energy of specs from a weights file; a subclass states ``kind`` and builds its networks.

    Args:
        weights: name of shipped weights or path of a ``.safetensors`` file with its card beside it.
        batch_size: specs evaluated at a time; bounds the memory, not the result. None for all of a batch on a GPU, and
            ``cpu_batch_size`` on a CPU, whose caches hold no more.

    Raises:
        ConfigError: ``batch_size`` below 1.
        WeightsError: the weights are missing, corrupt or of another network.
    """

    kind: ClassVar[str]
    cpu_batch_size: ClassVar[int] = 1024
    input_kind: ClassVar[str] = "specs"
    property_name: ClassVar[str] = ENERGY_COLUMN
    unit: ClassVar[str] = "eV/atom"

    def __init__(self, weights: str | Path, batch_size: int | None = None) -> None:
        self._set(*load_weights(weights, self.kind), batch_size)

    @classmethod
    def of(cls, tensors: dict[str, Tensor], card: dict[str, Any], batch_size: int | None = None) -> Self:
        """A proxy from tensors in memory, such as a training just left.

        Raises:
            WeightsError: the tensors do not fit the card's network.
        """
        proxy = cls.__new__(cls)
        proxy._set(tensors, card, batch_size)
        return proxy

    def _set(self, tensors: dict[str, Tensor], card: dict[str, Any], batch_size: int | None) -> None:
        if batch_size is not None and batch_size < 1:
            raise ConfigError(f"batch_size must be at least 1 or null, not {batch_size}")
        self.card, self.batch_size = card, batch_size
        self._build(tensors, card)

    @abstractmethod
    def _build(self, tensors: dict[str, Tensor], card: dict[str, Any]) -> None:
        """Set up the networks, or raise WeightsError."""

    def batches(self, specs: CrystalSpec) -> Iterator[CrystalSpec]:
        """The specs in parts; one empty part if there are none."""
        size = self.rows_at_a_time(len(specs), specs.device)
        for start in range(0, max(len(specs), 1), size):
            yield specs[start : start + size]

    def rows_at_a_time(self, n: int, device: torch.device) -> int:
        """Specs of n that are evaluated at a time on a device; at least 1."""
        if self.batch_size is not None:
            return self.batch_size
        # a GPU is used well by one large call only
        return max(n, 1) if runs_ahead(device) else self.cpu_batch_size


def repeated(specs: CrystalSpec) -> CrystalSpec:
    """Specs, a few of them repeated to 32 rows: matrix products of few rows round otherwise than those of many."""
    n = len(specs)
    return specs[torch.arange(_FEWEST_ROWS, device=specs.device) % n] if 0 < n < _FEWEST_ROWS else specs
