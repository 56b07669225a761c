"""The volume regressor on crystals whose volume follows a known law."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch

from benchmarks.volume import fit_volume_regressor
from gflownet_crystal.structures.spec import CrystalSpec
from gflownet_crystal.structures.spec_io import specs_to_frame


def test_regressor_learns_an_additive_law_and_states_its_error() -> None:
    generator = torch.Generator().manual_seed(0)
    composition = torch.zeros(600, 119, dtype=torch.int64)
    composition[:, [3, 8, 13]] = torch.randint(1, 8, (600, 3), generator=generator)
    volume = (composition[:, [3, 8, 13]] * torch.tensor([20.0, 12.0, 16.0])).sum(1).double()
    specs = CrystalSpec(
        torch.full((600,), 47),
        composition,
        (volume ** (1 / 3))[:, None].expand(-1, 3).clone(),
        torch.full((600, 3), 90.0).double(),
    )
    table = specs_to_frame(specs).assign(
        strain="", energy_source="x", formation_energy_per_atom=0.0, material_id="m"
    )
    regressor = fit_volume_regressor(pd.DataFrame(table), n_trees=30)
    assert regressor.validation_median_error < 0.03
    ratio = regressor.ratio(specs)
    assert np.abs(ratio - 1).mean() < 0.03
    bigger = CrystalSpec(specs.space_group, composition, specs.lengths * 1.1, specs.angles)
    np.testing.assert_allclose(regressor.ratio(bigger), ratio * 1.331)
