"""The flow of parameters: its integration against closed forms, its loss against a loop, and its weights."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from torch import Tensor

from gflownet_crystal.common.errors import ConfigError, WeightsError
from gflownet_crystal.models.sites.graph import SiteGraph
from gflownet_crystal.models.sites.network import SiteNetwork
from gflownet_crystal.models.sites.parameter_flow import KIND, ParameterFlow, velocity_loss
from gflownet_crystal.training.generators.site_data import uniform_parameters
from gflownet_crystal.weights import save_weights
from tests.models.small_sites import SMALL, known_sites
from tests.structures.conftest import CRYSTALS


class _Towards(SiteNetwork):
    """Says the velocity that ends at given parameters at time 1."""

    def __init__(self, target: Tensor) -> None:
        super().__init__(SMALL)
        self.target = target

    def forward(self, graph: SiteGraph, parameters: Tensor, time: Tensor) -> Tensor:
        way = self.target - parameters
        way = way - way.round()
        return graph.displacement(way).float() / (1.0 - time[graph.crystal, None])


@pytest.mark.parametrize(("steps", "velocity_scale"), [(1, 0.0), (7, 0.0), (20, 3.0)])
def test_a_flow_towards_a_point_ends_there(steps: int, velocity_scale: float) -> None:
    graph = known_sites().graph()
    generator = torch.Generator().manual_seed(0)
    start, target = uniform_parameters(graph, generator), uniform_parameters(graph, generator)
    found = ParameterFlow(_Towards(target)).integrate(graph, start, steps, velocity_scale)
    missed = found - target
    assert float((missed - missed.round()).abs().max()) < 1e-5
    assert float(found.min()) >= 0.0
    assert float(found.max()) < 1.0


class _Mixture(SiteNetwork):
    """The exact velocity towards one of several values of the only parameter: the mean way, given where it is now."""

    def __init__(self, values: Tensor, mass: Tensor) -> None:
        super().__init__(SMALL)
        self.values, self.mass = values, mass

    def forward(self, graph: SiteGraph, parameters: Tensor, time: Tensor) -> Tensor:
        here = parameters[graph.is_free][:, None]
        way = self.values - here
        way = (way - way.round()) / (1.0 - time.double()[:, None])
        # starts are uniform and ways shorter than half a turn, so that one value is as likely as another
        weight = self.mass * (way.abs() <= 0.5)
        mean = (weight * way).sum(1) / weight.sum(1).clamp(min=1e-9)
        change = torch.zeros_like(parameters)
        change[graph.is_free] = mean
        return graph.displacement(change).float()


def test_a_known_distribution_is_recovered() -> None:
    names = list(CRYSTALS)
    n = 400
    graph = known_sites().take(torch.full((n,), names.index("anatase"))).graph()
    assert int(graph.is_free.sum()) == n
    start = torch.zeros(len(graph.crystal), 3, dtype=torch.float64)
    start[graph.is_free] = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    mixture = _Mixture(torch.tensor([0.2, 0.6]).double(), torch.tensor([0.75, 0.25]).double())
    found = ParameterFlow(mixture).integrate(graph, start, 200)[graph.is_free]
    shares = [float(((found - value).abs() < 0.02).double().mean()) for value in (0.2, 0.6)]
    assert shares == pytest.approx([0.75, 0.25], abs=0.02)


def test_the_loss_is_the_mean_over_crystals_of_their_mobile_atoms() -> None:
    graph = known_sites().graph()
    generator = torch.Generator().manual_seed(1)
    predicted, wanted = torch.randn(2, len(graph.crystal), 3, generator=generator)
    losses = []
    for crystal in range(graph.n_crystals):
        squared, atoms, reach = 0.0, 0.0, 0.0
        for orbit in (graph.crystal == crystal).nonzero()[:, 0].tolist():
            if int(graph.freedom[orbit]) == 0:
                continue
            count = float(graph.multiplicity[orbit])
            squared += count * float((predicted[orbit] - wanted[orbit]).square().sum())
            reach += count * float(graph.span[orbit].square().sum()) / 12.0
            atoms += count
        losses.append(squared / reach if atoms else 0.0)
    expected = sum(losses) / len(losses)
    assert float(velocity_loss(graph, predicted, wanted)) == pytest.approx(expected, rel=1e-4)


def test_weights_are_read_back(tmp_path: Path) -> None:
    flow = ParameterFlow.new(SMALL, seed=5)
    path = tmp_path / "flow.safetensors"
    save_weights(path, dict(flow.state_dict()), {"kind": KIND, "network": {"settings": asdict(SMALL)}})
    again = ParameterFlow.from_weights(path)
    assert again.settings == SMALL
    for name, tensor in flow.state_dict().items():
        assert again.state_dict()[name].equal(tensor)
    save_weights(path, dict(flow.state_dict()), {"kind": "denoiser", "network": {"settings": asdict(SMALL)}})
    with pytest.raises(WeightsError):
        ParameterFlow.from_weights(path)


@pytest.mark.parametrize("size", ["n_far", "width", "n_radial", "vectors"])
def test_sizes_that_the_file_cannot_hold_are_refused(tmp_path: Path, size: str) -> None:
    path = tmp_path / "flow.safetensors"
    settings = {**asdict(SMALL), size: 10**8}
    save_weights(
        path, dict(ParameterFlow.new(SMALL).state_dict()), {"kind": KIND, "network": {"settings": settings}}
    )
    with pytest.raises(WeightsError, match="far larger than the tensors"):
        ParameterFlow.from_weights(path)


def test_a_flow_needs_steps() -> None:
    graph = known_sites().graph()
    with pytest.raises(ConfigError, match="steps"):
        ParameterFlow.new(SMALL).integrate(graph, torch.zeros(len(graph.crystal), 3).double(), 0)
