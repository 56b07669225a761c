"""Labels that travel with the weights that learned from them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from gflownet_crystal.common.errors import WeightsError
from gflownet_crystal.data.schema import ENERGY_COLUMN, LATTICE_COLUMNS, SAMPLED
from gflownet_crystal.data.splits import in_holdout, reduced_formulas
from gflownet_crystal.proxies.e_above_hull import load_hull
from gflownet_crystal.proxies.mlp import MLPProxy
from gflownet_crystal.structures.spec_io import frame_to_specs
from gflownet_crystal.training.proxies.mlp_placing_recipe import PlacingRecipe
from gflownet_crystal.training.proxies.placing_labels import labels_file, pack_labels, read_labels
from gflownet_crystal.weights import FOLDER, load_weights, save_weights
from tests.proxies.test_mlp_placing import SMALL, sampled


def test_labels_come_back_as_they_were(tmp_path: Path) -> None:
    table = sampled().assign(energy_source=["one", *["another"] * 59], c=np.linspace(5.0, 6.0, 60))
    pack_labels(table).save(tmp_path / "own_labels.safetensors", {"command": "made"})
    back = read_labels(tmp_path / "own_labels.safetensors")
    for name in ("space_group", "energy_source", "structure_source", "strain"):
        assert back[name].tolist() == table[name].tolist()
    for name in (*LATTICE_COLUMNS, ENERGY_COLUMN):
        # float32
        np.testing.assert_allclose(back[name], table[name], rtol=1e-7)
    assert torch.equal(frame_to_specs(back).composition, frame_to_specs(table).composition)
    _, card = load_weights(tmp_path / "own_labels.safetensors", "placing_labels")
    assert card["energy_sources"] == ["another", "one"] and card["command"] == "made"
    assert card["samples_seen"] == 60 and card["formulas"] == len(set(reduced_formulas(table)))


def test_a_training_leaves_its_labels_beside_its_weights(tmp_path: Path) -> None:
    table = sampled(cost_of_oxides=100.0)
    known = table.assign(structure_source="known")
    unknown = table.assign(**{ENERGY_COLUMN: np.nan})
    recipe = PlacingRecipe(**{**SMALL, "steps": 2})
    trained = recipe.fit(pd.concat([known, table, unknown], ignore_index=True))
    path = tmp_path / "mine.safetensors"
    trained.save(path, {"data": ["own.parquet"]})
    assert MLPProxy(placing=path).placing is not None
    back = read_labels(labels_file(path))
    # as they were given, neither cut nor without those that figures are of
    np.testing.assert_allclose(back[ENERGY_COLUMN], table[ENERGY_COLUMN], rtol=1e-6)
    assert (back["structure_source"] == SAMPLED).all()
    _, card = load_weights(labels_file(path), "placing_labels")
    assert card["data"] == ["own.parquet"]


def test_labels_that_are_none_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "labels.safetensors"
    with pytest.raises(WeightsError, match="no weights"):
        read_labels(path)
    save_weights(path, {"energy": torch.zeros(3)}, {"kind": "placing_labels", "energy_sources": ["one"]})
    with pytest.raises(WeightsError, match="does not fit its card"):
        read_labels(path)


def test_the_shipped_labels_are_those_of_the_shipped_weights() -> None:
    table = read_labels(labels_file("placing"))
    _, weights = load_weights("placing", "placing")
    _, labels = load_weights("placing_labels", "placing_labels")
    assert labels["command"] == weights["command"] and labels["data"] == weights["data"]
    apart = weights["validation"]["sampled"]["n"]
    assert len(table) == labels["samples_seen"] == weights["sampled_specs"] + apart
    assert set(table["energy_source"]) == {"alignn"}
    assert np.isfinite(table[ENERGY_COLUMN]).all()
    assert (FOLDER / "placing_labels.safetensors").stat().st_size < 400_000
    # those of formulas kept apart give the figures of the card
    held = in_holdout(reduced_formulas(table), 0.2)
    rest = table[held].reset_index(drop=True)
    assert len(rest) == apart
    specs = frame_to_specs(rest)
    hull = load_hull("reference").hull_energy(specs.composition).numpy()
    predicted = MLPProxy(placing="placing")(specs).value.numpy() - hull
    # in the figures, energies far above the hull count as 2 eV/atom
    error = np.minimum(predicted, 2.0) - np.minimum(rest[ENERGY_COLUMN].to_numpy() - hull, 2.0)
    figures = weights["validation"]["sampled"]
    assert np.abs(error).mean() == pytest.approx(figures["mae"], abs=1e-3)
    assert error.mean() == pytest.approx(figures["bias"], abs=1e-3)
