"""Matrices in 8 bits: half a step of the row at most, everything else as it was, and files that are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from gflownet_crystal.common.errors import WeightsError
from gflownet_crystal.common.files import load_tensors, read_json, save_tensors
from gflownet_crystal.weights import FOLDER, build_eight_bits, load_weights, save_weights, weights_path
from gflownet_crystal.weights.eight_bits import SCALE, restored, rounded

LIMIT = 30_000_000
"""Bytes of all shipped weights."""


def tensors() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(40, 64, generator=generator) * torch.logspace(-6, 3, 40)[:, None]
    rows[3] = 0.0
    return {
        "matrix": rows,
        "stack": torch.randn(3, 5, 20, generator=generator).half(),
        "narrow": torch.randn(4, 4, generator=generator),
        "vector": torch.randn(100, generator=generator).half(),
        "counts": torch.arange(60).reshape(3, 20),
    }


def test_numbers_differ_by_half_a_step_of_their_row() -> None:
    given, again = tensors(), restored(rounded(tensors()))
    assert set(given) == set(again)
    for name in ("matrix", "stack"):
        step = given[name].float().abs().amax(dim=-1, keepdim=True) / 127
        error = (again[name] - given[name].float()).abs()
        assert bool((error <= step * (0.5 + 1e-4)).all())
        assert again[name].dtype == torch.float32 and float(error.max()) > 0.0
    assert again["matrix"][3].eq(0.0).all()
    for name in ("narrow", "vector", "counts"):
        assert torch.equal(again[name], given[name])


def test_matrices_take_half_the_place(tmp_path: Path) -> None:
    halves = {"matrix": torch.randn(500, 200).half()}
    sizes = []
    for number, stored in enumerate((halves, rounded(halves))):
        path = tmp_path / f"{number}.safetensors"
        save_tensors(path, stored)
        sizes.append(path.stat().st_size)
    assert sizes[1] < 0.53 * sizes[0]


def test_shipped_names_are_rounded_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "w.safetensors"
    network = {"uncertainty.whitening": torch.randn(32, 32), "network.layer": torch.randn(32, 32).half()}
    save_weights(path, network, {"kind": "k"})
    trained = read_json(path.with_suffix(".json"))["sha256"]
    build_eight_bits.main([str(path), str(path)])
    assert "is in 8 bits already" in capsys.readouterr().out
    found, card = load_weights(path, "k")
    assert torch.equal(found["uncertainty.whitening"], network["uncertainty.whitening"])
    assert load_tensors(path)[0]["network.layer"].dtype == torch.int8
    expected = restored(rounded({"w": network["network.layer"]}))["w"]
    assert torch.equal(found["network.layer"], expected)
    assert card["sha256_trained"] == trained != card["sha256"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"w" + SCALE: torch.ones(3)},
        {"w": torch.ones(3, 20), "w" + SCALE: torch.ones(3)},
        {"w": torch.ones(3, 20, dtype=torch.int8), "w" + SCALE: torch.ones(4)},
        {"w": torch.ones(3, 20, dtype=torch.int8), "w" + SCALE: torch.ones(3, 20)},
    ],
    ids=["no matrix", "no whole numbers", "another number of rows", "another shape"],
)
def test_scales_that_fit_no_matrix_are_refused(wrong: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_weights(path, wrong, {"kind": "k"})
    with pytest.raises(WeightsError, match="fit no matrix"):
        load_weights(path, "k")


def test_shipped_weights_are_small_and_all_have_a_card_that_fits() -> None:
    files = sorted(FOLDER.glob("*.safetensors"))
    assert sum(path.stat().st_size for path in files) < LIMIT
    for path in files:
        card = read_json(path.with_suffix(".json"))
        assert weights_path(path.stem) == path and load_weights(path.stem, card["kind"])[1] == card
