"""Whole numbers of weights are stored in the smallest type that holds them, and come back with their values."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from gflownet_crystal.common.files import load_tensors
from gflownet_crystal.weights import load_weights, save_weights

KINDS = {
    "uint8": torch.tensor([0, 255]),
    "int16": torch.tensor([[-1, 255], [256, 32_767]], dtype=torch.int32),
    "int32": torch.tensor([-32_769, 2**31 - 1]),
    "int64": torch.tensor([2**31]),
    "bool": torch.tensor([True, False]),
    "int8": torch.tensor([3, 4], dtype=torch.int8),
    "float32": torch.tensor([1.0, 2.0]),
}


@pytest.mark.parametrize("name", KINDS)
def test_type_is_the_smallest(name: str, tmp_path: Path) -> None:
    path = tmp_path / "own.safetensors"
    save_weights(path, {"given": KINDS[name]}, {"kind": "test"})
    stored = load_tensors(path)[0]["given"]
    assert str(stored.dtype) == f"torch.{name}"
    again = load_weights(path, "test")[0]["given"]
    assert torch.equal(again.to(KINDS[name].dtype), KINDS[name])


def test_tensors_without_numbers_are_stored(tmp_path: Path) -> None:
    path = tmp_path / "own.safetensors"
    save_weights(path, {"none": torch.zeros(0, 3, dtype=torch.int64)}, {"kind": "test"})
    assert load_weights(path, "test")[0]["none"].shape == (0, 3)
