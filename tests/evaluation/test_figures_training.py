"""Figures of a training are drawn without a warning, whatever the numbers."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

from gflownet_crystal.evaluation.figures_training import energy_distribution, training_curves


@pytest.mark.parametrize("largest", [1.0, 1e31, 1e308])
def test_numbers_that_no_axis_can_show_are_drawn_without_a_warning(tmp_path: Path, largest: float) -> None:
    values = np.array([0.1, 2.0, largest, -largest])
    records = [
        {"step": step, "loss": value, "log_z": -value, "mean_log_reward": 1.0}
        for step, value in enumerate([1.0, largest])
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        energy_distribution(values, np.append(values, np.nan), "energy", tmp_path / "energies.png")
        training_curves(records, tmp_path / "curves.png")
    assert (tmp_path / "energies.png").stat().st_size > 1000 and (tmp_path / "curves.png").is_file()


def test_records_without_a_value_leave_a_gap(tmp_path: Path) -> None:
    records = [{"step": 1, "loss": 2.0, "log_z": None, "mean_log_reward": "high"}, {"step": 2}]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        training_curves(records, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").is_file()
