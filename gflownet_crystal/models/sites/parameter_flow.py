"""Flow matching on the torus of the free parameters of Wyckoff positions.

Paths are straight on the torus: u + t (p - u), from uniform parameters u to those of a crystal p (R. Chen and
Y. Lipman, "Flow matching on general geometries", ICLR 2024; B. Miller et al., "FlowMM", ICML 2024). The velocity is
learned as a displacement of the first atom of each orbit, in Å, and read as a change of its parameters in the metric
of the lattice.
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn

from gflownet_crystal.common.arguments import settings_from
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.models.sites.graph import SiteGraph
from gflownet_crystal.models.sites.network import SiteNetwork
from gflownet_crystal.models.sites.settings import SiteSettings
from gflownet_crystal.weights import fitting_card, load_weights

KIND = "wyckoff_sampler"
"""Kind of the weights."""


class ParameterFlow(nn.Module):
    """The velocity of free parameters, and its integration from noise to crystals.

    Args:
        network: displacements of first atoms.
    """

    def __init__(self, network: SiteNetwork) -> None:
        super().__init__()
        self.network = network

    @classmethod
    def new(cls, settings: SiteSettings, seed: int = 0) -> Self:
        """A flow with new weights."""
        return cls(SiteNetwork(settings, seed))

    @classmethod
    def from_weights(cls, weights: str | Path) -> Self:
        """A trained one, on the CPU.

        Args:
            weights: name of shipped weights, or a ``.safetensors`` file.

        Raises:
            WeightsError: there are none, or they are of another kind.
        """
        tensors, card = load_weights(weights, KIND)
        with fitting_card(weights):
            flow = cls.new(settings_from(SiteSettings, card["network"]["settings"], "network.settings"))
            flow.load_state_dict(tensors)
        return flow.eval()

    @property
    def settings(self) -> SiteSettings:
        """Sizes of the network."""
        return self.network.settings

    def forward(self, graph: SiteGraph, parameters: Tensor, time: Tensor) -> Tensor:
        """Velocities of the first atoms along their free directions, (O, 3) Å, in the dtype of the weights.

        Args:
            graph: O orbits of n crystals.
            parameters: (O, 3) float64.
            time: (n,) float32, 0 (noise) to 1 (crystal).
        """
        velocity: Tensor = self.network(graph, parameters, time)
        allowed = (graph.read @ graph.span).to(velocity.dtype)
        return torch.einsum("oi,oij->oj", velocity, allowed)

    @torch.no_grad()
    def integrate(
        self, graph: SiteGraph, start: Tensor, steps: int, velocity_scale: float = 0.0, first: int = 0
    ) -> Tensor:
        """Follow the flow with Euler's method; returns (O, 3) float64 parameters in [0, 1).

        Args:
            graph: O orbits of n crystals.
            start: (O, 3) float64 in [0, 1), uniform noise; or nearer to the crystal where the first steps are left out.
            steps: number of steps from noise to crystals.
            first: number of the first step that is taken.
            velocity_scale: strength of FlowMM's anti-annealing: velocities are multiplied by 1 + velocity_scale * t,
                which sharpens the distribution; no step leads beyond where the path would end.
        """
        if steps < 1:
            raise ConfigError(f"generator.steps must be at least 1, not {steps}")
        parameters = start
        for step in range(first, steps):
            share = step / steps
            time = torch.full((graph.n_crystals,), share, device=start.device)
            change = graph.in_parameters(self(graph, parameters, time))
            factor = min((1.0 + velocity_scale * share) / steps, 1.0 - share)
            parameters = parameters + factor * change
        wrapped = parameters - parameters.floor()
        return wrapped.where(wrapped < 1.0, 0.0)


def velocity_loss(graph: SiteGraph, predicted: Tensor, wanted: Tensor) -> Tensor:
    """Mean squared error of velocities, in units of the free range of each crystal's atoms.

    Args:
        graph: O orbits of n crystals.
        predicted: (O, 3) of the first atoms, Å.
        wanted: (O, 3) Å.

    Returns:
        () the mean over crystals of the mean over atoms that can move.
    """
    error = (predicted - wanted).square().sum(1) / graph.reach[graph.crystal].square()
    zero = error.new_zeros(graph.n_crystals)
    total = zero.index_add(0, graph.crystal, error * graph.mobile)
    return (total / zero.index_add(0, graph.crystal, graph.mobile).clamp(min=1.0)).mean()
