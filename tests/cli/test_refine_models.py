"""The verb ``refine`` with all models that it can train."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch

from gflownet_crystal.common.tables import read_parquet
from gflownet_crystal.common.yaml_files import read_yaml
from gflownet_crystal.config.priors import KIND as PRIOR
from gflownet_crystal.data.splits import reduced_formulas
from gflownet_crystal.models.energies.trained import KIND as STRUCTURE_ENERGY
from gflownet_crystal.proxies.mlp import KIND as MLP
from gflownet_crystal.weights import load_weights
from tests.cli.commands import run_command
from tests.cli.test_refine import HASTY, QUICK
from tests.data.crystals import stored_frame


@pytest.mark.slow
def test_all_models_are_trained_from_a_prior_with_known_crystals_and_own_ones(tmp_path: Path) -> None:
    known = stored_frame().assign(mp20_split=["val", "val", *["train"] * 6])
    known.to_parquet(tmp_path / "known.parquet")
    words = (
        "run=prior", "out=all", "rounds=1", *QUICK, *HASTY, "replay=2", "stable=9.0", "iterations=1",
        "energy_model=true", "energy_loop.epochs=3", "prior=true", "prior_loop.epochs=3", "known_samples=true",
    )  # fmt: skip
    # crystals of as many formulas as the ensemble has members
    words = tuple({"relax_best=2": "relax_best=8"}.get(word, word) for word in words)
    done = run_command(tmp_path, "refine", *words)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "all" / "round-1"
    for name, kind in (("weights", MLP), ("energies", STRUCTURE_ENERGY), ("prior", PRIOR)):
        tensors, card = load_weights(folder / f"{name}.safetensors", kind)
        shipped = load_weights({"weights": "mlp", "energies": "alignn"}.get(name, name), kind)[0]
        # so few crystals calibrate no uncertainty
        assert shipped.keys() - tensors.keys() <= {key for key in shipped if key.startswith("uncertainty.")}
        # trained on: few weights are exactly as they were
        same = sum(int(torch.equal(tensor, shipped[key])) for key, tensor in tensors.items())
        assert same < len(tensors) / 2, name
        verb, *given = shlex.split(card["command"])
        assert (verb == "refine" and "energy_model=true" in given) or "loop.epochs=3" in given
    figures = json.loads((folder / "figures.json").read_text())
    assert figures["trained_on"]["known"] > 0 and figures["mp20_val_mae"]["before"] > 0
    config = read_yaml(folder / "run" / "config.yaml")
    assert config.prior.source == "all/round-1/prior.safetensors"
    assert config.reward.novelty.known == ["all/round-1/samples.parquet"]
    drawn = run_command(tmp_path, "sample", "run=all/round-1/run", "n=50", "out=drawn.parquet", "threads=1")
    assert drawn.returncode == 0, drawn.stderr
    samples, later = read_parquet(folder / "samples.parquet"), read_parquet(tmp_path / "drawn.parquet")
    again = np.isin(reduced_formulas(later), reduced_formulas(samples))
    assert later["known_formula"][again].all()
