"""Settings of the recipes of proxies."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.training.proxies.hull_recipe import HullRecipe
from gflownet_crystal.training.proxies.mlp_paper_recipe import PaperRecipe
from gflownet_crystal.training.proxies.mlp_recipe import MLPRecipe
from gflownet_crystal.training.proxies.recipe import Recipe

RECIPES = (HullRecipe, MLPRecipe, PaperRecipe)


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"holdout": 0.0}, r"training\.holdout must be above 0 and below 1, not 0\.0"),
        ({"holdout": 1.0}, r"training\.holdout must be above 0 and below 1, not 1\.0"),
        ({"batch_size": 0}, r"training\.batch_size must be at least 1, not 0"),
        ({"learning_rate": "fast"}, r"training\.learning_rate must be float, not 'fast'"),
        ({"no_such": 1}, "no_such"),
    ],
)
def test_values_out_of_range_are_refused_by_key(
    recipe: Callable[..., Recipe], wrong: dict[str, object], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        recipe(**wrong)
