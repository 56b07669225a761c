"""The Langevin generators keep their contracts, whatever the network has learned."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from gflownet_crystal.common.errors import ConfigError, DataError, WeightsError
from gflownet_crystal.generators.draws import mix
from gflownet_crystal.generators.langevin import Langevin, PaperLangevin
from gflownet_crystal.generators.placing.annealing import anneal_positions
from gflownet_crystal.models.langevin.dimenet_settings import DimeNetSettings
from gflownet_crystal.models.langevin.model import KIND, NoiseLevels, Schedule, ScoreModel, Sites
from gflownet_crystal.structures.convert import from_pymatgen
from gflownet_crystal.structures.periodic_pairs import usable
from gflownet_crystal.structures.spec import CrystalSpec
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.structures.symmetry import conventional_structures, symmetry_error
from gflownet_crystal.weights import save_weights
from tests.data.crystals import conventional_structures as known_crystals

SMALL = DimeNetSettings(
    width=16, output=8, interaction=8, n_radial=6, n_orders=3, neighbours=16, n_blocks=1, cutoff=5.0
)


@pytest.fixture(scope="module")
def model() -> ScoreModel:
    return ScoreModel(SMALL, NoiseLevels(number=4), seed=1)


@pytest.fixture(scope="module")
def crystals() -> StructureBatch:
    return conventional_structures(from_pymatgen(known_crystals()))


@pytest.fixture(scope="module")
def specs(crystals: StructureBatch) -> CrystalSpec:
    return crystals.specs()


@pytest.mark.parametrize("ranking", [None, "assignments"])
def test_spec_mode_keeps_the_spec(model, specs, ranking):
    made = Langevin(model, ranking, tries=1, steps=3).generate(specs, seed=1)
    assert made.rows.tolist() == list(range(len(specs)))
    found = made.structures.specs()
    assert torch.equal(found.composition, specs.composition)
    assert torch.equal(found.space_group, specs.space_group)
    assert (found.lengths - specs.lengths).abs().max() < 1e-9
    assert (found.angles - specs.angles).abs().max() < 1e-9
    assert symmetry_error(made.structures).max() < 1e-9
    assert usable(made.structures, 0.5).all()


def test_what_a_spec_becomes_depends_on_it_and_the_seed(model, specs):
    generator = Langevin(model, ranking=None, tries=2, steps=3)
    together = generator.generate(specs, seed=5)
    rows = torch.tensor([6, 3])
    some = generator.generate(specs[rows], seed=5)
    for place, row in enumerate(rows.tolist()):
        mine, theirs = some.structures[place : place + 1], together.structures[row : row + 1]
        assert torch.equal(mine.fractional, theirs.fractional)
    other = generator.generate(specs, seed=6)
    assert (other.structures.fractional - together.structures.fractional).abs().max() > 0.01
    small = Langevin(model, ranking=None, tries=2, steps=3, atoms=30).generate(specs, seed=5)
    assert torch.equal(small.structures.fractional, together.structures.fractional)


def test_sites_that_touch_give_way_to_another_placement(model, specs):
    # one step at each level leaves atoms where the noise put them
    made = Langevin(model, None, tries=1, steps=1, closest=1.2).generate(specs, seed=2)
    assert usable(made.structures, 1.2).all()
    assert made.rows.tolist() == sorted(made.rows.tolist())


def test_paper_mode_makes_symmetric_crystals_of_the_group(model, specs):
    made = PaperLangevin(model, closest=0.0, steps=2).generate(specs, seed=1)
    assert made.rows.tolist() == (specs.space_group >= 16).nonzero()[:, 0].tolist()
    assert torch.equal(made.structures.space_group, specs.space_group[made.rows])
    assert symmetry_error(made.structures).max() < 1e-6
    assert torch.equal(made.structures.composition > 0, specs.composition[made.rows] > 0)
    again = PaperLangevin(model, closest=0.0, steps=2).generate(specs[3:4], seed=1).structures
    place = made.rows.tolist().index(3)
    assert torch.allclose(again.fractional, made.structures[place : place + 1].fractional, atol=1e-9)


def test_paper_mode_draws_colliding_crystals_again(model, specs):
    limit, tries = 0.8, 3
    made = PaperLangevin(model, tries, limit, steps=2).generate(specs, seed=2)
    assert usable(made.structures, limit).all()
    chains = [
        PaperLangevin(model, 1, 0.0, steps=2).generate(specs, seed=2 * tries + number)
        for number in range(tries)
    ]
    good = [dict(zip(one.rows.tolist(), usable(one.structures, limit), strict=True)) for one in chains]
    expected = [row for row in chains[0].rows.tolist() if any(one[row] for one in good)]
    assert made.rows.tolist() == expected
    assert 0 < sum(map(bool, good[0].values())) < len(expected) < len(good[0])


def test_angles_cannot_be_drawn(model):
    one = torch.ones(1, dtype=torch.int64)
    with pytest.raises(DataError, match="16 to 230"):
        PaperLangevin(model).sample(one, one, one - 1, one)


@pytest.mark.parametrize("option", [{"tries": 0}, {"steps": 0}, {"closest": -1.0}, {"atoms": 0}])
def test_options_are_checked(model, option):
    with pytest.raises(ConfigError, match=next(iter(option))):
        Langevin(model, None, **option)


# operations that hand a number, or a size that depends on numbers, to the host
WAITING = (
    "_local_scalar_dense",
    "nonzero",
    "masked_select",
    "_unique",
    "unique_dim",
    "repeat_interleave.Tensor",
    "equal.default",
    "linalg_inv_ex.inverse_check",
    "bincount",
)


class NoHost(TorchDispatchMode):
    """Refuses operations that wait for the device, and counts the others."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = str(func)
        assert not any(word in name for word in WAITING), f"{name} waits for the device"
        if "index.Tensor" in name or "index_put" in name:
            indices = [index for index in args[1] if isinstance(index, Tensor)]
            assert not any(index.dtype == torch.bool for index in indices), f"{name} with a mask"
        self.count += 1
        return func(*args, **(kwargs or {}))


