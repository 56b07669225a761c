"""EGNN: symmetries, its layers against a loop over edges and pairs, and independence of the batch."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn.functional import silu

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.models.egnn.layers import EGNNSettings
from gflownet_crystal.models.egnn.network import EGNN
from gflownet_crystal.models.layers.inputs import CrystalGraph, GraphSettings, crystal_graph
from gflownet_crystal.models.layers.vector_fields import AtomOutput, Triplets, length_fields
from gflownet_crystal.structures.convert import from_pymatgen
from gflownet_crystal.structures.structure import StructureBatch
from tests.models.equivalents import (
    IN_THE_SAME_AXES,
    assert_same,
    descriptions,
    known_crystals,
    random_crystals,
)
from tests.models.fields import angle_fields

NEAREST = GraphSettings(cutoff=None, neighbours=8, symmetric=False)
WITHIN = GraphSettings(cutoff=4.0, neighbours=None)
SMALL = EGNNSettings(graph=NEAREST, features=12, hidden=16, n_layers=3, n_message_layers=1, spacing=0.5)


def network(settings: EGNNSettings = SMALL, dtype: torch.dtype = torch.float64) -> EGNN:
    return EGNN(settings, seed=1).to(dtype)


def graph_of(model: EGNN, batch: StructureBatch) -> CrystalGraph:
    return crystal_graph(batch, model.settings.graph, model.atoms.learned.dtype, reverse=False)


def read(model: EGNN, batch: StructureBatch) -> AtomOutput:
    with torch.no_grad():
        return model(graph_of(model, batch))


@pytest.mark.parametrize("graph", [NEAREST, WITHIN], ids=["nearest", "within"])
@pytest.mark.parametrize("kind", ["known", "random"])
def test_outputs_follow_the_description_of_the_crystal(kind, graph):
    batch = known_crystals() if kind == "known" else random_crystals(8, seed=3)
    settings = replace(SMALL, graph=graph)
    exact, single = network(settings), network(settings, torch.float32)
    outputs = read(exact, batch), read(single, batch)
    for other, expected in descriptions(batch).values():
        assert_same(read(exact, other), expected(outputs[0]), 1e-10)
        assert_same(read(single, other), expected(outputs[1]), 1e-5)


@pytest.mark.parametrize("preset", [EGNNSettings.paper(n_layers=2, n_message_layers=1), EGNNSettings.fast()])
def test_presets_follow_the_description_of_the_crystal(preset):
    batch = random_crystals(2, seed=5, most_atoms=3)
    model = network(preset)
    output = read(model, batch)
    for name in ("reflection", "basis 2"):
        other, expected = descriptions(batch)[name]
        assert_same(read(model, other), expected(output), 1e-10)


def test_with_axes_outputs_follow_turns_and_not_other_cells():
    batch = random_crystals(8, seed=3)
    model = network(replace(SMALL, axes=True))
    output = read(model, batch)
    for name, (other, expected) in descriptions(batch).items():
        if name in IN_THE_SAME_AXES:
            assert_same(read(model, other), expected(output), 1e-10)
        elif name.startswith("basis"):
            difference = read(model, other).lattice_action - expected(output).lattice_action
            assert difference.abs().max() > 1e-3


def test_outputs_depend_on_what_they_are_given():
    batch = random_crystals(4, seed=3)
    model = network()
    output = read(model, batch)
    assert output.energy is None
    swapped = read(model, replace(batch, atomic_numbers=batch.atomic_numbers % 94 + 1))
    for mine, theirs in zip(output[1:], swapped[1:], strict=True):
        assert (mine - theirs).abs().max() > 1e-4
    assert (output.lattice_action - torch.eye(3)).abs().amax((1, 2)).min() > 1e-4


def test_one_layer_equals_a_loop_over_edges_and_pairs():
    """Equations 2 to 9, edge by edge and pair by pair, on concatenated features."""
    settings = replace(SMALL, n_layers=1, n_message_layers=0)
    model = network(settings)
    layer = model.actions[0]
    with torch.no_grad():
        layer.edge_bias.fill_(0.3)
        layer.triplet.bias.copy_(torch.tensor([0.1, -0.2, 0.3]))
    graph = graph_of(model, random_crystals(2, seed=9, most_atoms=3))
    output = model(graph)

    lengths = graph.vectors.norm(dim=1)
    basis = torch.exp(-2.0 * (lengths[:, None] - 0.5 * torch.arange(20)) ** 2)
    atoms = model.atoms(graph, None)

    def perceptron(part: torch.nn.Module, edge: int) -> Tensor:
        ends = atoms[graph.source[edge]], atoms[graph.target[edge]]
        hidden = silu(part.embedding.weight @ torch.cat([*ends, basis[edge]])) / 0.6
        for inner in part.layers[:-1]:
            hidden = silu(inner.weight @ hidden) / 0.6
        return part.layers[-1].weight @ hidden

    messages = torch.zeros_like(atoms)
    for edge in range(graph.n_edges):
        messages[graph.source[edge]] += perceptron(layer.messages.message, edge) * settings.sum_scale
    atoms = layer.messages.unit(messages, atoms)

    fractional = torch.stack(
        [
            vector @ torch.linalg.inv(graph.cell[graph.structure_index[source]])
            for vector, source in zip(graph.vectors, graph.source, strict=True)
        ]
    )
    degree = torch.bincount(graph.source, minlength=graph.n_atoms)
    moves, action = torch.zeros(graph.n_atoms, 3).double(), torch.eye(3).double().repeat(2, 1, 1)
    structure = graph.structure_index[graph.source]
    fields = length_fields(graph.vectors)
    for edge in range(graph.n_edges):
        source = graph.source[edge]
        moves[source] += perceptron(layer.position, edge) * fractional[edge] / degree[source]
        weight = perceptron(layer.edge, edge) + 0.3
        action[structure[edge]] += weight * fields[edge] / (structure == structure[edge]).sum()

    directions = graph.vectors / lengths[:, None]
    triplets = Triplets.of(directions, graph.first, graph.second)
    angles = angle_fields(directions, triplets)
    kept_in = torch.bincount(structure[graph.first][triplets.counts > 0])
    for pair, (first, second) in enumerate(zip(graph.first.tolist(), graph.second.tolist(), strict=True)):
        if triplets.counts[pair] == 0:
            continue
        angle = torch.acos(directions[first] @ directions[second])
        features = [
            atoms[graph.source[first]],
            atoms[graph.target[first]],
            basis[first],
            atoms[graph.target[second]],
            basis[second],
            torch.stack([angle.cos(), angle.sin()]),
        ]
        part = layer.triplet
        weights = part.out @ silu(part.hidden @ silu(part.first @ torch.cat(features))) + part.bias
        field = weights[0] * fields[first] + weights[1] * fields[second] + weights[2] * angles[pair]
        action[structure[first]] += field / kept_in[structure[first]]
    torch.testing.assert_close(output.displacement, moves, atol=1e-11, rtol=0)
    torch.testing.assert_close(output.lattice_action, action, atol=1e-11, rtol=0)


def test_later_layers_see_the_crystal_that_the_earlier_made():
    """Two layers give what one layer gives for the crystal after the other."""
    settings = replace(SMALL, n_layers=2, n_message_layers=0)
    model = network(settings)
    # without messages, so that what the second layer knows of the first is the crystal alone
    with torch.no_grad():
        for layer in model.actions:
            layer.messages.unit.weight_ih.zero_()
            layer.messages.unit.weight_hh.zero_()
            layer.messages.unit.bias_ih.zero_().view(3, -1)[1].fill_(1e3)
            layer.messages.unit.bias_hh.zero_()
    batch = random_crystals(3, seed=9)
    graph = graph_of(model, batch)
    output = model(graph)
    layers = [model.actions[0], model.actions[1]]
    model.actions = torch.nn.ModuleList(layers[:1])
    first = model(graph)
    cell = batch.cell @ first.lattice_action
    moved = batch.fractional + first.displacement
    change = first.displacement[graph.target] - first.displacement[graph.source]
    cells = graph.structure_index[graph.source]
    edges = (torch.linalg.solve(batch.cell[cells].mT, graph.vectors[:, :, None])[:, :, 0] + change)[:, None]
    model.actions = torch.nn.ModuleList(layers[1:])
    after = replace(graph, vectors=(edges @ cell[cells])[:, 0], cell=cell)
    second = model(after)
    assert moved.shape == output.displacement.shape
    torch.testing.assert_close(
        output.displacement, first.displacement + second.displacement, atol=1e-10, rtol=0
    )
    product = first.lattice_action @ second.lattice_action
    torch.testing.assert_close(output.lattice_action, product, atol=1e-10, rtol=0)


def test_a_structure_is_the_same_alone_and_in_any_batch():
    model = network(dtype=torch.float32)
    batch = StructureBatch.cat([random_crystals(6, seed=13), known_crystals()])
    together = read(model, batch)
    for row in range(len(batch)):
        atoms = batch.structure_index == row
        part = AtomOutput(None, together.displacement[atoms], together.lattice_action[[row]])
        assert_same(read(model, batch[torch.tensor([row])]), part, 1e-6)


def test_isolated_atoms_and_collinear_neighbours_give_finite_outputs_and_gradients():
    from pymatgen.core import Structure

    apart = Structure([[30.0, 0, 0], [0, 30.0, 0], [0, 0, 30.0]], ["O"], [[0, 0, 0]])
    chain = Structure([[2.0, 0, 0], [0, 30.0, 0], [0, 0, 30.0]], ["C"], [[0.1, 0.2, 0.3]])
    batch = StructureBatch.cat([from_pymatgen([apart, chain]), known_crystals()])
    model = network(replace(SMALL, graph=WITHIN), torch.float32)
    cell, fractional = batch.cell.clone().requires_grad_(), batch.fractional.clone().requires_grad_()
    output = model(crystal_graph(batch, WITHIN, torch.float32, cell, fractional))
    (output.displacement.square().sum() + output.lattice_action.square().sum()).backward()
    tensors = [*output[1:], cell.grad, fractional.grad, *(weight.grad for weight in model.parameters())]
    assert all(torch.isfinite(tensor).all() for tensor in tensors)
    assert (output.lattice_action[0] == torch.eye(3)).all() and (output.displacement[0] == 0).all()


def test_gradients_of_the_weights_equal_finite_differences():
    """Through all layers, whose later ones depend on the geometry that the earlier made."""
    model = network(replace(SMALL, n_layers=2))
    graph = graph_of(model, random_crystals(2, seed=9, most_atoms=3))

    def total() -> Tensor:
        output = model(graph)
        return output.displacement.square().sum() + (output.lattice_action.cos()).sum()

    model.zero_grad()
    total().backward()
    first = model.actions[0]
    step = 1e-5
    for weight in (
        first.position.layers[-1].weight,
        first.triplet.first,
        first.triplet.bias,
        first.edge_bias,
    ):
        index = (0,) * weight.dim()
        with torch.no_grad():
            weight[index] += step
            high = total()
            weight[index] -= 2 * step
            low = total()
            weight[index] += step
        assert weight.grad[index].item() == pytest.approx(
            (high - low).item() / (2 * step), rel=1e-5, abs=1e-8
        )


def test_conditioning_reaches_each_structure_and_no_other():
    model = network(replace(SMALL, conditioning=3))
    graph = graph_of(model, random_crystals(3, seed=3))
    given = torch.zeros(3, 3, dtype=torch.float64)
    plain = model(graph, given)
    given[1] = 1.0
    changed = (model(graph, given).lattice_action - plain.lattice_action).abs().amax((1, 2))
    assert (changed[[0, 2]] < 1e-12).all() and changed[1] > 1e-5
    with pytest.raises(DataError, match="conditioning is"):
        model(graph)


def test_seeds_set_the_weights_and_leave_the_global_generator_alone():
    state = torch.get_rng_state()
    first, second, other = EGNN(SMALL, 1), EGNN(SMALL, 1), EGNN(SMALL, 2)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(*pair) for pair in zip(first.parameters(), second.parameters(), strict=True))
    assert not torch.equal(first.atoms.learned, other.atoms.learned)
    assert not torch.equal(first.actions[0].messages.unit.weight_ih, other.actions[0].messages.unit.weight_ih)


def test_half_precision_under_autocast_stays_close():
    model = network(dtype=torch.float32)
    graph = graph_of(model, random_crystals(6, seed=13))
    exact = model(graph)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = model(graph)
    for mine, theirs in zip(rough[1:], exact[1:], strict=True):
        assert mine.dtype == torch.float32
        assert (mine - theirs).abs().max() < 0.03 * max(1.0, theirs.abs().max())
