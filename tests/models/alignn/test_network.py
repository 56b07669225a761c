"""ALIGNN: symmetries, continuity, forces, and independence of the batch."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from gflownet_crystal.common.errors import ConfigError, DataError
from gflownet_crystal.models.alignn import line_graph as line_graph_module
from gflownet_crystal.models.alignn.network import ALIGNN, ALIGNNSettings
from gflownet_crystal.models.layers.inputs import GraphSettings, crystal_graph
from gflownet_crystal.structures.structure import StructureBatch
from tests.models.equivalents import descriptions, known_crystals, random_crystals

GRAPHS = {
    "fading": GraphSettings(fade=0.5),
    "nearest": GraphSettings(),
    "within": GraphSettings(cutoff=5.0, neighbours=None, fade=1.0),
    "sharply within": GraphSettings(cutoff=5.0, neighbours=None),
}


def network(graph: str = "fading", dtype: torch.dtype = torch.float64, **changes: object) -> ALIGNN:
    settings = ALIGNNSettings(width=32, embedding=16, radial=20, angular=10, graph=GRAPHS[graph])
    return trained(ALIGNN(replace(settings, **changes), seed=1)).to(dtype)


def trained(model: ALIGNN) -> ALIGNN:
    """Bonds have no influence at the start."""
    if model.bond_readout is not None:
        torch.nn.init.normal_(model.bond_readout.weight, generator=torch.Generator().manual_seed(0))
    return model


def read(model: ALIGNN, batch: StructureBatch) -> Tensor:
    with torch.no_grad():
        return model(crystal_graph(batch, model.settings.graph, model.readout.weight.dtype))


def crystals(kind: str) -> StructureBatch:
    return known_crystals() if kind == "known" else random_crystals(8, seed=3)


@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize("kind", ["known", "random"])
def test_energies_do_not_depend_on_the_description_of_the_crystal(kind, graph):
    batch = crystals(kind)
    exact, single = network(graph), network(graph, torch.float32)
    energies = read(exact, batch), read(single, batch)
    for other, _ in descriptions(batch).values():
        torch.testing.assert_close(read(exact, other), energies[0], atol=1e-10, rtol=0)
        torch.testing.assert_close(read(single, other), energies[1], atol=1e-5, rtol=0)


@pytest.mark.parametrize("preset", ["paper", "fast"])
def test_presets_do_not_depend_on_the_description_of_the_crystal(preset):
    batch = random_crystals(2, seed=5, most_atoms=2)
    model = trained(ALIGNN(getattr(ALIGNNSettings, preset)(), seed=2)).double()
    energies = read(model, batch)
    for name in ("reflection", "basis 2"):
        torch.testing.assert_close(read(model, descriptions(batch)[name][0]), energies, atol=1e-10, rtol=0)


def test_the_paper_settings_have_the_parameters_of_the_paper():
    """4.03 million in the paper's network; layer norms and the reading of elements differ a little."""
    model = ALIGNN(ALIGNNSettings.paper())
    assert sum(parameter.numel() for parameter in model.parameters()) == pytest.approx(4.03e6, rel=0.01)


@pytest.mark.parametrize("graph", GRAPHS)
def test_energies_depend_on_what_they_are_given(graph):
    batch = crystals("random")
    model = network(graph)
    energies = read(model, batch)
    strained = replace(batch, cell=batch.cell * torch.tensor([1.0, 1.0, 1.05], dtype=torch.float64))
    swapped = replace(batch, atomic_numbers=batch.atomic_numbers % 94 + 1)
    for other in (strained, swapped):
        changed = (read(model, other) - energies).abs() > 1e-5
        # one crystal is too wide for neighbours within 5 A
        assert changed.sum() >= 7


def test_the_readout_of_the_paper_has_a_blind_spot():
    """Where all neighbours are equal, their gated mean does not depend on the gates, and so not on distances."""
    element = known_crystals()[:1]
    strained = replace(element, cell=element.cell * 1.05)
    for bond_readout in (False, True):
        model = network(bond_readout=bond_readout)
        change = (read(model, strained) - read(model, element)).abs()
        assert (change > 1e-4) == bond_readout


def test_angles_matter_beyond_lengths():
    """Rock salt sheared so that angles change first and lengths in second order."""
    batch = known_crystals()[torch.tensor([2])]
    model = network("nearest")
    twisted = batch.cell.clone()
    angle = torch.tensor(0.02, dtype=torch.float64)
    shear = torch.eye(3, dtype=torch.float64)
    shear[0, 1] = angle
    moved = (read(model, replace(batch, cell=twisted @ shear)) - read(model, batch)).abs()
    with torch.no_grad():
        for parameter in model.angle_embedding.parameters():
            parameter.zero_()
    blind = (read(model, replace(batch, cell=twisted @ shear)) - read(model, batch)).abs()
    assert moved > 1e-7
    assert moved != blind


