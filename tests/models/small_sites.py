"""Crystals of many groups as graphs of sites, for tests."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import torch
from pymatgen.core import Structure
from torch import Tensor

from gflownet_crystal.models.sites.settings import SiteSettings
from gflownet_crystal.structures.convert import from_pymatgen, to_pymatgen
from gflownet_crystal.training.generators.assignment_data import OccupiedSpecs
from gflownet_crystal.training.generators.site_data import SiteData
from tests.structures.conftest import CRYSTALS

SMALL = SiteSettings(width=16, vectors=4, n_layers=2, n_radial=8, n_relative=4, n_far=3, time_width=8)


@cache
def known_sites(settings: SiteSettings = SMALL) -> SiteData:
    """The known crystals."""
    structures = from_pymatgen([Structure.from_spacegroup(*crystal) for crystal in CRYSTALS.values()])
    found, rows = OccupiedSpecs.of(structures)
    assert len(rows) == len(CRYSTALS)
    return SiteData.of(found.specs, found.occupied, settings)


def sorted_distances(data: SiteData, parameters: Tensor) -> list[Tensor]:
    """All distances in each conventional cell by pymatgen, sorted: the same for the same crystal."""
    structures = replace(data.occupied, parameters=parameters).structures(
        data.lattices.cell, data.space_group
    )
    return [
        torch.from_numpy(structure.distance_matrix).flatten().sort().values
        for structure in to_pymatgen(structures)
    ]
