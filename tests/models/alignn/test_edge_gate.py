"""The edge-gated convolution against a loop over links in float64, and its gradient against numerical ones."""

from __future__ import annotations

import math
import shutil

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.func import functional_call

from gflownet_crystal.common.errors import ConfigError, DataError
from gflownet_crystal.models.alignn import line_graph as line_graph_module
from gflownet_crystal.models.alignn.edge_gate import Block, EdgeGatedConvolution
from gflownet_crystal.models.alignn.line_graph import bonds_of, crystal_links, line_graph
from gflownet_crystal.models.layers.compiling import compile_kernels
from gflownet_crystal.models.layers.inputs import CrystalGraph, GraphSettings, crystal_graph
from tests.models.equivalents import random_crystals

Vector = NDArray[np.float64]
WIDTH = 8


def convolution(updates_links: bool = True) -> EdgeGatedConvolution:
    generator = torch.Generator().manual_seed(0)
    layer = EdgeGatedConvolution(WIDTH, generator, updates_links).double()
    with torch.no_grad():
        # norms that are not those of the start
        for name, parameter in layer.named_parameters():
            if "norm" in name:
                parameter += torch.rand(parameter.shape, generator=generator)
    return layer


def graph_of(settings: GraphSettings | None = None, n: int = 3) -> CrystalGraph:
    settings = settings or GraphSettings(neighbours=6, fade=0.5)
    return crystal_graph(random_crystals(n, seed=11, most_atoms=4), settings, torch.float64)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def sigmoid(x: Vector) -> Vector:
    return np.array([1.0 / (1.0 + math.exp(-value)) for value in x])


def activated(x: Vector, scale: Vector, shift: Vector) -> Vector:
    y = (x - x.mean()) / math.sqrt(x.var() + 1e-5) * scale + shift
    return y * sigmoid(y)


def slow_convolution(
    layer: EdgeGatedConvolution, nodes: Tensor, links: list[tuple[int, int, float, Vector]]
) -> tuple[Tensor, list[Vector]]:
    """Equations 1 to 4 of the paper, one link (receiver, sender, weight, state) at a time."""
    p = {name: parameter.detach().numpy() for name, parameter in layer.named_parameters()}
    a, b, v, u = np.split(p["node.weight"], 4)
    a_bias, b_bias, v_bias, u_bias = np.split(p["node.bias"], 4)
    x = nodes.detach().numpy()
    gated, gates = np.zeros_like(x), np.zeros_like(x)
    new_links = []
    for receiver, sender, weight, state in links:
        z = a @ x[receiver] + a_bias + b @ x[sender] + b_bias + p["link.weight"] @ state
        gates[receiver] += weight * sigmoid(z)
        gated[receiver] += weight * sigmoid(z) * (v @ x[sender] + v_bias)
        new_links.append(state + activated(z, p["link_norm.weight"], p["link_norm.bias"]))
    new_nodes = [
        x[i]
        + activated(
            u @ x[i] + u_bias + gated[i] / (gates[i] + 1e-6), p["node_norm.weight"], p["node_norm.bias"]
        )
        for i in range(len(x))
    ]
    return torch.from_numpy(np.array(new_nodes)), new_links


