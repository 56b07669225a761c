"""Several proxies from Python: names and objects in one list."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

import gflownet_crystal as gfc
from gflownet_crystal.common.errors import ConfigError
from tests.api.conftest import SMALL


class Room(gfc.Proxy):
    """Volume per atom, of the user's own."""

    property_name = "volume_per_atom"
    unit = "A^3"

    def __init__(self, scale: float = 1.0) -> None:
        self.scale = scale

    def predict(self, batch: Any) -> Tensor:
        return self.scale * batch.volume_per_atom


def small(terms: dict[str, object]) -> dict[str, Any]:
    return SMALL | {"settings": SMALL["settings"] | terms}


TERMS = {"reward.band_gap.window": [0.0, 4.0], "reward.Room.below": 80.0, "reward.Room.hard": True}


def test_names_and_objects_mix_and_the_run_is_kept(tmp_path: Path) -> None:
    run = gfc.train(proxy=["mlp", "band_gap", Room(2.0)], **small(TERMS))
    frame = run.sample(40, seed=1).to_frame()
    assert frame["Room"].to_numpy() == pytest.approx(2.0 * frame["volume_per_atom"].to_numpy())
    assert frame["within_limits"].equals((frame["Room"] <= 80.0) & frame["band_gap"].between(0.0, 4.0))
    assert (frame["log_reward"][frame["Room"] > 80.0] <= -100.0).all()
    assert run.property_name == "formation_energy_per_atom" and run.name.endswith("mlp_band_gap_Room")
    folder = run.save(tmp_path / "kept")
    again = gfc.load(folder, proxy=[Room(2.0)], device="cpu")
    assert again.sample(40, seed=1).to_frame().equals(frame)
    crystals = run.sample(200, seed=2).screen(3, generator="quick", energy_model=None, quiet=True)
    table = crystals.to_frame()
    assert {"band_gap", "band_gap_std", "log_reward_stability", "pareto_rank"} <= set(table.columns)
    assert (table["Room"] <= 80.0).all() and (table["band_gap"] <= 4.0).all()


@pytest.mark.parametrize(
    ("proxy", "words"),
    [
        (["mlp", 3], "proxy is a name or an object"),
        (["mlp", Room], "give an object of it"),
        (["mlp", Room(), Room()], "names Room twice"),
        (["mlp", "gap"], "unknown proxy 'gap'"),
        ([], "empty list"),
    ],
)
def test_what_is_no_proxy_is_told(proxy: list[Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        gfc.train(proxy=proxy, **small({}))


def test_objects_that_the_run_does_not_have_are_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match="Room is none of the run's several proxies; they are one only"):
        gfc.load(folder, proxy=[Room()], device="cpu")
