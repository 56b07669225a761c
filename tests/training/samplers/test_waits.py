"""Waits of the host for the device in a step of a training: none in the update, and no more for a larger batch."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from gflownet_crystal.envs.crystal import Crystal
from gflownet_crystal.gflownet.model import GFlowNet
from gflownet_crystal.gflownet.objectives import TrajectoryBalance
from gflownet_crystal.policies import MLPPolicy
from gflownet_crystal.proxies.mlp import MLPProxy
from gflownet_crystal.proxies.reward import Boltzmann, Reward
from gflownet_crystal.training.base import take_all_steps
from gflownet_crystal.training.samplers.settings import TrainerSettings
from gflownet_crystal.training.samplers.training import SamplerTraining
from tests.models.host_guard import HostGuard, HostWaits


class Guarded(SamplerTraining):
    """A training whose updates may not wait for the device, but for the figures at their end."""

    def update(self, loss: Tensor, figures: Mapping[str, Tensor]) -> dict[str, float]:
        with HostGuard():
            return super().update(loss, figures)


def training(batch_size: int, iterations: int) -> SamplerTraining:
    env = Crystal(["Na", "Cl"], [14, 62, 225], max_count=8, n_elements=[2, 2], n_atoms=[2, 16])
    model = GFlowNet(env, lambda s: MLPPolicy(s, 2, 32, seed=0), lambda s: MLPPolicy(s, 2, 32, seed=1))
    settings = TrainerSettings(iterations=iterations, batch_size=batch_size)
    return Guarded(model, Reward(MLPProxy(), Boltzmann(4.0)), TrajectoryBalance(), settings)


def waits(batch_size: int) -> int:
    stepped = training(batch_size, 1)
    with HostWaits() as found:
        take_all_steps(stepped)
    return found.lines.total()


def test_updates_wait_for_nothing_and_larger_batches_wait_no_more() -> None:
    take_all_steps(training(32, 3))
    few, many = waits(32), waits(512)
    assert 0 < many <= 1.2 * few
    assert many < 300
