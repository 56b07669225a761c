"""The limit on tensors made while a network is built."""

import subprocess
import sys

import pytest
import torch

from gflownet_crystal.common.allocations import at_most
from tests.own_pages import REPOSITORY


@pytest.mark.parametrize(
    "make",
    [
        lambda: torch.empty(10_000, 10_000),
        lambda: torch.zeros((10**8,)),
        lambda: torch.linspace(0.0, 1.0, 10**8),
        lambda: torch.arange(10**8),
        lambda: torch.arange(5, 10**8),
        lambda: torch.arange(0.0, 10.0, 1e-7),
        lambda: torch.linspace(0.0, 1.0, steps=10**8),
        lambda: torch.randn(10**4, 10**4),
        lambda: torch.rand(size=(10**4, 10**4), generator=torch.Generator(), device="cpu"),
        lambda: torch.full((10**8,), 0.5),
        lambda: torch.randint(0, 3, (10**8,)),
        lambda: torch.eye(10**4, 10**4),
        lambda: torch.nn.Linear(10**4, 10**4),
    ],
)
def test_large_tensors_are_refused(make):
    with pytest.raises(ValueError, match="larger than the tensors"), at_most(100):
        make()


def test_many_small_ones_count_together():
    with pytest.raises(ValueError, match="larger than the tensors"), at_most(100):
        torch.nn.ModuleList(torch.nn.Linear(30, 30) for _ in range(10**6))


def test_a_network_of_the_stored_size_passes():
    with at_most(10**6):
        assert torch.nn.Linear(1000, 1000).weight.shape == (1000, 1000)
    with at_most(None):
        assert torch.empty(30_000_000).numel() == 30_000_000


def test_the_compiler_of_torch_is_not_imported():
    code = (
        "import sys, torch; from gflownet_crystal.common.allocations import at_most\n"
        "with at_most(100): torch.zeros(3), torch.arange(3)\n"
        "assert not {'torch._dynamo', 'sympy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=REPOSITORY)
