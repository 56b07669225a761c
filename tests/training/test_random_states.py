"""Random streams of trainings that go on, on the same kind of device and on another."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from gflownet_crystal.common.errors import CheckpointError
from gflownet_crystal.training.random_states import restore_generator, state_name

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)


class CudaGenerator:
    """The interface of a generator on a GPU, whose state is 16 bytes."""

    device = CUDA

    def __init__(self, seed: int) -> None:
        self.seed, self.state = seed, torch.zeros(16, dtype=torch.uint8)

    def initial_seed(self) -> int:
        return self.seed

    def manual_seed(self, seed: int) -> CudaGenerator:
        self.seed = seed
        return self

    def get_state(self) -> Tensor:
        return self.state

    def set_state(self, state: Tensor) -> None:
        assert state.shape == (16,) and state.device == CPU
        self.state = state


def cpu_states(*seeds: int) -> dict[str, Tensor]:
    states = [torch.Generator().manual_seed(seed).get_state() for seed in seeds]
    return {state_name(CPU): torch.stack(states)}


def test_the_same_kind_of_device_goes_on_bit_for_bit() -> None:
    first = torch.Generator().manual_seed(3)
    torch.rand(5, generator=first)
    stored = {state_name(CPU): torch.stack([torch.Generator().get_state(), first.get_state()])}
    again = torch.Generator().manual_seed(9)
    assert restore_generator(again, stored, rank=1, size=2, iteration=7) is None
    assert torch.equal(torch.rand(5, generator=first), torch.rand(5, generator=again))
    state = torch.arange(16, dtype=torch.uint8)
    for name in (state_name(CUDA), "generators"):
        # the second name is that of checkpoints which knew one kind of device only
        cuda = CudaGenerator(3)
        assert restore_generator(cuda, {name: state[None]}, 0, 1, 7) is None  # type: ignore[arg-type]
        assert torch.equal(cuda.state, state)


def test_a_gpu_takes_no_state_of_a_cpu_but_a_stream_of_its_own() -> None:
    cuda = CudaGenerator(5)
    said = restore_generator(cuda, cpu_states(1), 0, 1, iteration=40)  # type: ignore[arg-type]
    assert said is not None and "cuda" in said and "new stream" in said and "after iteration 40" in said
    assert cuda.seed != 5 and not cuda.state.any()


@pytest.mark.parametrize("name", ["generators_cuda", "generators"])
def test_a_cpu_takes_no_state_of_a_gpu_but_a_stream_of_its_own(name: str) -> None:
    stored = {name: torch.zeros(1, 16, dtype=torch.uint8)}
    streams = []
    for seed, iteration in ((0, 40), (0, 40), (0, 41), (1, 40)):
        generator = torch.Generator().manual_seed(seed)
        said = restore_generator(generator, stored, 0, 1, iteration)
        assert said is not None and f"after iteration {iteration}" in said
        streams.append(tuple(torch.rand(4, generator=generator).tolist()))
    # repeatable, and neither the stream of a new training nor that of another place or seed
    assert streams[0] == streams[1] and len(set(streams)) == 3
    assert tuple(torch.rand(4, generator=torch.Generator().manual_seed(0)).tolist()) not in streams


def test_the_number_of_processes_stays() -> None:
    with pytest.raises(CheckpointError, match="by 2 processes and now has 3"):
        restore_generator(torch.Generator(), cpu_states(0, 1), 0, 3, 1)
    with pytest.raises(CheckpointError, match="no state"):
        restore_generator(torch.Generator(), {}, 0, 1, 1)
