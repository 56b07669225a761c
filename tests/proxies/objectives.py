"""Proxies of given values, for tests of several objectives."""

from __future__ import annotations

import torch
from torch import Tensor

from gflownet_crystal.proxies import Proxy
from gflownet_crystal.structures.formulas import text_to_composition
from gflownet_crystal.structures.spec import CrystalSpec


def specs(n: int = 4) -> CrystalSpec:
    """Cubic cells of n formulas, the first known, the others not."""
    names = ("Na4 Cl4", "Na1 Ca3 S2 F17", "Li1 Ca3 S2 F17", "K1 Ca3 S2 F17")[:n]
    cell = torch.full((n, 3), 5.0).double(), torch.full((n, 3), 90.0).double()
    return CrystalSpec(torch.tensor([225, 1, 1, 1][:n]), text_to_composition(names), *cell)


class Given(Proxy):
    """Given values and standard deviations, whatever the objects."""

    property_name = "band_gap"
    unit = "eV"

    def __init__(self, values: list[float], std: float = 0.0) -> None:
        self.values, self.std = torch.tensor(values, dtype=torch.float64), std

    def predict(self, batch: CrystalSpec) -> tuple[Tensor, Tensor]:
        return self.values[: len(batch)], torch.full((len(batch),), self.std, dtype=torch.float64)


class AboveHull(Given):
    property_name = "e_above_hull"
    unit = "eV/atom"
