"""Distributions of crystals, counted by hand."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.structures.distributions import distributions
from gflownet_crystal.structures.spec import CrystalSpec
from gflownet_crystal.structures.spec_io import frame_to_specs


def specs(*crystals: tuple[int, str]) -> CrystalSpec:
    """Cubic cells of these groups and formulas."""
    frame = pd.DataFrame(crystals, columns=["space_group", "formula"])
    return frame_to_specs(frame.assign(a=5.0, b=5.0, c=5.0, alpha=90.0, beta=90.0, gamma=90.0))


def test_shares_are_those_counted_by_hand() -> None:
    found = distributions(specs((225, "Na4 Cl4"), (225, "Mg4 O4"), (221, "Na1 Cl1"), (227, "C8")))
    assert found == {
        "n": 4,
        # each element once a crystal, in the order of the periodic table
        "elements": {"C": 0.25, "O": 0.25, "Na": 0.5, "Mg": 0.25, "Cl": 0.5},
        "space_groups": {"221": 0.25, "225": 0.5, "227": 0.25},
        "n_elements": {"1": 0.25, "2": 0.75},
        "n_atoms": {"2": 0.25, "8": 0.75},
    }
    assert list(found["n_atoms"]) == ["2", "8"]
    assert json.loads(json.dumps(found)) == found


def test_shares_have_four_digits() -> None:
    found = distributions(specs(*[(225, "Na4 Cl4")] * 2, (221, "Na1 Cl1")))
    assert found["space_groups"] == {"221": 0.3333, "225": 0.6667}


def test_no_crystal_has_no_distribution() -> None:
    with pytest.raises(DataError, match="at least one crystal"):
        distributions(specs((225, "Na4 Cl4"))[slice(0, 0)])
