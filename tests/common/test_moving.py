"""Objects that move to a device, on PyTorch's device without storage."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gflownet_crystal.common.moving import CopiedToDevice, MovedToDevice
from gflownet_crystal.models.energies.trained import TrainedEnergies
from gflownet_crystal.proxies.e_above_hull import EnergyAboveHull
from gflownet_crystal.proxies.mlp import MLPProxy


@dataclass(frozen=True)
class Part(CopiedToDevice):
    values: Tensor
    number: int = 3


@dataclass(frozen=True)
class Whole(CopiedToDevice):
    part: Part
    values: Tensor | None


class Holder(MovedToDevice):
    def __init__(self) -> None:
        self.values, self.name = torch.ones(2), "one"
        self.network = nn.Linear(2, 3)
        self.listed = [torch.ones(2)]


class Outer(MovedToDevice):
    def __init__(self) -> None:
        self.inner, self.nothing = Holder(), None
        self.several = (Holder(), "two", (torch.ones(2),))


def test_a_copy_has_all_tensors_on_the_device_and_leaves_the_original() -> None:
    whole = Whole(Part(torch.ones(2)), None)
    moved = whole.to("meta")
    assert moved.part.values.device.type == "meta" and moved.part.number == 3 and moved.values is None
    assert whole.part.values.device.type == "cpu"


def test_tensors_networks_and_parts_move_in_place() -> None:
    outer = Outer()
    assert outer.to("meta") is outer
    inner = outer.inner
    assert inner.values.device.type == "meta" and inner.network.weight.device.type == "meta"
    # lists are for the class itself to move
    assert inner.listed[0].device.type == "cpu" and inner.name == "one"
    held, name, (values,) = outer.several
    assert held.values.device.type == "meta" and name == "two" and values.device.type == "meta"


def test_a_proxy_moves_whole_but_its_hull_stays_on_the_cpu() -> None:
    proxy = EnergyAboveHull(MLPProxy("mlp", placing="placing"))
    proxy.to("meta")
    energy = proxy.energy
    assert isinstance(energy, MLPProxy) and energy.placing is not None
    held = [*energy.network.parameters(), energy.shape_range, *energy.placing.heads.parameters()]
    assert {tensor.device.type for tensor in held} == {"meta"}
    assert energy.placing.calibration.device.type == "meta"
    assert {x.device.type for x in vars(proxy.hull).values() if isinstance(x, Tensor)} <= {"cpu"}


def test_an_energy_model_moves_whole() -> None:
    model = TrainedEnergies("alignn")
    model.to("meta")
    assert {tensor.device.type for tensor in model.model.state_dict().values()} == {"meta"}
    assert model.uncertainty is not None
    assert {tensor.device.type for tensor in model.uncertainty.state_dict().values()} == {"meta"}
