"""The correction of the energy ensemble for placed atoms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from gflownet_crystal.common.errors import ConfigError, DataError, WeightsError
from gflownet_crystal.data.schema import ENERGY_COLUMN, SAMPLED
from gflownet_crystal.models.spec_energy.heads import EnsembleHeads
from gflownet_crystal.proxies.mlp import MLPProxy
from gflownet_crystal.structures.spec import CrystalSpec
from gflownet_crystal.structures.spec_io import frame_to_specs, specs_to_frame
from gflownet_crystal.training.proxies.mlp_placing_recipe import PlacingRecipe
from gflownet_crystal.weights import save_weights

SMALL: dict[str, Any] = {"width": 16, "steps": 150, "batch_size": 64, "dropout": 0.0, "holdout": 0.3}


def rock_salts() -> CrystalSpec:
    """Of all pairs of ten metals and six other elements, in cells of 5.5 Å."""
    metals, others = (3, 11, 12, 19, 20, 25, 26, 27, 28, 30), (8, 9, 16, 17, 34, 35)
    composition = torch.zeros(60, 119, dtype=torch.int64)
    for row, (metal, other) in enumerate((m, o) for m in metals for o in others):
        composition[row, metal] = composition[row, other] = 4
    lengths = torch.full((60, 3), 5.5, dtype=torch.float64)
    angles = torch.full((60, 3), 90.0, dtype=torch.float64)
    return CrystalSpec(torch.full((60,), 225), composition, lengths, angles)


def sampled(cost_of_oxides: float = 0.5) -> pd.DataFrame:
    """The rock salts as specs of a sampler: the ensemble's energies, and a cost where they hold oxygen."""
    specs = rock_salts()
    energy = MLPProxy()(specs).value + cost_of_oxides * (specs.composition[:, 8] > 0)
    frame = specs_to_frame(specs)
    labels = {
        ENERGY_COLUMN: energy.numpy(),
        "energy_source": "made",
        "strain": "",
        "structure_source": SAMPLED,
    }
    return frame.assign(material_id=[f"s{row}" for row in range(60)], **labels)


@pytest.fixture(scope="module")
def trained() -> tuple[PlacingRecipe, Any]:
    """Heads trained on the rock salts."""
    recipe = PlacingRecipe(**SMALL, highest=50.0)
    return recipe, recipe.fit(sampled())


def test_a_cost_of_some_specs_is_learned_and_the_ensemble_stays(trained: Any) -> None:
    recipe, found = trained
    specs = rock_salts()
    added = (recipe.proxy(found)(specs).value - MLPProxy()(specs).value).numpy()
    is_oxide = (specs.composition[:, 8] > 0).numpy()
    assert abs(np.median(added[is_oxide]) - 0.5) < 0.2
    assert abs(np.median(added[~is_oxide])) < 0.1
    assert MLPProxy()(specs).value.equal(recipe.ensemble(specs).value)


def test_figures_are_of_formulas_that_were_not_trained_on(trained: Any) -> None:
    _, found = trained
    assert found.card["sampled_specs"] + found.card["validation"]["sampled"]["n"] == 60
    without = found.card["validation"]["without_correction"]
    # the cost itself, of the oxides among the rows
    assert without["bias"] <= 0.0 and without["mae"] == pytest.approx(-without["bias"], abs=1e-6)


def test_known_crystals_are_no_specs_of_a_sampler() -> None:
    table = sampled()
    known = table.assign(structure_source="known", **{ENERGY_COLUMN: 5.0})
    both = pd.concat([table, known], ignore_index=True)
    mixed, alone = (PlacingRecipe(**SMALL).fit(one) for one in (both, table))
    assert mixed.card["validation"] == alone.card["validation"]
    with pytest.raises(DataError, match="0 specs of samplers"):
        PlacingRecipe(**SMALL).fit(known)


def test_energies_far_above_the_hull_are_cut(trained: Any) -> None:
    recipe = PlacingRecipe(**SMALL, highest=0.3)
    capped = recipe._capped(sampled(cost_of_oxides=100.0))
    above = (
        capped[ENERGY_COLUMN].to_numpy() - recipe.hull.hull_energy(frame_to_specs(capped).composition).numpy()
    )
    assert above.max() == pytest.approx(0.3, abs=1e-9)


def test_weights_are_read_back_and_belong_to_one_ensemble(trained: Any, tmp_path: Path) -> None:
    recipe, found = trained
    path = tmp_path / "placing.safetensors"
    save_weights(path, found.tensors, found.card)
    specs = rock_salts()
    again, direct = MLPProxy(placing=path)(specs), recipe.proxy(found)(specs)
    assert again.value.equal(direct.value) and again.std.equal(direct.std)
    save_weights(path, found.tensors, {**found.card, "ensemble": "0" * 64})
    with pytest.raises(WeightsError, match="another ensemble"):
        MLPProxy(placing=path)


def test_the_batch_changes_nothing(trained: Any) -> None:
    recipe, found = trained
    proxy, specs = recipe.proxy(found), rock_salts()
    torch.testing.assert_close(proxy(specs[7:9]).value, proxy(specs).value[7:9], atol=1e-6, rtol=0)


def test_heads_leave_out_only_in_training() -> None:
    heads, features = EnsembleHeads(2, 5, 8), torch.randn(2, 9, 5)
    assert heads(features).equal(heads(features))
    drawn = [heads(features, 0.5, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)]
    assert drawn[0].equal(drawn[1]) and not drawn[0].equal(drawn[2])


@pytest.mark.parametrize(
    "wrong", [{"width": 0}, {"dropout": 1.0}, {"holdout": 0.0}, {"no_such": 1}, {"learning_rate": 0}]
)
def test_wrong_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        PlacingRecipe(**wrong)
