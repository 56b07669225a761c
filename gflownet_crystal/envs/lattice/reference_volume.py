"""Volume that a composition would have if each atom brought its element's own: the zero of the volume coordinate."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files

import torch
from torch import Tensor

from gflownet_crystal.structures.elements import COVALENT_RADII, SYMBOLS

TABLE_NAME = "elemental_volumes.json"


@cache
def elemental_volumes() -> Tensor:
    """(119,) float64 Å^3 by atomic number; entry 0 is 0.

    Fitted to the volumes of known crystals by :mod:`gflownet_crystal.envs.lattice.build_elemental_volumes`.
    Elements without enough crystals get the cube of their covalent radius, scaled as the fitted elements are at the
    median.
    """
    fitted = json.loads(files(__package__).joinpath(TABLE_NAME).read_text(encoding="utf-8"))
    cubes = torch.from_numpy(COVALENT_RADII).nan_to_num() ** 3
    volumes = torch.tensor([fitted.get(symbol, torch.nan) for symbol in SYMBOLS], dtype=torch.float64)
    scale = (volumes / cubes)[~volumes.isnan()].median()
    return torch.where(volumes.isnan(), scale * cubes, volumes)


def reference_volume(composition: Tensor) -> Tensor:
    """Volume of the cell in Å^3, (n,) float64, from counts by atomic number (n, 119)."""
    return composition.double() @ elemental_volumes().to(composition.device)
