"""Structure prediction from Python."""

from __future__ import annotations

import pytest

import gflownet_crystal as gfc
from gflownet_crystal.common.errors import ConfigError


def test_crystals_have_the_formula_and_the_group_asked_for() -> None:
    found = gfc.predict({"Na": 4, "Cl": 4}, 2, space_group="Fm-3m", cells=3, energy_model=None, device="cpu")
    assert isinstance(found, gfc.Crystals) and len(found) >= 1
    assert set(found.to_frame()["formula"]) == {"Na4 Cl4"} and set(found["space_group"]) == {225}
    assert found["probability"].between(0, 1).all()
    with pytest.raises(ConfigError, match="cannot be read"):
        gfc.predict("Na0.5Cl")
