"""Energies with weights: unusable structures set apart, the same alone and in a batch, forces and stress by numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.calculators.fd import calculate_numerical_forces, calculate_numerical_stress

from gflownet_crystal.common import devices
from gflownet_crystal.common.errors import ConfigError, DataError, WeightsError
from gflownet_crystal.models.energies.calculator import EnergyCalculator
from gflownet_crystal.models.energies.energy import EnergyModel
from gflownet_crystal.models.energies.trained import KIND, UNCERTAINTY, TrainedEnergies
from gflownet_crystal.models.energies.uncertainty import LatentDistance
from gflownet_crystal.models.registry import build_network
from gflownet_crystal.structures.checks import CLOSEST
from gflownet_crystal.structures.convert import from_arrays, from_pymatgen, to_ase
from gflownet_crystal.structures.periodic_pairs import usable
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.weights import save_weights
from tests.data.crystals import ENERGIES, conventional_structures

GRAPH = {"cutoff": 8.0, "neighbours": 12, "fade": 0.5}
SMALL = {
    "alignn": {"width": 16, "embedding": 8, "alignn_layers": 1, "gcn_layers": 1, "graph": GRAPH},
    "gemsnet": {"n_blocks": 1, "n_radial": 16, "lattice": False, "displacement": False,
                "graph": {**GRAPH, "cutoff": None}},
}  # fmt: skip


@pytest.fixture(scope="module")
def crystals() -> StructureBatch:
    return from_pymatgen(conventional_structures())


def model_of(name: str, crystals: StructureBatch) -> EnergyModel:
    model = EnergyModel(build_network(name, SMALL[name], seed=1))
    model.fit_elements(crystals, torch.tensor(ENERGIES, dtype=torch.float64))
    model.scale.fill_(1.0)
    return model.eval()


@pytest.fixture(scope="module", params=sorted(SMALL))
def weights(request: pytest.FixtureRequest, crystals: StructureBatch, tmp_path_factory) -> Path:
    """A weights file with an uncertainty."""
    model = model_of(request.param, crystals)
    _, features = model.energies_and_features(model.graph(crystals))
    noise = torch.randn(60, features.shape[1], generator=torch.Generator().manual_seed(0))
    train = features.detach().repeat(10, 1)[:60] + 0.1 * noise
    uncertainty = LatentDistance.fit(train, train[:30] + 0.1 * noise[:30], torch.linspace(0.0, 1.0, 30))
    tensors = {UNCERTAINTY + name: tensor for name, tensor in uncertainty.state_dict().items()}
    path = tmp_path_factory.mktemp("weights") / f"{request.param}.safetensors"
    card = {"kind": KIND, "network": {"name": request.param, "settings": SMALL[request.param]}}
    save_weights(path, {**model.state_dict(), **tensors}, card)
    return path


def faulty() -> StructureBatch:
    """An overlap, isolated atoms, an open cell, a flat one, strange elements, NaN, a crowded chain."""
    cube = 4.0 * np.eye(3)
    two = [[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]]
    return from_arrays(
        [cube, 20.0 * np.eye(3), np.diag([6.5, 6.5, 40.0]), np.zeros((3, 3)), np.ones((3, 3)), cube, cube, cube,
         np.full((3, 3), np.nan), np.diag([0.6, 30.0, 30.0])],
        [[11, 17], [11], [11, 17], [11, 17], [11, 17], [0, 17], [11, 119], [11, 17], [11, 17], [11]],
        [[[0.0, 0.0, 0.0], [0.05, 0.0, 0.0]], [[0.0, 0.0, 0.0]], [[0, 0, 0], [0, 0, 0.5]], two, two, two, two,
         [[0.0, 0.0, 0.0], [0.5, np.inf, 0.5]], two, [[0.0, 0.0, 0.0]]],
    )  # fmt: skip


def test_energies_are_those_of_the_model(weights: Path, crystals: StructureBatch) -> None:
    energies = TrainedEnergies.from_weights(weights)
    found, deviation = energies.predict(crystals)
    name = weights.stem
    torch.testing.assert_close(found, model_of(name, crystals).energies(crystals), rtol=0, atol=1e-6)
    assert bool((deviation > 0.0).all()) and deviation.dtype == found.dtype == torch.float64
    bare = TrainedEnergies.of(dict(energies.model.state_dict()), energies.card)
    assert bare.predict(crystals)[0].equal(found)
    assert bare.predict(crystals)[1].equal(torch.zeros_like(found))


def test_an_unusable_structure_is_set_apart_and_none_is_lost(weights: Path, crystals: StructureBatch) -> None:
    energies = TrainedEnergies(weights)
    bad = faulty()
    mixed = StructureBatch.cat([crystals[:4], bad, crystals[4:]])
    energy, deviation = energies.predict(mixed)
    judged = torch.ones(len(mixed), dtype=torch.bool)
    # the last of them has two near neighbours, so it may be judged
    judged[4 : 4 + len(bad) - 1] = False
    judged[4 + len(bad) - 1] = bool(energy[4 + len(bad) - 1].isfinite())
    assert energy.isfinite().equal(judged) and deviation.isfinite().equal(judged)
    kept = torch.cat([torch.arange(4), torch.arange(4 + len(bad), len(mixed))])
    alone = energies.predict(crystals)
    torch.testing.assert_close(energy[kept], alone[0], rtol=0, atol=1e-6)
    torch.testing.assert_close(deviation[kept], alone[1], rtol=0, atol=1e-6)
    for row in range(len(bad) - 1):
        assert bool(energies.predict(bad[row : row + 1])[0].isnan())
    none = energies.predict(crystals[torch.zeros(len(crystals), dtype=torch.bool)])
    assert len(none[0]) == len(none[1]) == 0


def test_atoms_are_too_close_where_the_structure_is_not_usable(weights: Path) -> None:
    distances = [0.0, 1e-4, 0.2, 0.45, 0.499, 0.501, 0.55, 1.0, 2.0]
    pairs = from_arrays(
        [4.0 * np.eye(3)] * len(distances),
        [[11, 17]] * len(distances),
        [[[0.9, 0.0, 0.0], [0.9 + distance / 4.0, 0.0, 0.0]] for distance in distances],
    )
    assert TrainedEnergies(weights).predict(pairs)[0].isfinite().equal(usable(pairs, CLOSEST))


def test_a_structure_is_judged_equally_alone_and_in_any_batch(
    weights: Path, crystals: StructureBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "_has_bfloat16", lambda device: True)
    energy, deviation = TrainedEnergies(weights).predict(crystals)
    for atoms in (1, 20, 70):
        again = TrainedEnergies(weights, batch_atoms=atoms).predict(crystals)
        torch.testing.assert_close(again[0], energy, rtol=0, atol=1e-6)
        torch.testing.assert_close(again[1], deviation, rtol=0, atol=1e-6)
    order = torch.arange(len(crystals) - 1, -1, -1).repeat(3)
    again = TrainedEnergies(weights).predict(crystals[order])
    torch.testing.assert_close(again[0], energy[order], rtol=0, atol=1e-6)
    half = TrainedEnergies(weights, half=True).predict(crystals)[0]
    assert 0.0 < float((half - energy).abs().max()) < 0.1


def test_a_large_cell_and_a_one_atom_cell(weights: Path, crystals: StructureBatch) -> None:
    large = to_ase(crystals[:1])[0].repeat((3, 3, 5))
    batch = from_arrays([large.cell[:], 3.0 * np.eye(3)], [large.numbers, [26]],
                        [large.get_scaled_positions(), [[0.0] * 3]])  # fmt: skip
    assert len(large) == 360
    energies = TrainedEnergies(weights, batch_atoms=100)
    energy, _ = energies.predict(batch)
    assert bool(energy.isfinite().all())
    torch.testing.assert_close(energy[:1], energies.predict(crystals[:1])[0], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", sorted(SMALL))
def test_forces_and_stress_are_the_derivatives(name: str, crystals: StructureBatch) -> None:
    generator = np.random.default_rng(0)
    atoms: Atoms = to_ase(crystals[3:4])[0]
    atoms.rattle(0.1, seed=1)
    atoms.set_cell(atoms.cell[:] @ (np.eye(3) + generator.uniform(-0.05, 0.05, (3, 3))), scale_atoms=True)
    model = model_of(name, crystals).double()
    model.scale.fill_(30.0)
    atoms.calc = EnergyCalculator(model)
    forces, stress = atoms.get_forces(), atoms.get_stress()
    assert np.abs(forces).max() > 1e-3 and np.abs(stress).max() > 1e-5
    np.testing.assert_allclose(forces, calculate_numerical_forces(atoms, eps=1e-5), atol=1e-6)
    np.testing.assert_allclose(stress, calculate_numerical_stress(atoms, eps=1e-5), atol=1e-6)
    np.testing.assert_allclose(forces.sum(0), 0.0, atol=1e-9)


def test_a_calculator_says_what_the_weights_say(weights: Path, crystals: StructureBatch) -> None:
    energies = TrainedEnergies(weights)
    atoms = to_ase(crystals[:1])[0]
    atoms.calc = energies.calculator()
    energy = atoms.get_potential_energy() / len(atoms)
    assert energy == pytest.approx(float(energies.predict(crystals[:1])[0]), abs=1e-5)
    atoms.positions[1] = atoms.positions[0]
    with pytest.raises(DataError):
        atoms.get_potential_energy()
    abrupt = EnergyModel(build_network("alignn", {**SMALL["alignn"], "graph": {**GRAPH, "fade": 0.0}}))
    with pytest.raises(ConfigError, match="fade"):
        EnergyCalculator(abrupt)


def test_weights_that_do_not_fit_are_refused(weights: Path) -> None:
    energies = TrainedEnergies(weights)
    tensors = dict(energies.model.state_dict())
    with pytest.raises(WeightsError, match="do not fit"):
        TrainedEnergies.of({k: v for k, v in tensors.items() if k != "scale"}, energies.card)
    with pytest.raises(WeightsError, match="do not fit"):
        TrainedEnergies.of(tensors, {"network": {"name": "schnet", "settings": {}}})
    with pytest.raises(WeightsError, match="no weights 'nothing'"):
        TrainedEnergies("nothing")
    with pytest.raises(ConfigError, match="batch_atoms"):
        TrainedEnergies(weights, batch_atoms=0)
