"""The network on sites: brute-force surroundings, and nothing said of axes, origin or which atom is the first."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.models.sites.graph import SiteGraph
from gflownet_crystal.models.sites.network import SiteNetwork, Surroundings
from gflownet_crystal.models.sites.parameter_flow import ParameterFlow
from gflownet_crystal.models.sites.settings import SiteSettings
from gflownet_crystal.structures.distances import covalent_radii
from gflownet_crystal.training.generators.site_data import uniform_parameters
from tests.models.small_sites import SMALL, known_sites, sorted_distances


def _time(n: int) -> Tensor:
    return torch.linspace(0.1, 0.9, n)


def _points(graph: SiteGraph, parameters: Tensor) -> tuple[Tensor, Tensor]:
    """Cartesian places of the first atoms of the orbits and of the other atoms of the pairs, A."""
    own = torch.einsum("oi,oij->oj", parameters, graph.map) + graph.offset
    atoms = torch.einsum("ni,nij->nj", parameters[graph.orbit], graph.atom_map) + graph.atom_offset
    basis = graph.lattices.basis
    crystal = graph.crystal
    return (
        torch.einsum("oi,oij->oj", own, basis[crystal]),
        torch.einsum("ni,nij->nj", atoms, basis[crystal[graph.orbit]])[graph.atom],
    )


def test_surroundings_are_sums_over_all_images() -> None:
    settings = replace(SMALL, images=400)
    data = known_sites(settings)
    graph = data.graph()
    parameters = uniform_parameters(graph, torch.Generator().manual_seed(0))
    around = Surroundings.of(graph, parameters, settings)
    own, other = (points.numpy() for points in _points(graph, parameters))
    radii = covalent_radii(graph.atomic_number).numpy()
    steps = np.array(np.meshgrid(*[np.arange(-5, 6)] * 3)).reshape(3, -1).T
    spacing = settings.cutoff / (settings.n_radial - 1)
    for pair in range(0, len(graph.first), 7):
        first, second = int(graph.first[pair]), int(graph.orbit[graph.atom[pair]])
        basis = graph.lattices.basis[graph.crystal[first]].numpy()
        vectors = other[pair] - own[first]
        vectors = vectors - np.round(vectors @ np.linalg.inv(basis)) @ basis + steps @ basis
        lengths = np.linalg.norm(vectors, axis=1)
        vectors, lengths = vectors[lengths > 1e-6], lengths[lengths > 1e-6]
        spread = np.linspace(2.0, 16.0, settings.n_far)
        far = np.exp(-0.5 * ((lengths.min() - spread) / (14.0 / (settings.n_far - 1))) ** 2)
        share = np.exp((lengths.min() - lengths) / 0.2)
        towards = (vectors / lengths[:, None]).T @ share / share.sum()
        np.testing.assert_allclose(around.scalars[pair, -settings.n_far :].numpy(), far, atol=1e-4)
        told = around.vectors[:, pair, settings.n_radial :].numpy()
        np.testing.assert_allclose(told, towards[:, None] * far, atol=1e-4)
        near = lengths < settings.cutoff
        vectors, lengths = vectors[near], lengths[near]
        fade = 0.5 * (np.cos(np.pi * lengths / settings.cutoff) + 1.0)
        centres = np.linspace(0.0, settings.cutoff, settings.n_radial)
        radial = np.exp(-0.5 * ((lengths[:, None] - centres) / spacing) ** 2) * fade[:, None]
        scaled = lengths / (radii[first] + radii[second])
        centres = np.linspace(0.3, 2.1, settings.n_relative)
        relative = np.exp(-0.5 * ((scaled[:, None] - centres) / (1.8 / 3.0)) ** 2) * fade[:, None]
        units = vectors / lengths[:, None]
        scalars = np.concatenate([radial.sum(0), relative.sum(0)])
        np.testing.assert_allclose(around.scalars[pair, : len(scalars)].numpy(), scalars, atol=1e-4)
        np.testing.assert_allclose(
            around.vectors[:, pair, : settings.n_radial].numpy(), units.T @ radial, atol=1e-4
        )


def test_rotated_crystals_move_equally() -> None:
    data = known_sites()
    graph = data.graph()
    network = SiteNetwork(SMALL, seed=1)
    turn = torch.from_numpy(Rotation.random(random_state=0).as_matrix())
    lattices = graph.lattices
    turned = replace(
        graph,
        lattices=replace(
            lattices,
            cell=lattices.cell @ turn,
            basis=lattices.basis @ turn,
            translations=lattices.translations @ turn.float(),
        ),
        span=graph.span @ turn,
        read=turn.T @ graph.read,
        turn=turn.float().T @ graph.turn @ turn.float(),
        translation=graph.translation @ turn.float(),
    )
    parameters = uniform_parameters(graph, torch.Generator().manual_seed(0))
    time = _time(len(data))
    with torch.no_grad():
        still, other = network(graph, parameters, time), network(turned, parameters, time)
    assert float(still.abs().max()) > 0.01
    torch.testing.assert_close(still @ turn.float(), other, rtol=1e-3, atol=1e-4)


def test_what_is_said_obeys_the_symmetry_of_the_sites_and_has_no_drift() -> None:
    settings = replace(SMALL, images=400)
    data = known_sites(settings)
    graph = data.graph()
    flow = ParameterFlow.new(settings, seed=2)
    parameters = uniform_parameters(graph, torch.Generator().manual_seed(1))
    with torch.no_grad():
        said = flow.network(graph, parameters, _time(len(data)))
        allowed = flow(graph, parameters, _time(len(data)))
    torch.testing.assert_close(said, allowed, rtol=1e-3, atol=2e-4)
    assert float(graph.drift(said).abs().max()) < 1e-5


def test_every_description_of_a_crystal_moves_to_the_same_crystal() -> None:
    data = known_sites()
    graph = data.graph()
    flow = ParameterFlow.new(SMALL, seed=3)
    time = _time(len(data))
    n_orbits = data.n_orbits
    entries = data.placements * n_orbits
    # the last image in the last placement of each crystal, beside the first in the first one
    ends = data.images.cumsum(0)
    starts = entries.cumsum(0) - entries
    first = torch.cat([starts[i] + torch.arange(n_orbits[i]) for i in range(len(data))])
    last = torch.cat(
        [starts[i] + entries[i] - n_orbits[i] + torch.arange(n_orbits[i]) for i in range(len(data))]
    )
    one = data.parameters[ends[first] - data.images[first]]
    other = data.parameters[ends[last] - 1]
    assert int((one - other).abs().gt(1e-6).any(1).sum()) > 10
    moved = []
    for parameters in (one, other):
        with torch.no_grad():
            step = graph.in_parameters(flow(graph, parameters, time))
        assert float(step.abs().max()) > 1e-3
        moved.append(sorted_distances(data, parameters + step))
    for left, right in zip(*moved, strict=True):
        torch.testing.assert_close(left, right, rtol=0, atol=2e-3)


def test_a_crystal_does_not_depend_on_its_batch() -> None:
    data = known_sites()
    graph = data.graph()
    flow = ParameterFlow.new(SMALL, seed=4)
    parameters = uniform_parameters(graph, torch.Generator().manual_seed(2))
    time = _time(len(data))
    with torch.no_grad():
        together = flow(graph, parameters, time)
        for row in range(len(data)):
            mine = graph.crystal == row
            alone = flow(data.take(torch.tensor([row])).graph(), parameters[mine], time[row : row + 1])
            torch.testing.assert_close(alone, together[mine], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("option", ["width", "n_layers", "cutoff", "images"])
def test_sizes_have_to_be_positive(option: str) -> None:
    with pytest.raises(ValueError, match=option):
        SiteSettings(**{option: 0})


@pytest.mark.parametrize("width", [1, 3, 31])
def test_the_time_has_sines_and_cosines_in_pairs(width: int) -> None:
    with pytest.raises(ConfigError, match="time_width must be even"):
        SiteSettings(time_width=width)


@pytest.mark.parametrize("cutoff", [1e308, 101.0, 0.0, float("nan")])
def test_cutoffs_that_no_crystal_needs_are_refused(cutoff: float) -> None:
    with pytest.raises(ConfigError, match=r"generator\.network\.cutoff must be"):
        SiteSettings(cutoff=cutoff)
