"""Tables of samples: those written batch by batch are those written at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gflownet_crystal.envs.hypergrid import Hypergrid
from gflownet_crystal.gflownet.model import GFlowNet
from gflownet_crystal.policies import MLPPolicy
from gflownet_crystal.proxies.reward import LogValue, Reward
from gflownet_crystal.proxies.toy import GridCorners
from gflownet_crystal.workflows.sampling import sampling
from gflownet_crystal.workflows.sampling.samples import draw_batches
from gflownet_crystal.workflows.sampling.sampling import sample_to_file
from gflownet_crystal.workflows.settings.verbs import SampleSettings


@pytest.mark.parametrize("name", ["samples.parquet", "samples.csv"])
def test_a_long_table_is_written_by_batches_and_is_the_same(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = GFlowNet(Hypergrid(2, 5), MLPPolicy, MLPPolicy)
    reward, read = (
        Reward(GridCorners(5), LogValue()),
        pd.read_csv if name.endswith("csv") else pd.read_parquet,
    )
    made = []
    for most in (1000, 10):
        monkeypatch.setattr(sampling, "MOST_RANKED", most)
        settings = SampleSettings(tmp_path, tmp_path / f"{most}-{name}", n=50, seed=3, batch_size=16)
        sampled = sample_to_file(model, reward, settings)
        table = read(settings.out)
        assert sampled == (50, float(np.median(table["energy"])), False)
        made.append(table)
    pd.testing.assert_frame_equal(*made)
    sizes = [len(frame) for frame in draw_batches(model, reward, 50, 16, 3)]
    assert sizes == [16, 16, 16, 2]