def test_over_atoms_it_equals_a_loop_over_edges():
    graph = graph_of()
    assert graph.weights is not None
    bonded = bonds_of(graph)
    layer = convolution()
    atoms, bonds = normal(graph.n_atoms, WIDTH), normal(bonded.n_edges, WIDTH, seed=1)
    ends = graph.source.tolist(), graph.target.tolist(), graph.weights.tolist()
    links = list(zip(*ends, bonds[: graph.n_edges].numpy(), strict=True))
    expected_atoms, expected_bonds = slow_convolution(layer, atoms, links)
    new_atoms, (new_bonds,) = layer(atoms, [bonds], crystal_links(bonded))
    torch.testing.assert_close(new_atoms, expected_atoms, atol=1e-12, rtol=1e-12)
    new_bonds = new_bonds[: graph.n_edges]
    torch.testing.assert_close(new_bonds, torch.from_numpy(np.array(expected_bonds)), atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("cached_numbers", [1, 1 << 18])
def test_over_bonds_it_equals_a_loop_over_pairs_of_bonds(cached_numbers, monkeypatch):
    """Bonds u -> v and v -> w, found without triplets; the first sends to the second unless that leads back."""
    monkeypatch.setattr(line_graph_module, "_CACHED_NUMBERS", cached_numbers)
    graph = graph_of()
    assert graph.weights is not None
    bonded = bonds_of(graph)
    layer, bonds = convolution(), normal(bonded.n_edges, WIDTH)

    def state_of(cosine: float) -> Vector:
        return np.cos(np.arange(WIDTH) * (cosine + 0.3))

    vectors = graph.vectors.numpy()
    expected_links = {}
    for sender in range(graph.n_edges):
        for receiver in range(graph.n_edges):
            meets = graph.target[sender] == graph.source[receiver]
            opposite = np.abs(vectors[sender] + vectors[receiver]).max() < 1e-9
            leads_back = opposite and graph.source[sender] == graph.target[receiver]
            if meets and not leads_back:
                back, on = -vectors[sender], vectors[receiver]
                cosine = back @ on / math.sqrt(back @ back) / math.sqrt(on @ on)
                expected_links[receiver, sender] = (graph.weights[sender].item(), state_of(cosine))
    links = [(*ends, *rest) for ends, rest in expected_links.items()]
    expected_bonds, expected_states = slow_convolution(layer, bonds[: graph.n_edges], links)
    expected_angles = dict(zip(expected_links, expected_states, strict=True))

    line, cosines = line_graph(graph, bonded, WIDTH)
    states = [torch.from_numpy(np.array([state_of(x) for x in block.tolist()])) for block in cosines]
    new_bonds, new_angles = layer(bonds, [x.view(-1, WIDTH) for x in states], line)
    torch.testing.assert_close(new_bonds[: graph.n_edges], expected_bonds, atol=1e-12, rtol=1e-12)
    found = {}
    for block, angles in zip(line, new_angles, strict=True):
        ends = block.receiver.tolist(), block.sender.tolist(), block.weight.flatten().tolist()
        for receiver, sender, weight, angle in zip(*ends, angles, strict=True):
            if weight > 0.0:
                found[receiver, sender] = angle
    assert found.keys() == expected_angles.keys()
    for ends, angle in found.items():
        torch.testing.assert_close(angle, torch.from_numpy(expected_angles[ends]), atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("shares_states", [False, True])
@pytest.mark.parametrize("updates_links", [False, True])
def test_gradients_are_numerical_ones(updates_links, shares_states):
    layer = convolution(updates_links)
    names, parameters = zip(*layer.named_parameters(), strict=True)
    row = torch.tensor([2, 0, 1, 1, 0]) if shares_states else None
    receiver, sender = torch.tensor([0, 0, 1, 2, 1]), torch.tensor([1, 2, 0, 0, 1])
    inputs = (normal(5, WIDTH), normal(3 if shares_states else 5, WIDTH, seed=1), normal(4, WIDTH, seed=2))
    weights = normal(5, 1, seed=3).abs(), normal(4, 1, seed=4).abs()

    def outputs(nodes: Tensor, first: Tensor, second: Tensor, weight: Tensor, other: Tensor, *values: Tensor):
        blocks = (
            Block(receiver, sender, weight, row),
            Block(torch.tensor([3, 4, 4, 0]), torch.tensor([4, 4, 3, 1]), other),
        )
        arguments = (nodes, [first, second], blocks)
        new_nodes, states = functional_call(layer, dict(zip(names, values, strict=True)), arguments)
        return new_nodes, *states

    tensors = [x.detach().clone().requires_grad_() for x in (*inputs, *weights, *parameters)]
    assert torch.autograd.gradcheck(outputs, tensors, atol=1e-6, rtol=1e-4)


def test_autocast_changes_little_and_rounds_only_what_it_may():
    graph = crystal_graph(random_crystals(3, seed=11), GraphSettings(neighbours=6))
    bonded = bonds_of(graph)
    layer = EdgeGatedConvolution(64, torch.Generator().manual_seed(0))
    atoms, bonds = normal(graph.n_atoms, 64).float(), normal(bonded.n_edges, 64, seed=1).float()
    bonds.requires_grad_()
    results = []
    for enabled in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            new_atoms, (new_bonds,) = layer(atoms, [bonds], crystal_links(bonded))
        (gradient,) = torch.autograd.grad(new_atoms.square().sum() + new_bonds.square().sum(), bonds)
        assert new_atoms.dtype == new_bonds.dtype == gradient.dtype == torch.float32
        results.append((new_atoms, new_bonds, gradient))
    for mine, rounded in zip(*results, strict=True):
        difference = (mine - rounded).abs().mean() / mine.abs().mean()
        assert 0 < difference < 0.01


def test_a_line_graph_needs_triplets_and_reverse_edges():
    batch = random_crystals(2, seed=3)
    for missing in ("triplets", "reverse"):
        graph = crystal_graph(batch, GraphSettings(), **{missing: False})
        with pytest.raises(DataError, match=f"make it with {missing}=True"):
            line_graph(graph, bonds_of(graph), WIDTH)


@pytest.mark.skipif(not shutil.which("g++"), reason="compiling needs a C++ compiler")
@pytest.mark.parametrize("updates_links", [True, False])
def test_compiled_kernels_are_the_eager_ones(updates_links: bool):
    graph = graph_of()
    bonded = bonds_of(graph)
    blocks, cosines = line_graph(graph, bonded, WIDTH)

    def results(layer: EdgeGatedConvolution) -> list[Tensor]:
        bonds = normal(bonded.n_edges, WIDTH).requires_grad_()
        states = [normal(len(x), WIDTH, seed=1 + i).requires_grad_() for i, x in enumerate(cosines)]
        nodes, links = layer(bonds, states, blocks)
        loss = nodes.square().sum()
        for link, block in zip(links, blocks, strict=False):  # none, if the layer does not update them
            loss = loss + ((link * block.weight) ** 3).sum()
        return [nodes, *torch.autograd.grad(loss, [bonds, *states, *layer.parameters()])]

    layer = convolution(updates_links)
    eager = results(layer)
    assert compile_kernels(layer)
    for expected, found in zip(eager, results(layer), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


def test_compiling_without_a_compiler_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ConfigError, match="C\\+\\+ compiler"):
        compile_kernels(convolution())
