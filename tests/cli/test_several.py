"""Runs with several proxies: trained, resumed, restricted, exported, reported; the user's own class among them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gflownet_crystal.evaluation.pareto import pareto_ranks
from gflownet_crystal.proxies.density import Density
from gflownet_crystal.proxies.spec_property import PropertyProxy
from gflownet_crystal.structures.spec_io import frame_to_specs
from tests.cli.commands import run_command

OWN = """
from gflownet_crystal.proxies import Proxy


class Heaviness(Proxy):
    property_name = "density"
    unit = "g/cm3"

    def __init__(self, scale=1.0):
        self.scale = scale

    def predict(self, batch):
        from gflownet_crystal.proxies.density import Density

        return self.scale * Density().predict(batch)
"""
SMALL = (
    "env=crystal", "trainer.iterations=2", "trainer.batch_size=16", "samples.n=60", "export.k=0", "threads=1",
    "quiet=true", "prior=null", "policy.forward.n_hidden=8", "objective=trajectory_balance",
)  # fmt: skip
SEVERAL = (
    "proxy=[mlp,band_gap,own.Heaviness]", "reward.band_gap.window=[0.0,3.0]", "reward.Heaviness.above=4",
    "reward.Heaviness.hard=true", "proxy.Heaviness.scale=2.0", "run.dir=run",
)  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("several")
    (folder / "own.py").write_text(OWN)
    ended = run_command(folder, "train_gfn", *SMALL, *SEVERAL)
    assert ended.returncode == 0, ended.stderr
    (folder / "page.txt").write_text(ended.stdout)
    return folder


def test_samples_have_all_values_parts_of_the_reward_and_fronts(place: Path) -> None:
    frame = pd.read_parquet(place / "run" / "samples.parquet")
    specs = frame_to_specs(frame)
    gap, density = PropertyProxy("band_gap")(specs), Density()(specs)
    assert frame["band_gap"].to_numpy() == pytest.approx(gap.value.numpy(), abs=1e-6)
    assert frame["band_gap_std"].to_numpy() == pytest.approx(gap.std.numpy(), abs=1e-6)
    assert frame["Heaviness"].to_numpy() == pytest.approx(2.0 * density.value.numpy())
    inside = (frame["band_gap"].between(0.0, 3.0)) & (frame["Heaviness"] >= 4.0)
    assert frame["within_limits"].tolist() == inside.tolist()
    parts = frame[["log_reward_stability", "log_reward_band_gap", "log_reward_Heaviness"]]
    allowed = frame["Heaviness"] >= 4.0
    assert frame["log_reward"][allowed].to_numpy() == pytest.approx(parts.sum(axis=1)[allowed].to_numpy())
    assert (frame["log_reward"][~allowed] <= -100.0).all() and (~allowed).any()
    assert frame["pareto_rank"].tolist() == pareto_ranks(-parts.to_numpy()).tolist()
    csv = pd.read_csv(place / "run" / "samples.csv")
    assert list(csv.columns) == list(frame.columns)


def test_the_summary_and_the_page_tell_the_shares(place: Path) -> None:
    frame = pd.read_parquet(place / "run" / "samples.parquet")
    summary = json.loads((place / "run" / "summary.json").read_text())
    stable = frame["e_above_hull"] <= 0.05
    expected = [stable.mean(), frame["within_limits"].mean(), (stable & frame["within_limits"]).mean()]
    shares = summary["samples"]["shares"]
    assert list(shares) == ["stable", "within_limits", "both"]
    assert list(shares.values()) == pytest.approx(expected, abs=1e-4)
    assert summary["properties"] == {"band_gap": "eV", "Heaviness": "g/cm3"}
    assert summary["property"] == "formation_energy_per_atom"
    assert "by the proxies" in (place / "page.txt").read_text()


def test_a_run_goes_on_bit_by_bit_with_its_terms_alone(place: Path, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    words = [word for word in SMALL if not word.startswith("trainer.iterations")]
    for run, iterations in (("whole", (4,)), ("cut", (2, 4))):
        for number, n in enumerate(iterations):
            more = ("resume=true", "trust=true") if number else ()
            ended = run_command(tmp_path, "train_gfn", *words, *SEVERAL[:-1], f"run.dir={run}",
                                f"trainer.iterations={n}", *more)  # fmt: skip
            assert ended.returncode == 0, ended.stderr
    whole, cut = (pd.read_parquet(tmp_path / run / "samples.parquet") for run in ("whole", "cut"))
    assert whole.equals(cut)
    refused = run_command(place, "train_gfn", "run.dir=run", "resume=true", "trust=true", SEVERAL[0], SEVERAL[4],
                          "reward.band_gap.window=[0.0,1.0]")  # fmt: skip
    assert refused.returncode == 2 and "reward.band_gap.window differs" in refused.stderr
    other = run_command(
        place, "train_gfn", "run.dir=run", "resume=true", "trust=true", "proxy=[mlp,band_gap]"
    )
    assert other.returncode == 2 and "proxy differs" in other.stderr


def test_a_restricted_sampler_has_the_same_columns(place: Path) -> None:
    words = ("run=run", "n=20", "out=part.csv", "restrict.space_groups=[225]", "trust=true", "overwrite=true")
    ended = run_command(place, "sample", *words)
    assert ended.returncode == 0, ended.stderr
    part = pd.read_csv(place / "part.csv")
    assert set(part["space_group"]) == {225}
    assert {"band_gap_std", "log_reward_Heaviness", "within_limits", "pareto_rank"} <= set(part.columns)
    refused = run_command(place, "sample", *words[:-2], "overwrite=true")
    assert refused.returncode == 2 and "trust=true" in refused.stderr


def test_an_evaluation_compares_with_the_product(place: Path) -> None:
    words = (
        "sampler.n=30",
        "sampler.untrained=20",
        "sampler.objects=20",
        "sampler.trajectories=4",
        "sampler.top=5",
    )
    ended = run_command(place, "evaluate", "run=run", "out=evaluated", *words, "trust=true")
    assert ended.returncode == 0, ended.stderr
    figures = json.loads(ended.stdout)
    assert set(figures["shares"]) == {"stable", "within_limits", "both"}
    assert figures["log_p_against_log_r"]["target"] == "R"


def test_refine_refuses_several_proxies_in_a_line(place: Path) -> None:
    ended = run_command(place, "refine", "run=run", "out=refined", "trust=true")
    assert ended.returncode == 2 and "several proxies" in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1


def test_candidates_are_within_the_limits_and_ranked_by_fronts(place: Path) -> None:
    words = ("run=run", "out=made", "k=4", "n=400", "trust=true", "generator=quick", "screening.within=null",
             "screening.deepest=null", "overwrite=true", "quiet=true")  # fmt: skip
    ended = run_command(place, "export", *words)
    assert ended.returncode == 0, ended.stderr
    frame = pd.read_csv(place / "made" / "candidates.csv")
    assert len(frame) and frame["within_limits"].all()
    assert (frame["band_gap"].between(0.0, 3.0)).all() and (frame["Heaviness"] >= 4.0).all()
    judged = np.maximum(frame["e_above_hull_judged"], 0.0)
    costs = np.stack([-frame["log_reward_band_gap"], -frame["log_reward_Heaviness"], judged], axis=1)
    assert frame["pareto_rank"].tolist() == pareto_ranks(costs).tolist()
    assert frame["pareto_rank"].is_monotonic_increasing
    assert "within the limits of the reward" in ended.stdout
    made = run_command(place, "report", "run=run", "candidates=made", "compare=20", "trust=true")
    assert made.returncode == 0, made.stderr
    page = (place / "run" / "report.html").read_text()
    assert (
        "Trade-off between the objectives" in page and (place / "run" / "figures" / "trade_off.png").is_file()
    )
    assert "band_gap (window = [0.0, 3.0]" in page


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("proxy=[mlp,band_gap]",), "reward=product has no term"),
        (("proxy=[mlp,band_gap]", "reward.band_gap.window=[1.6,1.2]"), "reward.band_gap.window must be two numbers"),
        (("proxy=[mlp,band_gap]", "reward=boltzmann"), "takes one property"),
        (("proxy=[band_gap,density]", "reward.band_gap.above=1", "reward=product"), "reward.stability=null"),
        (("proxy=[mlp,grid_corners]", "reward.mlp.below=0.1"), "env"),
        (("proxy=[mlp,lost.safetensors]", "reward.lost.above=1"), "lost.safetensors"),
        (("proxy=[mlp,missing.Mine]", "reward.Mine.above=1"), "missing"),
        (("proxy=[mlp,property]", "reward.property.above=1"), "proxy.property.weights must be given"),
        (("reward=product",), "takes several proxies"),
    ],
)  # fmt: skip
def test_wrong_wishes_are_told_in_a_line_and_write_nothing(
    tmp_path: Path, words: tuple[str, ...], expected: str
) -> None:
    ended = run_command(tmp_path, "train_gfn", *SMALL, *words)
    assert ended.returncode == 2 and expected in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1
    assert not [path for path in (tmp_path / "runs").rglob("*") if path.is_file()]


def test_values_that_are_no_numbers_name_the_proxy_or_take_the_penalty(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text(OWN.replace("self.scale * ", "float('nan') * "))
    words = ("proxy=[mlp,broken.Heaviness]", "reward.Heaviness.above=4", "run.dir=run")
    ended = run_command(tmp_path, "train_gfn", *SMALL, *words)
    assert ended.returncode == 2 and "proxy Heaviness gave nan" in ended.stderr
    taken = run_command(
        tmp_path, "train_gfn", *SMALL, *words[:-1], "run.dir=other", "reward.invalid=penalise"
    )
    assert taken.returncode == 0, taken.stderr
    assert (pd.read_parquet(tmp_path / "other" / "samples.parquet")["log_reward"] == -100.0).all()
