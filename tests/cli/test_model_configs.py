"""The named configs of networks are the named presets of their settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

import gflownet_crystal.config
from gflownet_crystal.common.arguments import settings_from
from gflownet_crystal.models.alignn.network import ALIGNNSettings
from gflownet_crystal.models.gemsnet.settings import GemsNetSettings
from gflownet_crystal.models.registry import network_entry

FOLDER = Path(str(gflownet_crystal.config.__file__)).parent / "model"
ENERGIES_ONLY = {"displacement": False, "lattice": False}
PRESETS: dict[str, Any] = {
    "alignn": ALIGNNSettings.fast(),
    "alignn_paper": ALIGNNSettings.paper(),
    "gemsnet": GemsNetSettings.energies(),
    "gemsnet_paper": GemsNetSettings.paper(**ENERGIES_ONLY),
}


@pytest.mark.parametrize("name", PRESETS)
def test_configs_are_presets(name: str) -> None:
    config: Any = OmegaConf.to_container(OmegaConf.load(FOLDER / f"{name}.yaml"))
    assert settings_from(network_entry(config["name"]).settings, config["settings"]) == PRESETS[name]


def test_every_config_of_an_energy_model_is_compared() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == set(PRESETS)