def test_no_step_waits_for_the_host(model, crystals):
    owner, points = crystals.structure_index, crystals.fractional
    numbers, cell, group = crystals.atomic_numbers, crystals.cell, crystals.space_group
    # every atom a site of its own position: more than there are, but sites all the same
    held = Sites.on_positions(cell, group, numbers, points, owner, model.cutoff)
    free = Sites.anywhere(cell, group, numbers, owner, model.cutoff)
    level = torch.zeros(len(crystals), dtype=torch.int64)
    with torch.no_grad(), NoHost() as refusing:
        model(held, points, cell, level)
        model(free, points + 0.01, cell, level)
    assert refusing.count > 100


def test_the_guard_sees_what_waits():
    with pytest.raises(AssertionError, match="waits"), NoHost():
        torch.ones(2).sum().item()
    with pytest.raises(AssertionError, match="mask"), NoHost():
        torch.ones(3)[torch.tensor([True, False, True])]


def test_positions_stay_where_nothing_is_free(model):
    cell = torch.eye(3, dtype=torch.float64)[None] * 5.64
    points = torch.tensor([[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]], dtype=torch.float64)
    owner, group = torch.zeros(2, dtype=torch.int64), torch.tensor([225])
    sites = Sites.on_positions(cell, group, torch.tensor([11, 17]), points, owner, model.cutoff)
    moved = anneal_positions(model, sites, points, cell, mix(torch.arange(2)), Schedule(steps=2))
    assert (moved - points).abs().max() < 1e-8


@pytest.mark.parametrize("kind", [Langevin, PaperLangevin])
def test_specs_that_cannot_be_placed_are_left_out(model, specs, kind):
    generator = kind(model, steps=1)
    assert len(generator.generate(specs[:0]).rows) == 0
    # one atom fits no position of rock salt's group
    composition = torch.zeros_like(specs.composition[:1])
    composition[:, 11] = 1
    odd = replace(specs[:1], composition=composition)
    made = generator.generate(CrystalSpec.cat([odd, specs[3:4]]))
    assert made.rows.tolist() == [1]
    assert len(generator.generate(odd).rows) == 0


def test_weights_of_the_other_mode_are_refused(tmp_path, model):
    path = tmp_path / "spec.safetensors"
    network = {"settings": asdict(model.network.settings)}
    card = {"kind": KIND, "mode": "spec", "network": network, "levels": asdict(model.levels)}
    save_weights(path, model.state_dict(), card)
    assert isinstance(Langevin(path), Langevin)
    with pytest.raises(WeightsError, match="trained for mode spec, not paper"):
        PaperLangevin(path)
