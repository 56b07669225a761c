"""Values of a trained model for structures, read once: figures and uncertainty are those of reading it for each."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from gflownet_crystal.models.energies.energy import EnergyModel
from gflownet_crystal.models.energies.uncertainty import LatentDistance, coverage
from gflownet_crystal.models.registry import build_network
from gflownet_crystal.training.energies.calibration import calibrate, judge
from gflownet_crystal.training.energies.labelled import LabelledStructures, read_labelled
from gflownet_crystal.training.energies.task import error_figures, figures_of
from tests.data.crystals import stored_frame

SMALL = {"width": 16, "embedding": 8, "alignn_layers": 1, "gcn_layers": 1}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> LabelledStructures:
    """Crystals in cells of different sizes, with labels of two sources."""
    frames = []
    for copy in range(4):
        frame = stored_frame()
        frame["lattice"] = [
            lattice * np.array([1.0 + 0.01 * copy] * 3 + [1.0] * 3) for lattice in frame["lattice"]
        ]
        frames.append(frame.assign(energy_source="even" if copy % 2 else "odd"))
    path = tmp_path_factory.mktemp("data") / "known.parquet"
    pd.concat(frames, ignore_index=True).to_parquet(path)
    return read_labelled([path])


@pytest.fixture(scope="module")
def model(data: LabelledStructures) -> EnergyModel:
    model = EnergyModel(build_network("alignn", SMALL, seed=1)).eval()
    model.fit_elements(data.structures, data.energy)
    model.scale.fill_(1.0)
    return model


def test_figures_are_those_of_a_model_run_for_each(model: EnergyModel, data: LabelledStructures) -> None:
    judged = judge(model, data, atoms=20)
    error = model.energies(data.structures) - data.energy
    torch.testing.assert_close(judged.error, error, rtol=0, atol=1e-5)
    some = np.arange(len(data)) % 3 == 0
    for rows in (np.ones(len(data), dtype=bool), some):
        expected = error_figures(model, data.take(rows))
        found = figures_of(judged.error.numpy()[rows], data.source[rows])
        assert found.keys() == expected.keys() and found["n"] == expected["n"]
        assert found["mae"] == pytest.approx(expected["mae"], abs=1e-5)
        assert found["rmse"] == pytest.approx(expected["rmse"], abs=1e-5)
        assert found["mae_by_energy_source"] == pytest.approx(expected["mae_by_energy_source"], abs=1e-5)


def test_the_uncertainty_is_that_of_the_structures_themselves(
    model: EnergyModel, data: LabelledStructures
) -> None:
    validation = data.take(np.arange(9))
    found, figures = calibrate(model, data, judge(model, validation), judge(model, data))
    judged = judge(model, data)
    expected = LatentDistance.fit(judged.features, judged.features, judged.error)
    assert found is not None and figures is not None and figures["calibrated_on"] == len(data)
    for name, value in expected.state_dict().items():
        torch.testing.assert_close(found.state_dict()[name], value)
    own = judge(model, validation)
    assert figures["validation"] == pytest.approx(coverage(expected(own.features), own.error))


def test_nothing_held_out_calibrates_nothing(model: EnergyModel, data: LabelledStructures) -> None:
    none = judge(model, data.take(np.arange(0)))
    assert len(none) == 0
    assert calibrate(model, data, judge(model, data), none) == (None, None)
