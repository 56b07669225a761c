"""The verb ``refine`` with a correction for placed atoms: the labels that each round learns from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from gflownet_crystal.common.tables import read_parquet
from gflownet_crystal.common.yaml_files import read_yaml
from gflownet_crystal.data.splits import reduced_formulas
from gflownet_crystal.proxies.mlp import MLPProxy
from gflownet_crystal.proxies.reference_hull import ReferenceHull
from gflownet_crystal.structures.spec_io import frame_to_specs
from gflownet_crystal.training.proxies.placing_labels import labels_file, read_labels
from tests.cli.commands import run_command
from tests.cli.test_refine import HASTY, QUICK, tables


@pytest.fixture(scope="module")
def folder(refine_folder: Path) -> Path:
    return refine_folder


@pytest.fixture(scope="module")
def placed(folder: Path) -> Path:
    """Two rounds of a correction for placed atoms, without known crystals."""
    words = [word for word in QUICK if not word.startswith(("training", "data=", "relax"))]
    given = ("training.steps=3", "training.batch_size=8", "training.holdout=0.4", "n=24")
    done = run_command(folder, "refine", "run=run", "out=placed", "rounds=2", *words, *HASTY, *given)
    assert done.returncode == 0, done.stderr
    return folder / "placed"


def test_a_correction_for_placed_atoms_needs_no_known_crystals(placed: Path) -> None:
    for number in (1, 2):
        proxy = read_yaml(placed / f"round-{number}" / "run" / "config.yaml").proxy
        assert proxy.placing == f"placed/round-{number}/weights.safetensors" and proxy.weights == "mlp"
    rounds = json.loads((placed / "summary.json").read_text())["rounds"]
    assert all(figures["trained_on"]["known"] == 0 for figures in rounds)
    # the ensemble of the run had learned no sample yet
    held = read_parquet(placed / "round-1" / "held_out.parquet")
    specs = frame_to_specs(held)
    most = ReferenceHull.from_weights().hull_energy(specs.composition).numpy() + 2.0
    error = np.minimum(MLPProxy()(specs).value.numpy(), most)
    error = error - np.minimum(held["formation_energy_per_atom"], most)
    assert rounds[0]["proxy"]["before"]["mae"] == pytest.approx(abs(error).mean(), abs=1e-4)
    assert rounds[0]["proxy"]["after"]["mae"] != rounds[0]["proxy"]["before"]["mae"]


def test_each_round_learns_from_shipped_labels_and_all_own_ones_but_of_no_held_out_formula(
    folder: Path, placed: Path
) -> None:
    shipped, own = read_labels("placing_labels"), tables(placed, "labels.parquet")
    apart = set(reduced_formulas(tables(placed, "held_out.parquet")))
    trained = read_labels(labels_file(placed / "round-2" / "weights.safetensors"))
    figures = json.loads((placed / "summary.json").read_text())["rounds"][1]
    assert figures["trained_on"] == {
        "labelled": len(own),
        "earlier_labels": len(trained) - len(own),
        "known": 0,
    }
    assert not apart & set(reduced_formulas(trained))
    # two fifths of formulas are held out, of those of earlier labels too
    assert 0.5 < (len(trained) - len(own)) / len(shipped) < 0.7
    energies = set(np.float32(trained["formation_energy_per_atom"]))
    assert set(np.float32(own["formation_energy_per_atom"])) <= energies
    new = figures["proxy"]["after"]["new_formulas"]["n"]
    held = read_parquet(placed / "round-2" / "held_out.parquet")
    assert new == int((~np.isin(reduced_formulas(held), reduced_formulas(shipped))).sum())
    # and a refinement of these weights goes on from what they have learned
    words = [word for word in QUICK if not word.startswith(("training", "data=", "relax"))]
    more = ("training.steps=3", "training.batch_size=8", "training.holdout=0.4", "n=24", "rounds=1")
    weights = "weights=placed/round-2/weights.safetensors"
    done = run_command(folder, "refine", "run=run", "out=again", weights, *words, *HASTY, *more)
    assert done.returncode == 0, done.stderr
    figures = json.loads((folder / "again" / "summary.json").read_text())["rounds"][0]
    # the same seed holds the same formulas out
    assert figures["trained_on"]["earlier_labels"] == len(trained)
    alone = run_command(
        folder,
        "refine",
        "run=run",
        "out=alone",
        "earlier_labels=false",
        *words,
        *HASTY,
        *more,
        "iterations=1",
    )
    assert alone.returncode == 0, alone.stderr
    figures = json.loads((folder / "alone" / "summary.json").read_text())["rounds"][0]
    assert figures["trained_on"]["earlier_labels"] == 0 and "new_formulas" not in figures["proxy"]["after"]