@pytest.mark.parametrize("graph", ["within", "fading"])
def test_forces_and_stresses_are_numerical_gradients(graph):
    batch = random_crystals(3, seed=7, most_atoms=4)
    model = network(graph)
    fractional, cell = batch.fractional.clone().requires_grad_(), batch.cell.clone().requires_grad_()
    inputs = crystal_graph(batch, model.settings.graph, torch.float64, cell=cell, fractional=fractional)
    gradients = torch.autograd.grad(model(inputs).sum(), [fractional, cell])
    step = 2e-6
    for name, gradient in zip(("fractional", "cell"), gradients, strict=True):
        value = getattr(batch, name)
        numerical = torch.empty_like(value)
        for entry in torch.cartesian_prod(*(torch.arange(n) for n in value.shape)).tolist():
            change = torch.zeros_like(value)
            change[tuple(entry)] = step
            up, down = (read(model, replace(batch, **{name: value + x})).sum() for x in (change, -change))
            numerical[tuple(entry)] = (up - down) / (2 * step)
        assert gradient.abs().max() > 1e-3
        torch.testing.assert_close(gradient, numerical, atol=1e-7, rtol=1e-6)


def test_gradients_are_finite_for_collinear_and_equal_edges():
    batch = known_crystals()
    for graph in GRAPHS:
        model = network(graph)
        fractional = batch.fractional.clone().requires_grad_()
        inputs = crystal_graph(batch, model.settings.graph, torch.float64, fractional=fractional)
        (forces,) = torch.autograd.grad(model(inputs).sum(), fractional)
        # every atom of these crystals sits at a centre of inversion, or is one of two equal ones
        assert forces.abs().max() < 1e-8


def path_energies(graph: str, steps: int) -> Tensor:
    """Energies as an atom crosses its cell."""
    batch = random_crystals(1, seed=8)
    assert len(batch.fractional) > 2
    along = torch.linspace(0.0, 0.3, steps, dtype=torch.float64)
    path = StructureBatch.cat([batch] * steps)
    fractional = path.fractional.clone()
    fractional[:: len(batch.fractional), 0] += along
    return read(network(graph), replace(path, fractional=fractional))


@pytest.mark.parametrize("graph", GRAPHS)
def test_energies_are_continuous_where_edges_fade_and_jump_where_they_do_not(graph):
    coarse, fine = (path_energies(graph, steps).diff().abs().max().item() for steps in (40, 400))
    if GRAPHS[graph].fade:
        assert fine < 1.5 * coarse * 39 / 399
    else:
        assert fine > 0.5 * coarse


def test_a_structure_has_the_same_energy_alone_and_in_any_batch():
    batch = StructureBatch.cat([known_crystals(), random_crystals(30, seed=4)])
    model = network(dtype=torch.float32)
    together = read(model, batch)
    alone = torch.cat([read(model, batch[row : row + 1]) for row in range(len(batch))])
    backwards = read(model, batch[torch.arange(len(batch)).flip(0)]).flip(0)
    assert (together - alone).abs().max() < 1e-6
    assert (together - backwards).abs().max() < 1e-6


@pytest.mark.parametrize("cached_numbers", [1, 1 << 12, 1 << 30])
def test_blocks_do_not_matter(cached_numbers, monkeypatch):
    batch, model = random_crystals(5, seed=6), network()
    expected = read(model, batch)
    monkeypatch.setattr(line_graph_module, "_CACHED_NUMBERS", cached_numbers)
    torch.testing.assert_close(read(model, batch), expected, atol=1e-12, rtol=0)


def test_atoms_without_neighbours_or_angles_have_energies():
    """One neighbour within the cutoff on either side, and none at all."""
    batch = known_crystals()[torch.tensor([1, 1])]
    scale = torch.tensor([[[0.6, 1.0, 1.0]], [[2.0, 2.0, 2.0]]], dtype=torch.float64)
    batch = replace(batch, cell=batch.cell * scale * 2.4)
    model = network("within")
    graph = crystal_graph(batch, model.settings.graph, torch.float64)
    assert torch.bincount(graph.source, minlength=2).tolist() == [2, 0]
    energies = model(graph)
    energies.sum().backward()
    assert bool(energies.isfinite().all())
    assert all(p.grad is None or bool(p.grad.isfinite().all()) for p in model.parameters())
    torch.testing.assert_close(read(model, batch[1:]), energies[1:].detach(), atol=1e-12, rtol=0)


def test_autocast_changes_energies_little():
    batch, model = crystals("random"), network(dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = read(model, batch)
    assert rounded.dtype == torch.float32
    difference = (rounded - read(model, batch)).abs().max()
    assert 0 < difference < 0.02 * read(model, batch).std()


def test_every_parameter_learns():
    model = network(dtype=torch.float32)
    model(crystal_graph(crystals("random"), model.settings.graph)).square().sum().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not bool(p.grad.any())] == []


def test_weights_come_from_the_seed():
    batch, settings = crystals("random"), network().settings
    assert torch.equal(read(ALIGNN(settings, seed=3), batch), read(ALIGNN(settings, seed=3), batch))
    assert not torch.equal(read(ALIGNN(settings, seed=3), batch), read(ALIGNN(settings, seed=4), batch))


def test_what_cannot_be_read_is_an_error():
    with pytest.raises(ConfigError, match="symmetric=true"):
        ALIGNNSettings(graph=GraphSettings(symmetric=False))
    batch = crystals("known")
    numbers = batch.atomic_numbers.clone()
    numbers[0] = 119
    with pytest.raises(DataError, match="atomic number 119"):
        read(network(), replace(batch, atomic_numbers=numbers))
