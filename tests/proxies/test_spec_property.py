"""Properties of specs, learned by heads on the energy ensemble."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from gflownet_crystal.common.errors import ConfigError, DataError, WeightsError
from gflownet_crystal.proxies.spec_property import PropertyProxy
from gflownet_crystal.structures.spec_io import frame_to_specs, specs_to_frame
from gflownet_crystal.testing import check_proxy
from gflownet_crystal.training.proxies.property_recipe import PropertyRecipe
from tests.proxies.test_mlp_placing import rock_salts

SMALL: dict[str, Any] = {"width": 16, "steps": 300, "batch_size": 64, "dropout": 0.0, "holdout": 0.3}


def labelled() -> pd.DataFrame:
    """The rock salts with a quantity that their composition tells: 10 to the power of half the anion's period."""
    specs = rock_salts()
    period = torch.tensor([3.0 if number > 18 else 2.0 if number > 10 else 1.0 for number in range(119)])
    anions = specs.composition * torch.tensor([number in (8, 9, 16, 17, 34, 35) for number in range(119)])
    value = 10.0 ** (0.5 * (anions.float() @ period).double().numpy() / 4.0)
    frame = specs_to_frame(specs)
    return frame.assign(
        material_id=[f"s{row}" for row in range(60)], energy_source="made", strain="", hardness=value
    )


@pytest.fixture(scope="module")
def trained() -> tuple[PropertyRecipe, Any]:
    recipe = PropertyRecipe("hardness", "GPa", transform="log10", **SMALL)
    return recipe, recipe.fit(labelled())


def test_what_elements_tell_is_learned_of_formulas_not_trained_on(trained: Any) -> None:
    recipe, found = trained
    figures = found.card["validation"]["not_calibrated_on"]
    # the labels spread by 0.41 in the logarithm
    assert figures["mae_log10"] < 0.15 and figures["spearman"] > 0.8
    assert found.card["crystals"] + found.card["validation"]["validation"]["n"] == 60
    proxy = recipe.proxy(found)
    assert (proxy.property_name, proxy.unit) == ("hardness", "GPa")


def test_deviations_of_logarithms_are_relative(trained: Any) -> None:
    recipe, found = trained
    specs, proxy = rock_salts(), recipe.proxy(found)
    value, std = proxy.predict(specs)
    learned, spread, noise, _ = proxy.components(specs)
    factors = found.tensors["calibration"]
    deviation = (factors[0] ** 2 * spread + factors[1] ** 2 * noise).sqrt()
    torch.testing.assert_close(value.log10(), learned)
    # by differences: d(10^u) = 10^u (10^du - 1), nearly, for small du
    step = 1e-6 * deviation
    torch.testing.assert_close(std, (10 ** (learned + step) - value) * 1e6, rtol=1e-4, atol=0)


def test_deviations_grow_where_cells_leave_the_range_of_training(trained: Any) -> None:
    recipe, found = trained
    specs, proxy = rock_salts(), recipe.proxy(found)
    frame = specs_to_frame(specs)
    wide = frame_to_specs(frame.assign(**{name: frame[name] * 3.0 for name in ("a", "b", "c")}))
    assert bool((proxy(wide).std > proxy(specs).std).all())


def test_weights_are_read_back_and_belong_to_one_ensemble(trained: Any, tmp_path: Path) -> None:
    recipe, found = trained
    path = tmp_path / "hardness.safetensors"
    found.save(path, {})
    specs = rock_salts()
    rounded = {name: tensor.half().to(tensor.dtype) for name, tensor in found.tensors.items()}
    again = PropertyProxy(path)(specs)
    direct = PropertyProxy.from_heads(recipe.base, rounded, found.card)(specs)
    assert again.value.equal(direct.value) and again.std.equal(direct.std)
    check_proxy(PropertyProxy(path), specs)
    found.card["ensemble"], kept = "0" * 64, found.card["ensemble"]
    found.save(path, {})
    found.card["ensemble"] = kept
    with pytest.raises(WeightsError, match="another energy ensemble"):
        PropertyProxy(path)


@pytest.mark.filterwarnings("error")
def test_labels_that_are_all_equal_have_no_rank_correlation() -> None:
    found = PropertyRecipe("hardness", "GPa", **SMALL).fit(labelled().assign(hardness=2.0))
    figures = found.card["validation"]["validation"]
    assert "spearman" not in figures and figures["mae"] < 0.1


@pytest.mark.parametrize(
    "change", [{"heads": {"members": 3, "inputs": 731, "width": 10**9}}, {"scale": []}, {"heads": 3}]
)
def test_a_card_that_does_not_fit_is_told(trained: Any, change: dict[str, Any]) -> None:
    recipe, found = trained
    with pytest.raises(WeightsError, match="do not fit a property"):
        PropertyProxy.from_heads(recipe.base, found.tensors, {**found.card, **change})


def test_the_lowest_value_holds(trained: Any) -> None:
    recipe, found = trained
    proxy = PropertyProxy.from_heads(recipe.base, found.tensors, {**found.card, "minimum": 100.0})
    assert bool((proxy(rock_salts()).value >= 100.0).all())


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"hardness": np.nan}, "0 crystals have a cell and a number in hardness"),
        ({"a": np.nan}, "0 crystals have a cell"),
        ({"hardness": -1.0}, "no logarithm"),
    ],
)
def test_labels_that_cannot_be_learned_are_told(change: dict[str, float], told: str) -> None:
    with pytest.raises(DataError, match=told):
        PropertyRecipe("hardness", "GPa", transform="log10", **SMALL).fit(labelled().assign(**change))


@pytest.mark.parametrize("wrong", [{"transform": "cube"}, {"holdout": 1.0}, {"no_such": 1}, {"width": 0}])
def test_wrong_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        PropertyRecipe("hardness", "GPa", **wrong)
