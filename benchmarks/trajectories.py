"""Trajectories per second: training and sampling, beside the bare networks at equal shapes.

    OMP_NUM_THREADS=1 python -m benchmarks.trajectories [batch=1024] [iterations=10] [device=cpu] [env=crystal_paper]

The proxy is trivial (volume per atom), the networks are the paper's 3 x 256. "bare" runs the same networks, forward
and backward pass and Adam, on random input of the recorded numbers of transitions: the ceiling that the networks set.
Rates are by processor time on a CPU, and by the clock on a GPU.
"""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from benchmarks.options import read_options, run
from gflownet_crystal.common.devices import find_device
from gflownet_crystal.config.build import build
from gflownet_crystal.config.compose import compose_config
from gflownet_crystal.envs.base import Env
from gflownet_crystal.gflownet.evaluated import Evaluated
from gflownet_crystal.gflownet.log_probs import evaluate
from gflownet_crystal.gflownet.model import GFlowNet
from gflownet_crystal.gflownet.objectives import TrajectoryBalance
from gflownet_crystal.gflownet.rollout import Trajectories, sample_forward, sample_terminal
from gflownet_crystal.policies import MixtureSettings, MLPPolicy, UniformPolicy
from gflownet_crystal.policies.base import stage_columns
from gflownet_crystal.policies.distributions import ON_POLICY
from gflownet_crystal.proxies import Boltzmann, Proxy, Reward
from gflownet_crystal.structures.spec import CrystalSpec

_DEFAULTS = {"batch": "1024", "iterations": "10", "device": "cpu", "env": "crystal_paper"}


class VolumePerAtom(Proxy):
    """The trivial proxy: costs nothing beside the sampler."""

    property_name = "volume_per_atom"
    unit = "Å^3/atom"

    def predict(self, batch: CrystalSpec) -> Tensor:
        return batch.volume_per_atom


def synchronised_seconds(device: torch.device) -> float:
    """Wall clock of a GPU after all its queued work is done; processor time of a CPU, which may have other work."""
    if device.type == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def rate(work: Callable[[], None], items: int, iterations: int, device: torch.device) -> float:
    """Items per second of ``iterations`` calls, after two calls of warm-up."""
    for _ in range(2):
        work()
    start = synchronised_seconds(device)
    for _ in range(iterations):
        work()
    return items * iterations / (synchronised_seconds(device) - start)


def make_model(env: Env, backward: type, device: torch.device) -> tuple[GFlowNet, torch.optim.Optimizer]:
    """The paper's policies and Adam."""
    mixture = MixtureSettings(n_components=5, concentration_high=100.0, joint=False)
    model = GFlowNet(env, MLPPolicy, backward, mixture).to(device)
    return model, torch.optim.Adam(model.parameters(), lr=1e-4)


def bare_step(
    model: GFlowNet, optimizer: torch.optim.Optimizer, trajectories: Trajectories
) -> Callable[[], None]:
    """One training step of the networks alone, on random input of the shapes the trajectories needed."""
    calls = []
    for policy, heads, backward in (
        (model.forward_policy, model.forward_heads, False),
        (model.backward_policy, model.backward_heads, True),
    ):
        columns = stage_columns(model.env, heads, backward)
        for index, part in enumerate(trajectories.stages):
            support = part.backward_support if backward else part.forward_support
            rows = int((~heads[index].forced(support)).sum())
            features = torch.randn(rows, model.env.feature_sizes()[index], device=model.device)
            calls.append(partial(policy.some, index, features, columns[index]))

    def step() -> None:
        with torch.no_grad():
            for call in calls[: len(trajectories.stages)]:
                call()
        total = torch.stack([call().sum() for call in calls]).sum()
        optimizer.zero_grad()
        if total.requires_grad:
            total.backward()
        optimizer.step()

    return step


def measure(env: Env, backward: type, batch: int, iterations: int, device: torch.device) -> dict[str, float]:
    """Rates with one kind of backward policy."""
    model, optimizer = make_model(env, backward, device)
    reward = Reward(VolumePerAtom(), Boltzmann(beta=0.01))
    generator = torch.Generator(device).manual_seed(0)
    objective = TrajectoryBalance()

    def train() -> None:
        trajectories = sample_forward(model, batch, generator)
        scored = reward(env.objects(trajectories.terminal))
        log_reward = scored.log_reward + env.log_reference(trajectories.terminal)
        log_pf, log_pb = evaluate(model, trajectories)
        loss = objective(Evaluated(model.log_z, log_pf, log_reward + log_pb, batch))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    trajectories = sample_forward(model, batch, generator, ON_POLICY)
    training = rate(train, batch, iterations, device)
    bare = rate(bare_step(model, optimizer, trajectories), batch, iterations, device)
    return {
        "transitions_per_trajectory": trajectories.n_transitions / batch,
        "training_per_s": training,
        "bare_networks_per_s": bare,
        "share_of_bare": training / bare,
        "sampling_per_s": rate(lambda: _sample(model, batch, generator), batch, iterations, device),
    }


def _sample(model: GFlowNet, batch: int, generator: torch.Generator) -> None:
    model.env.objects(sample_terminal(model, batch, generator))


def main(arguments: list[str]) -> None:
    """Measure both backward policies and print one JSON object."""
    options = read_options(__doc__, _DEFAULTS, arguments)
    batch, iterations = int(options["batch"]), int(options["iterations"])
    device = find_device(options["device"])
    config = compose_config("train_gfn", [f"env={options['env']}"])
    start = time.perf_counter()
    env = build(config.env, Env, "env").to(device)
    result = {
        "batch": batch,
        "device": torch.cuda.get_device_name()
        if device.type == "cuda"
        else platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "set_up_s": time.perf_counter() - start,
        "learned_backward": measure(env, MLPPolicy, batch, iterations, device),
        "uniform_backward": measure(env, UniformPolicy, batch, iterations, device),
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    run(main)
