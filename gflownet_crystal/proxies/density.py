"""Mass density of a spec, which follows from composition and cell without any model."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from gflownet_crystal.proxies.base import Proxy
from gflownet_crystal.structures.elements import atomic_masses
from gflownet_crystal.structures.spec import CrystalSpec

GRAMS_PER_CM3 = 1.66053906892
"""One atomic mass unit for each cubic ångström (CODATA 2022)."""


class Density(Proxy):
    """Mass of the conventional cell's atoms over its volume."""

    property_name: ClassVar[str] = "density"
    unit: ClassVar[str] = "g/cm3"

    def predict(self, batch: CrystalSpec) -> Tensor:
        """Densities (n,) float64, g/cm3.

        Args:
            batch: n specs.
        """
        masses = torch.from_numpy(atomic_masses()).to(batch.device)
        return GRAMS_PER_CM3 * (batch.composition.double() @ masses) / batch.volume
