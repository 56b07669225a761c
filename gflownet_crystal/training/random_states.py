"""Seeds of random generators, and their states in a checkpoint, which fit the kind of device they were made on only."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from gflownet_crystal.common.errors import CheckpointError

CPU_NAME = "generators"
"""Of the states of generators on CPUs; those of others have the kind of device behind it."""

# seeds of the streams of a training lie this far apart
_SEED_STEP = 1_000_003
# separates the new stream of a resumed training from those of seeds and processes
_STREAM_STEP = 7_368_787


def stream(seed: int, number: int, device: torch.device | str = "cpu") -> torch.Generator:
    """Random generator of one of the streams of a training: that of a process, or of a step."""
    return torch.Generator(device).manual_seed(seed + _SEED_STEP * number)


def state_name(device: torch.device) -> str:
    """Name of a checkpoint's tensor of generator states, one row a process."""
    return CPU_NAME if device.type == "cpu" else f"{CPU_NAME}_{device.type}"


def check_processes(stored: object, size: int) -> None:
    """Refuse to go on with another number of processes than the run was trained by.

    Raises:
        CheckpointError: the numbers differ.
    """
    if stored != size:
        raise CheckpointError(f"the run was trained by {stored} processes and now has {size}; start as many")


def restore_generator(
    generator: torch.Generator, stored: Mapping[str, Tensor], rank: int, size: int, iteration: int
) -> str | None:
    """Put a stored state in a generator, or start a new stream where the device is of another kind.

    Args:
        generator: random generator on the training device, seeded as for a new training.
        stored: (processes, bytes) uint8 states by :func:`state_name`.
        rank: rank of this process.
        size: number of processes.
        iteration: finished iterations; streams that start at different ones differ.

    Returns:
        None, or words on the new stream.

    Raises:
        CheckpointError: no states, or those of another number of processes.
        RuntimeError: a state that the generator does not take.
    """
    if not stored:
        raise CheckpointError("the checkpoint holds no state of a random generator; train again")
    check_processes(len(next(iter(stored.values()))), size)
    # checkpoints of before had one name for all kinds of device, whose states differ in their length
    named = (stored.get(name) for name in (state_name(generator.device), CPU_NAME))
    fitting = [
        states for states in named if states is not None and states.shape[1:] == generator.get_state().shape
    ]
    if fitting:
        generator.set_state(fitting[0][rank].clone())
        return None
    generator.manual_seed(generator.initial_seed() + _STREAM_STEP * (iteration + 1))
    return (
        f"the run goes on with {generator.device.type}, another kind of device than it was trained on, whose random "
        f"numbers are others: a new stream of them starts after iteration {iteration}"
    )
