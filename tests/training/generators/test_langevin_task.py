"""Score matching: sites against pymatgen, no loss for exact answers, a loss of one for silence, and one that falls."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer
from torch import Tensor

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.models.langevin.dimenet_settings import DimeNetSettings
from gflownet_crystal.models.langevin.model import Noise, NoiseLevels, ScoreModel, Sites
from gflownet_crystal.structures.convert import from_pymatgen
from gflownet_crystal.structures.symmetry import find_space_groups
from gflownet_crystal.training.energies.labelled import LabelledStructures, Splits
from gflownet_crystal.training.generators.langevin_task import (
    LangevinTask,
    LangevinTaskSettings,
    inequivalent_sites,
)
from tests.data.crystals import conventional_structures

SMALL = DimeNetSettings(width=32, output=16, interaction=16, n_radial=8, n_orders=3, neighbours=16)


@pytest.fixture(scope="module")
def splits() -> Splits:
    structures = from_pymatgen([crystal.get_primitive_structure() for crystal in conventional_structures()])
    n = len(structures)
    text = np.full(n, "", dtype=np.str_)
    known = LabelledStructures(structures, torch.zeros(n, dtype=torch.float64), text, text, text)
    return Splits(known, known, known.take(np.zeros(n, dtype=bool)))


def test_sites_are_those_of_the_crystals(splits):
    sites = inequivalent_sites(splits.train.structures)
    expected = [
        len(SpacegroupAnalyzer(crystal, 0.05).get_symmetrized_structure().equivalent_sites)
        for crystal in conventional_structures()
    ]
    assert sites.n_atoms.tolist() == expected
    assert sites.space_group.tolist() == find_space_groups(splits.train.structures).tolist()


class Silent(ScoreModel):
    """Sees no noise."""

    def forward(self, sites: Sites, fractional: Tensor, cell: Tensor, level: Tensor) -> Noise:
        return Noise(torch.zeros_like(fractional), torch.zeros(len(cell), 3, dtype=torch.float64))


@pytest.mark.parametrize("mode", ["spec", "paper"])
def test_silence_costs_one(splits, mode):
    task = LangevinTask(Silent(SMALL), splits, LangevinTaskSettings(mode, 1.0))
    sums = {"position": [], "lattice": []}
    for seed in range(150):
        losses = task.losses(torch.arange(len(task.sites)), torch.Generator().manual_seed(seed))
        for name, loss in losses.items():
            sums[name].append(loss)
    # nine free coordinates at the least, so a standard error of a few percent
    assert abs(float(torch.stack(sums["position"]).mean()) - 1) < 0.07
    # noise that would make cells too short is cut off
    assert 0.8 < float(torch.stack(sums["lattice"]).mean()) < 1.1


def test_crystals_without_a_free_coordinate_are_left_out_of_positions(splits):
    task = LangevinTask(Silent(SMALL), splits, LangevinTaskSettings())
    assert not set(task.sites.space_group.tolist()) & {225, 221, 216}
    assert len(task.sites) == 5


class Knowing(ScoreModel):
    """Compares with the clean sites: what a perfect network would say at small noise."""

    def __init__(self, clean: Tensor, cells: Tensor) -> None:
        super().__init__(SMALL, NoiseLevels(first=0.2, last=0.01))
        self.clean, self.cells = clean, cells

    def forward(self, sites: Sites, fractional: Tensor, cell: Tensor, level: Tensor) -> Noise:
        owner = sites.structure_index
        shift = ((fractional - self.clean)[:, None] @ cell[owner])[:, 0]
        lengths = [10 * torch.log(torch.expm1(x.norm(dim=2) / 10)) for x in (cell, self.cells)]
        strain = (lengths[0] - lengths[1]) / self.levels.lattice()[level][:, None]
        return Noise(shift / self.levels.positions()[level][owner][:, None], strain)


def test_knowing_the_crystals_costs_nothing(splits):
    sites = inequivalent_sites(splits.train.structures)
    task = LangevinTask(Knowing(sites.fractional, sites.cell), splits, LangevinTaskSettings("paper", 1.0))
    losses = task.losses(torch.arange(len(sites)), torch.Generator().manual_seed(0))
    assert losses["position"] < 1e-12
    assert losses["lattice"] < 1e-12


def test_noise_in_spec_mode_is_in_free_directions(splits):
    sites = inequivalent_sites(splits.train.structures)
    task = LangevinTask(Silent(SMALL), splits, LangevinTaskSettings("spec", 1.0))
    seen = []

    class Watching(Silent):
        def forward(self, sites: Sites, fractional: Tensor, cell: Tensor, level: Tensor) -> Noise:
            seen.append(fractional)
            return super().forward(sites, fractional, cell, level)

    task.model = Watching(SMALL)
    task.losses(torch.arange(len(sites)), torch.Generator().manual_seed(1))
    moved = (seen[0] - sites.fractional).abs() > 1e-9
    # rock salt does not move, titanium of rutile neither, its oxygen only along x = y
    assert not moved[:2].any()
    rutile = (sites.structure_index == sites.space_group.tolist().index(136)).nonzero()[:, 0]
    oxygen = rutile[sites.atomic_numbers[rutile] == 8]
    assert moved[oxygen, :2].all() and not moved[oxygen, 2].any()
    shift = (seen[0] - sites.fractional)[oxygen][0]
    assert torch.isclose(shift[0].abs(), shift[1].abs())


def test_a_network_learns(splits):
    torch.manual_seed(0)
    task = LangevinTask(ScoreModel(SMALL, NoiseLevels(first=0.3, last=0.05)), splits, LangevinTaskSettings())
    optimizer = torch.optim.Adam(task.model.parameters(), lr=3e-3)
    before = task.validate()["position"]
    for step in range(60):
        optimizer.zero_grad()
        losses = task.losses(torch.arange(len(task.sites)).repeat(4), torch.Generator().manual_seed(step))
        torch.stack(list(losses.values())).sum().backward()
        optimizer.step()
    assert task.validate()["position"] < 0.6 * before


@pytest.mark.parametrize("change", [{"mode": "both"}, {"lattice_weight": -1.0}, {"validated": 0}])
def test_settings_are_checked(change):
    with pytest.raises(ConfigError, match=next(iter(change))):
        LangevinTaskSettings(**change)
