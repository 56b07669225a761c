"""Trajectories per second: training and sampling, beside the bare networks at equal shapes.

    OMP_NUM_THREADS=1 python -m benchmarks.trajectories [batch=1024] [iterations=10] [device=cpu] [env=crystal_paper]

The proxy is trivial (volume per atom), the networks are the paper's 3 x 256; on CPUs rates are of processor time.
"bare" runs the same networks, one forward and backward pass and Adam, on random input for all transitions with a
choice. The sampler passes equal states once, so that it may be faster than that.
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
from gflownet_crystal.gflownet.rollout import Trajectories, draw_forward, sample_forward, sample_terminal
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
    """Seconds after all queued work of the device is done: of the processor on CPUs, of the clock on GPUs."""
    if device.type != "cuda":
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
    passes: list[Callable[[], Tensor]] = []
    for index, part in enumerate(trajectories.stages):
        size = model.env.feature_sizes()[index]
        for policy, heads, support, backward in (
            (model.forward_policy, model.forward_heads, part.forward_support, False),
            (model.backward_policy, model.backward_heads, part.backward_support, True),
        ):
            rows = int((~heads[index].forced(support)).sum())
            columns = stage_columns(model.env, heads, backward)[index].to(model.device)
            features = torch.randn(rows, size, device=model.device)
            passes.append(partial(policy.some, index, features, columns))

    def step() -> None:
        total = torch.stack([one().sum() for one in passes]).sum()
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
        trajectories, forward = draw_forward(model, batch, generator)
        scored = reward(env.objects(trajectories.terminal))
        log_reward = scored.log_reward + env.log_reference(trajectories.terminal)
        log_pf, log_pb = evaluate(model, trajectories, forward)
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
