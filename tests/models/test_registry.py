"""Networks by name, and settings that make none."""

from __future__ import annotations

from typing import Any

import pytest

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.models.registry import NETWORKS, build_network


@pytest.mark.parametrize("name", NETWORKS)
def test_settings_are_those_asked_for(name: str) -> None:
    network: Any = build_network(name, {"graph": {"neighbours": 7}})
    assert network.settings.graph.neighbours == 7


@pytest.mark.parametrize(
    ("name", "settings", "complaint"),
    [
        ("alchemy", {}, "unknown model 'alchemy'; choose one of alignn, gemsnet, egnn"),
        ("alignn", {"breadth": 3}, "takes no breadth; it takes width"),
        ("alignn", {"graph": {"depth": 3}}, "model.settings.graph: GraphSettings takes no depth"),
        ("alignn", {"width": "wide"}, "model.settings.width must be int, not 'wide'"),
        ("alignn", {"width": True}, "model.settings.width must be int"),
        ("alignn", {"width": 0}, "model.settings make no alignn"),
        ("alignn", {"width": -8}, "model.settings make no alignn"),
        ("gemsnet", {"widths": {"atom": -1}}, "model.settings make no gemsnet"),
        ("gemsnet", {"basis": "fourier"}, "model.settings.basis must be gaussian or bessel, not 'fourier'"),
        ("gemsnet", {"graph": {"symmetric": False}}, "needs symmetric=true"),
        ("egnn", {"features": 0}, "model.settings make no egnn"),
        ("egnn", {"n_layers": 0}, "n_layers must be at least 1"),
    ],
)
def test_what_makes_no_network_is_refused(name: str, settings: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        build_network(name, settings)
