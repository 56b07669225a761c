"""What proxies made of stored weights share: loading, weights in memory, and evaluation in batches."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Self

from torch import Tensor

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.proxies.base import Proxy
from gflownet_crystal.structures.spec import CrystalSpec
from gflownet_crystal.weights import load_weights


class StoredProxy(Proxy):
    """A formation energy of specs from a weights file; a subclass states ``kind`` and builds its networks.

    Args:
        weights: name of shipped weights or path of a ``.safetensors`` file with its card beside it.
        batch_size: specs evaluated at a time; bounds the memory, not the result.

    Raises:
        ConfigError: ``batch_size`` below 1.
        WeightsError: the weights are missing, corrupt or of another network.
    """

    kind: ClassVar[str]
    eats: ClassVar[str] = "specs"
    property_name: ClassVar[str] = "formation_energy_per_atom"
    unit: ClassVar[str] = "eV/atom"

    def __init__(self, weights: str | Path, batch_size: int) -> None:
        self._set(*load_weights(weights, self.kind), batch_size)

    @classmethod
    def of(cls, tensors: dict[str, Tensor], card: dict[str, Any], batch_size: int = 1024) -> Self:
        """A proxy from tensors in memory, such as a training just left.

        Raises:
            WeightsError: the tensors do not fit the card's network.
        """
        proxy = cls.__new__(cls)
        proxy._set(tensors, card, batch_size)
        return proxy

    def _set(self, tensors: dict[str, Tensor], card: dict[str, Any], batch_size: int) -> None:
        if batch_size < 1:
            raise ConfigError(f"batch_size must be at least 1, not {batch_size}")
        self.card, self.batch_size = card, batch_size
        self._build(tensors, card)

    @abstractmethod
    def _build(self, tensors: dict[str, Tensor], card: dict[str, Any]) -> None:
        """Set up the networks, or raise WeightsError."""

    def batches(self, specs: CrystalSpec) -> Iterator[CrystalSpec]:
        """The specs in parts of ``batch_size``; one empty part if there are none."""
        for start in range(0, max(len(specs), 1), self.batch_size):
            yield specs[start : start + self.batch_size]
