"""Precision of matrix products by device."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest
import torch

from gflownet_crystal.common import devices

CPU = torch.device("cpu")


def product(half: bool) -> torch.Tensor:
    with devices.autocast(CPU, half):
        return torch.ones(4, 4) @ torch.ones(4, 4)


@pytest.mark.parametrize(("instructions", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_products_are_in_bfloat16_where_the_processor_has_instructions_for_it(
    monkeypatch, instructions, dtype
):
    monkeypatch.setattr(devices, "_has_bfloat16", lambda device: instructions)
    assert product(half=True).dtype == dtype
    assert product(half=False).dtype == torch.float32


@pytest.mark.skipif(platform.machine() != "x86_64", reason="reads the flags of an x86 processor")
def test_a_processor_without_wide_registers_computes_in_float32():
    flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("flags", 1)[1].splitlines()[0].split()
    if "avx512bw" not in flags:
        assert product(half=True).dtype == torch.float32
    else:
        assert product(half=True).dtype == torch.bfloat16
