"""Densities of specs are those of the crystals."""

from __future__ import annotations

import pytest
import torch
from pymatgen.core import Lattice, Structure

from gflownet_crystal.proxies.density import Density
from gflownet_crystal.structures.spec import CrystalSpec
from gflownet_crystal.testing import check_proxy


def test_densities_are_those_of_pymatgen() -> None:
    crystals = [
        Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]),
        Structure.from_spacegroup(
            "R-3m", Lattice.hexagonal(4.38, 7.98), ["Bi", "Te"], [[0, 0, 0], [0, 0, 0.3]]
        ),
    ]
    composition = torch.zeros(2, 119, dtype=torch.int64)
    for row, crystal in enumerate(crystals):
        for site in crystal:
            composition[row, site.specie.Z] += 1
    abc = torch.tensor([crystal.lattice.abc for crystal in crystals], dtype=torch.float64)
    angles = torch.tensor([crystal.lattice.angles for crystal in crystals], dtype=torch.float64)
    specs = CrystalSpec(torch.tensor([225, 166]), composition, abc, angles)
    assert Density()(specs).value.tolist() == pytest.approx([float(c.density) for c in crystals], rel=1e-5)


def test_the_contract_is_kept() -> None:
    check_proxy(Density())
