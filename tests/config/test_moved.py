"""Old places of classes lead to the classes."""

from __future__ import annotations

import pytest
from omegaconf import OmegaConf

from gflownet_crystal.config.build import factory, load_class
from gflownet_crystal.config.moved import present_path
from gflownet_crystal.generators.wyckoff_sampler import WyckoffSampler


@pytest.mark.parametrize(
    "old",
    [
        "gflownet_crystal.proxies.mlp_recipe.MLPRecipe",
        "gflownet_crystal.proxies.mlp_paper_recipe.PaperRecipe",
        "gflownet_crystal.proxies.mlp_placing_recipe.PlacingRecipe",
        "gflownet_crystal.proxies.hull_recipe.HullRecipe",
        "gflownet_crystal.gflownet.loggers.NoLogger",
        "gflownet_crystal.models.potentials.CHGNetEnergies",
        "gflownet_crystal.models.potentials.SevenNetEnergies",
    ],
)
def test_classes_of_earlier_run_folders_are_found(old: str) -> None:
    found = load_class(old, object, "place")
    assert found.__name__ == old.rpartition(".")[2]
    assert f"{found.__module__}.{found.__name__}" == present_path(old) != old


@pytest.mark.parametrize("path", ["gflownet_crystal.proxies.mlp.MLPProxy", "mine.potentials.Mine", "Mine"])
def test_other_paths_stay(path: str) -> None:
    assert present_path(path) == path


def test_arguments_of_earlier_run_folders_are_read() -> None:
    section = OmegaConf.create(
        {"_target_": "gflownet_crystal.generators.wyckoff_sampler.WyckoffSampler", "hurry": 3.0, "tries": 2}
    )
    assert factory(section, WyckoffSampler, "generator").keywords == {"velocity_scale": 3.0, "tries": 2}
