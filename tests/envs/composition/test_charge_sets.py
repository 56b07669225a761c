"""Sets of charges against sets of Python integers."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import pytest
import torch
from torch import Tensor

from gflownet_crystal.envs.composition.charge_sets import ChargeKernels, pack, unpack
from tests.models.host_guard import as_on_a_gpu

Device = Callable[[], AbstractContextManager[None]]


def random_sets(n: int, radius: int, generator: torch.Generator) -> Tensor:
    """Sets of very different density, among them empty ones, runs and runs at a distance of three."""
    density = torch.rand(n, 1, generator=generator) ** 3
    member = torch.rand(n, 2 * radius + 1, generator=generator) < density
    member[0], member[1] = False, True
    member[2], member[3] = False, False
    member[2, radius - 40 : radius + 30], member[3, radius - 60 : radius - 2 : 3] = True, True
    return member


@pytest.mark.parametrize("device", [nullcontext, as_on_a_gpu])
def test_differences_are_those_of_integers_within_the_radius(device: Device) -> None:
    generator, radius = torch.Generator().manual_seed(0), 101
    kernels = random_sets(40, radius, generator)
    number = torch.randint(40, (300,), generator=generator)
    sets = random_sets(300, radius, generator)
    with device():
        found = unpack(ChargeKernels(kernels).subtract(pack(sets), number), radius)
    charges = range(-radius, radius + 1)
    for row, kernel in enumerate(number.tolist()):
        minuends = [charge for charge, inside in zip(charges, sets[row].tolist(), strict=True) if inside]
        others = [charge for charge, inside in zip(charges, kernels[kernel].tolist(), strict=True) if inside]
        differences = {first - second for first in minuends for second in others}
        assert found[row].tolist() == [charge in differences for charge in charges]
