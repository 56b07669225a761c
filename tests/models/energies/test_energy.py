"""Energies of structures: elements' part, scale, batches."""

from __future__ import annotations

import pytest
import torch

from gflownet_crystal.common.errors import ConfigError, DataError
from gflownet_crystal.models.energies.energy import EnergyModel
from gflownet_crystal.models.registry import NETWORKS, build_network
from gflownet_crystal.structures.convert import from_pymatgen
from gflownet_crystal.structures.structure import StructureBatch
from tests.data.crystals import conventional_structures

SMALL = {
    "alignn": {"width": 16, "embedding": 8, "alignn_layers": 1, "gcn_layers": 1},
    "gemsnet": {"n_blocks": 1, "n_radial": 16, "graph": {"cutoff": None, "neighbours": 8}, "lattice": False},
}


@pytest.fixture(scope="module")
def crystals() -> StructureBatch:
    return from_pymatgen(conventional_structures())


@pytest.mark.parametrize("name", SMALL)
def test_an_energy_is_the_same_alone_and_in_any_batch(name: str, crystals: StructureBatch) -> None:
    model = EnergyModel(build_network(name, SMALL[name]))
    whole = model.energies(crystals)
    for atoms in (1, 30):
        torch.testing.assert_close(model.energies(crystals, atoms), whole, rtol=0, atol=1e-5)


def test_elements_energies_solve_a_linear_target(crystals: StructureBatch) -> None:
    model = EnergyModel(build_network("alignn", SMALL["alignn"]))
    composition = crystals.composition.double()
    fractions = composition / composition.sum(1, keepdim=True)
    per_element = torch.linspace(-5.0, 3.0, fractions.shape[1], dtype=torch.float64)
    target = fractions @ per_element
    model.fit_elements(crystals, target)
    fitted = fractions @ model.element_energy.double()
    assert float((fitted - target).abs().max()) < 0.05
    assert float(model.scale) < 0.05
    # with no scale, nothing of the network is left
    model.scale.zero_()
    torch.testing.assert_close(model.energies(crystals), fitted, rtol=0, atol=1e-5)


def test_a_network_without_energies_and_unknown_settings_are_refused(crystals: StructureBatch) -> None:
    with pytest.raises(DataError, match="no energy heads"):
        EnergyModel(build_network("egnn", {})).energies(crystals[:1])
    with pytest.raises(ConfigError, match=f"choose one of {', '.join(NETWORKS)}"):
        build_network("schnet", {})
    with pytest.raises(
        ConfigError, match=r"model\.settings\.graph: GraphSettings takes no cut; it takes cutoff"
    ):
        build_network("alignn", {"graph": {"cut": 5.0}})
