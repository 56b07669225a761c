"""Denoisers: what they make does not depend on how they are shown it."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pymatgen.core import Lattice, Structure
from torch import Tensor, nn

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.models.denoiser import KIND, Denoiser, DenoiserSettings, in_unit_cubes
from gflownet_crystal.models.gemsnet.network import GemsNet
from gflownet_crystal.models.layers.inputs import CrystalGraph
from gflownet_crystal.models.layers.vector_fields import AtomOutput
from gflownet_crystal.structures.convert import from_pymatgen, to_pymatgen
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.weights import save_weights
from tests.models.denoisers import EGNN_SMALL, GEMSNET, crystals, denoiser
from tests.models.equivalents import IN_THE_SAME_AXES, descriptions, known_crystals, random_crystals


@pytest.mark.parametrize(
    ("volumes", "axes", "passes"),
    [(True, False, 1), (False, False, 1), (True, True, 1), (True, False, 2), (True, True, 2)],
)
@pytest.mark.parametrize("name", ["gemsnet", "egnn"])
def test_actions_follow_the_description_of_the_crystal(
    name: str, volumes: bool, axes: bool, passes: int
) -> None:
    """The new crystal in each description is the same, whatever cell it starts from unless the axes are told apart."""
    model = denoiser(name, torch.float64, volumes, axes, passes)
    batch = StructureBatch.cat([random_crystals(3, seed=3), known_crystals()])
    action = model.actions(batch)
    assert action.displacement.abs().max() > 1e-4
    made = replace(batch, cell=action.cell, fractional=batch.fractional + action.displacement)
    expected = [distances(structure) for structure in to_pymatgen(made)]
    for kind, (other, _) in descriptions(batch).items():
        if axes and kind not in IN_THE_SAME_AXES:
            continue
        action = model.actions(other)
        made = replace(other, cell=action.cell, fractional=other.fractional + action.displacement)
        for mine, theirs in zip(map(distances, to_pymatgen(made)), expected, strict=True):
            n = min(len(mine), len(theirs))
            np.testing.assert_allclose(mine[:n], theirs[:n], atol=1e-8, err_msg=kind)


@pytest.mark.parametrize("name", ["gemsnet", "egnn"])
def test_only_the_axes_tell_lattices_apart_that_the_positions_do_not(name: str) -> None:
    """Primitive cells of the ThCr2Si2 type: turning the third axis round leaves the positions, not the lattice."""
    lattice = Lattice.from_parameters(5.9, 5.9, 5.9, 137.8, 137.8, 61.2)
    places = [[0, 0, 0], [0.25, 0.75, 0.5], [0.75, 0.25, 0.5], [0.62, 0.62, 0], [0.38, 0.38, 0]]
    crystal = from_pymatgen([Structure(lattice, ["Ca", "Zn", "Zn", "Si", "Si"], places)])
    for axes in (False, True):
        made = denoiser(name, torch.float64, axes=axes).denoised(crystal)
        alpha, beta, _ = to_pymatgen(made)[0].lattice.angles
        assert (max(abs(alpha - 90), abs(beta - 90)) < 1e-6) == (not axes)


@pytest.mark.parametrize("name", ["gemsnet", "egnn"])
def test_two_passes_are_one_after_the_other(name: str) -> None:
    batch = in_unit_cubes(random_crystals(5, seed=3))
    twice = denoiser(name, torch.float64, passes=2)
    first = denoiser(name, torch.float64).actions(batch)
    second = denoiser(name, torch.float64, volumes=False).actions(
        replace(batch, cell=first.cell, fractional=batch.fractional + first.displacement)
    )
    # crystals that the first pass of an untrained network spoils are not passed on
    volume = fitted_volume(twice, batch)
    rows = ((first.cell.det().abs() / volume).log().abs() < 1.0).nonzero()[:, 0]
    assert len(rows) >= 3
    action = twice.actions(batch, atoms=9)
    torch.testing.assert_close(action.cell[rows], second.cell[rows], atol=1e-9, rtol=0)
    atoms = torch.isin(batch.structure_index, rows)
    both = first.displacement + second.displacement
    torch.testing.assert_close(action.displacement[atoms], both[atoms], atol=1e-9, rtol=0)
    assert (action.cell - first.cell).abs().max() > 1e-2


@pytest.mark.parametrize("name", ["gemsnet", "egnn"])
def test_known_cells_stay_in_all_passes(name: str) -> None:
    batch = random_crystals(5, seed=3)
    first = denoiser(name, torch.float64, volumes=False).actions(batch)
    between = replace(batch, fractional=batch.fractional + first.displacement)
    second = denoiser(name, torch.float64, volumes=False).actions(between)
    made = denoiser(name, torch.float64, passes=2).actions(batch, known=True)
    both = first.displacement + second.displacement
    torch.testing.assert_close(made.displacement, both, atol=1e-9, rtol=0)
    torch.testing.assert_close(made.cell, second.cell, atol=1e-9, rtol=0)


def fitted_volume(model: Denoiser, batch: StructureBatch) -> Tensor:
    """Sums of the volumes of the elements, one structure after the other."""
    parts = [batch.atomic_numbers[batch.structure_index == row] for row in range(len(batch))]
    return torch.stack([model.element_volume[numbers].sum() for numbers in parts])


class Collapsing(nn.Module):
    """A network that moves all atoms, makes the first lattice flat and the others shorter."""

    settings = GEMSNET

    def forward(self, graph: CrystalGraph) -> AtomOutput:
        action = torch.eye(3).repeat(graph.n_structures, 1, 1) * 0.8
        action[0] = 0.0
        return AtomOutput(
            displacement=torch.full_like(graph.vectors[: graph.n_atoms], 0.1), lattice_action=action
        )


def test_crystals_that_a_pass_spoils_stay_as_they_are() -> None:
    model = Denoiser(Collapsing(), DenoiserSettings(volumes=False))
    model.fit_volumes(crystals())
    batch = crystals()[:2]
    made, moved = model.passed(batch, 1)
    spoilt = batch.structure_index == 0
    assert torch.equal(made.cell[0], batch.cell[0]) and not moved[spoilt].any()
    assert torch.equal(made.fractional[spoilt], batch.fractional[spoilt])
    torch.testing.assert_close(made.cell[1], 0.8 * batch.cell[1])
    assert torch.allclose(moved[~spoilt], torch.tensor(0.1, dtype=torch.float64))


def test_cards_of_earlier_versions_name_the_volumes_only(tmp_path: Path) -> None:
    model = denoiser("egnn", volumes=False)
    network = {"name": "egnn", "settings": asdict(EGNN_SMALL)}
    card = {"kind": KIND, "volumes": False, "network": network}
    save_weights(tmp_path / "old.safetensors", dict(model.state_dict()), card)
    assert Denoiser.from_weights(tmp_path / "old.safetensors").settings == DenoiserSettings(volumes=False)


def distances(structure: Structure) -> np.ndarray:
    """Distances from that of the lightest atoms where they are shortest, sorted: the same for every description."""
    lightest = min(structure.atomic_numbers)
    of_each = [
        np.sort([neighbour.nn_distance for neighbour in structure.get_neighbors(site, 4.0)])
        for site in structure
        if lightest == site.specie.Z
    ]
    return min(of_each, key=lambda found: found[:20].round(6).tolist())


@pytest.mark.parametrize("name", ["gemsnet", "egnn"])
def test_what_is_made_does_not_depend_on_lattice_rotation_order_or_translation(name: str) -> None:
    model = denoiser(name, torch.float64)
    batch = random_crystals(5, seed=3)
    made = model.denoised(batch)
    assert (made.space_group == 0).all() and torch.equal(made.atomic_numbers, batch.atomic_numbers)
    changes = descriptions(batch)
    # the lattice is not looked at, so one that is turned or strained changes nothing
    for other in (changes["rotation"][0], replace(batch, cell=batch.cell * 1.3)):
        assert torch.equal(model.denoised(other).fractional, made.fractional)
    order = torch.cat([batch.structure_index.eq(row).nonzero()[:, 0].flip(0) for row in range(len(batch))])
    permuted = replace(batch, atomic_numbers=batch.atomic_numbers[order], fractional=batch.fractional[order])
    again = model.denoised(permuted)
    assert_same_places(again.fractional, made.fractional[order])
    torch.testing.assert_close(again.cell, made.cell, atol=1e-10, rtol=0)
    shift = torch.tensor([0.3, -0.8, 1.4], dtype=torch.float64)
    moved = model.denoised(replace(batch, fractional=batch.fractional + shift))
    assert_same_places(moved.fractional, made.fractional + shift)
    torch.testing.assert_close(moved.cell, made.cell, atol=1e-10, rtol=0)


def assert_same_places(mine: Tensor, theirs: Tensor) -> None:
    difference = mine - theirs
    torch.testing.assert_close(difference, difference.round(), atol=1e-9, rtol=0)


def test_a_network_that_makes_no_lattice_is_refused() -> None:
    model = Denoiser(GemsNet(replace(GEMSNET, lattice=False)))
    graph = model.graph(crystals())
    with pytest.raises(ConfigError, match="lattice heads"):
        model(graph)
