"""The two vintages of labels: which rows are converted, by how much, and only once."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from gflownet_crystal.data.label_schemes import legacy_shift, needs_conversion, to_one_scheme
from gflownet_crystal.structures.formulas import text_to_composition


def test_shift_follows_the_published_corrections() -> None:
    # Wang et al. 2021, table 1, eV per anion; the earlier scheme had none for these
    published = {"Na1 Br1": -0.534 / 2, "Na1 I1": -0.379 / 2, "Zn1 Se1": -0.472 / 2, "Cd1 Te1": -0.422 / 2}
    shift = legacy_shift(text_to_composition(list(published)))
    np.testing.assert_allclose(shift, list(published.values()), atol=0.01)
    assert float(legacy_shift(text_to_composition(["Cu3 Au1"]))[0]) == 0.0


def test_shift_is_per_atom_and_additive_in_copies() -> None:
    once, twice = legacy_shift(text_to_composition(["Fe2 O3", "Fe4 O6"]))
    assert torch.isclose(once, twice)


def test_only_earlier_labels_are_converted_and_only_once() -> None:
    table = pd.DataFrame(
        {
            "formula": ["Na4 Br4"] * 3,
            "energy_source": ["mp20_val", "roost_mp2020", "wbm"],
            "formation_energy_per_atom": [-1.8, -1.6, -1.6],
        }
    )
    assert needs_conversion(table).tolist() == [False, True, True]
    once = to_one_scheme(table)
    assert once["formation_energy_per_atom"].tolist() == pytest.approx([-1.8, -1.8722, -1.8722], abs=0.01)
    assert not needs_conversion(once).any()
    pd.testing.assert_frame_equal(to_one_scheme(once), once)
