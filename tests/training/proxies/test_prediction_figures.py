"""Errors of a proxy by the size of the cell, against the primitive cells that pymatgen finds."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from pymatgen.core import Lattice, Structure

from gflownet_crystal.proxies.base import Prediction
from gflownet_crystal.structures.convert import from_pymatgen
from gflownet_crystal.training.generators.assignment_data import OccupiedSpecs
from gflownet_crystal.training.proxies.mlp_validation import prediction_figures

CRYSTALS = {
    "salt": (225, Lattice.cubic(5.6), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]),
    "pyrite": (205, Lattice.cubic(5.4), ["Fe", "S"], [[0, 0, 0], [0.385] * 3]),
    "bixbyite": (
        206, Lattice.cubic(9.4), ["Mn", "Mn", "O"],
        [[0.25, 0.25, 0.25], [0.97, 0.0, 0.25], [0.39, 0.15, 0.38]],
    ),
    "garnet": (
        230, Lattice.cubic(12.0), ["Y", "Al", "Al", "O"],
        [[0.125, 0, 0.25], [0, 0, 0], [0.375, 0, 0.25], [0.9699, 0.0506, 0.1491]],
    ),
}  # fmt: skip


def test_errors_by_size_are_means_over_primitive_cells() -> None:
    crystals = [Structure.from_spacegroup(*given) for given in CRYSTALS.values()]
    atoms = [len(crystal.get_primitive_structure()) for crystal in crystals]
    assert atoms == [2, 12, 40, 80]
    specs = OccupiedSpecs.of(from_pymatgen(crystals))[0].specs
    error = torch.tensor([0.1, 0.3, 0.5, 0.7], dtype=torch.float64)
    table = pd.DataFrame({"formation_energy_per_atom": np.full(4, -1.0), "energy_source": "own"})
    none = torch.zeros(4, dtype=torch.bool)
    figures = prediction_figures(Prediction(error - 1.0, torch.zeros(4), ~none, none), table, specs)
    assert figures["mae_by_atoms"] == pytest.approx({"1-20": 0.2, "21-40": 0.5, "more than 60": 0.7})
