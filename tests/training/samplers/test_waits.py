"""Waits of the host for a GPU in an iteration of a training: none in the update, few elsewhere, whatever the batch."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from gflownet_crystal.envs.crystal import Crystal
from gflownet_crystal.gflownet.model import GFlowNet
from gflownet_crystal.gflownet.objectives import TrajectoryBalance
from gflownet_crystal.policies import MLPPolicy
from gflownet_crystal.proxies.mlp import MLPProxy
from gflownet_crystal.proxies.reward import Boltzmann, Reward
from gflownet_crystal.training.samplers.settings import TrainerSettings
from gflownet_crystal.training.samplers.training import SamplerTraining
from tests.models.host_guard import HostGuard, HostWaits, as_on_a_gpu

ELEMENTS = ["Na", "Mg", "Fe", "O", "S", "F", "Cl"]

MOST_WAITS = 50
"""One to three a step of sampling, for the rows that go on and children in doubt, and some 16 checks of specs."""


class Guarded(SamplerTraining):
    """A training whose updates may not wait for the device, but for the figures at their end."""

    def update(self, loss: Tensor, figures: Mapping[str, Tensor]) -> dict[str, float]:
        with HostGuard():
            return super().update(loss, figures)


def training(batch_size: int, iterations: int) -> SamplerTraining:
    env = Crystal(ELEMENTS, [14, 62, 225], max_count=12, n_elements=[2, 4], n_atoms=[2, 24])
    model = GFlowNet(env, lambda s: MLPPolicy(s, 2, 32, seed=0), lambda s: MLPPolicy(s, 2, 32, seed=1))
    settings = TrainerSettings(iterations=iterations, batch_size=batch_size)
    return Guarded(model, Reward(MLPProxy(), Boltzmann(4.0)), TrajectoryBalance(), settings)


def waits(batch_size: int) -> HostWaits:
    stepped = training(batch_size, 2)
    with as_on_a_gpu():
        # tables are copied to the device in the first iteration
        stepped.take_step()
        with HostWaits() as found:
            stepped.take_step()
    return found


def test_updates_wait_for_nothing_and_an_iteration_seldom_waits() -> None:
    few, many = waits(32), waits(512)
    assert 0 < few.lines.total() <= MOST_WAITS and 0 < many.lines.total() <= MOST_WAITS
    # of the operations, more belong to a few further steps alone
    assert 0 < many.n_operations <= 1.2 * few.n_operations
