"""The verb evaluate: figures and tables, failures counted, going on after a stop, errors in one line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from gflownet_crystal.evaluation.compared_sets import Evaluation
from gflownet_crystal.evaluation.structure_metrics import COMPARING, Result
from gflownet_crystal.structures.frames import structures_to_frame
from gflownet_crystal.structures.structure import StructureBatch
from tests.cli.commands import SMALL_GRID, run_command
from tests.cli.commands import Result as Ended
from tests.evaluation.crystals import rattled, some_crystals

CHEAP = "metrics=[validity,space_groups,uniqueness,novelty,distances]"


def write(path: Path, structures: StructureBatch, **columns: object) -> Path:
    names = [f"s{row}" for row in range(len(structures))]
    structures_to_frame(structures, material_id=names, **columns).to_parquet(path)
    return path


@pytest.fixture
def sets(tmp_path: Path) -> Path:
    """Nine structures, one of which is broken and two are equal, and a reference that holds three of them."""
    made = StructureBatch.cat([some_crystals(), rattled(some_crystals()[:1], 0.05)])
    path = write(tmp_path / "made.parquet", made)
    frame = pd.read_parquet(path)
    frame.at[7, "frac_coords"] = frame.at[7, "frac_coords"][:4]
    frame.to_parquet(path)
    write(
        tmp_path / "reference.parquet", some_crystals(1.01)[:3], formation_energy_per_atom=[-2.0, -3.0, -2.2]
    )
    return tmp_path


def evaluate(folder: Path, *settings: str) -> Ended:
    words = ("structures=made.parquet", "reference=reference.parquet", "out=out", "threads=1", *settings)
    return run_command(folder, "evaluate", *words)


def test_figures_and_tables(sets: Path):
    pytest.importorskip("smact")
    ended = evaluate(sets, CHEAP)
    assert ended.returncode == 0, ended.stderr
    figures = json.loads(ended.stdout)
    assert json.loads((sets / "out" / "metrics.json").read_text()) == figures
    assert figures["counts"] == {
        "structures": 9, "structures_unreadable": 1, "reference": 3, "reference_unreadable": 0,
    }  # fmt: skip
    # of nine, one is unreadable; one more is another one again, and four are of the reference
    assert figures["validity"]["structure"] == pytest.approx(8 / 9)
    assert figures["uniqueness"]["unique"] == pytest.approx(7 / 9)
    assert figures["novelty"]["novel"] == figures["novelty"]["novel_formula"] == pytest.approx(4 / 9)
    assert figures["distances"]["energy_by"].startswith("alignn-")
    table = pd.read_csv(sets / "out" / "structures.csv")
    assert table["name"].tolist() == [f"s{row}" for row in range(9)]
    assert "4 coordinates of 2 atoms" in table["reason"][7] and np.isnan(table["first_match"][7])
    assert table["first_match"].dropna().tolist() == [0, 1, 2, 3, 4, 5, 6, 0]
    assert table["known_as"].fillna("").tolist() == ["s0", "s1", "s2", "", "", "", "", "", "s0"]
    rows = dict(pd.read_csv(sets / "out" / "metrics.csv").itertuples(index=False))
    assert float(rows["uniqueness.unique"]) == figures["uniqueness"]["unique"]
    assert float(rows["distances.density.distance"]) == figures["distances"]["density"]["distance"]


def test_without_a_reference_the_others_are_as_with_one(sets: Path):
    pytest.importorskip("smact")
    alone = run_command(sets, "evaluate", "structures=made.parquet", "out=alone", "threads=1")
    assert alone.returncode == 0, alone.stderr
    assert alone.stderr.count("\n") == 1 and "novelty, distances, coverage, frechet" in alone.stderr
    figures = json.loads(alone.stdout)
    assert figures["counts"] == {"structures": 9, "structures_unreadable": 1}
    beside = json.loads(evaluate(sets, "metrics=[validity,space_groups,uniqueness]").stdout)
    assert figures["space_groups"].pop("distance") is None is figures["space_groups"].pop("distance_floor")
    assert beside["space_groups"].pop("distance") > 0.0 and beside["space_groups"].pop("distance_floor") > 0.0
    assert figures.pop("counts") != beside.pop("counts") and figures == beside
    with_it = pd.read_csv(sets / "out" / "structures.csv")
    pd.testing.assert_frame_equal(pd.read_csv(sets / "alone" / "structures.csv"), with_it)


@pytest.mark.parametrize(
    "settings",
    [*([f"metrics={name}"] for name in COMPARING), ["judge=gemsnet"], ["metrics=stability", "judge=gemsnet"]],
)
def test_what_compares_needs_a_reference(sets: Path, settings: list[str]):
    ended = run_command(sets, "evaluate", "structures=made.parquet", "out=out", *settings)
    assert ended.returncode == 2 and ended.stderr.count("\n") == 1
    assert "reference=..." in ended.stderr and not (sets / "out").exists()


def test_match_rates_need_targets(sets: Path):
    pytest.importorskip("smact")
    write(sets / "made.parquet", rattled(some_crystals()[:2], 0.05), row=[1, 0])
    write(sets / "targets.parquet", some_crystals()[torch.tensor([1, 0, 2])])
    ended = evaluate(sets, "targets=targets.parquet", "metrics=[matching]")
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)["matching"]
    assert found["match_rate"] == pytest.approx(2 / 3) and found["n_targets"] == 3
    ended = evaluate(sets, "metrics=[matching]", "out=other")
    assert ended.returncode == 2 and "targets=FILE" in ended.stderr


def test_it_goes_on_with_what_is_not_done(sets: Path, monkeypatch: pytest.MonkeyPatch):
    calls: list[str] = []

    def metric(name: str):
        def measure(evaluation: Evaluation) -> Result:
            calls.append(name)
            if name == "second" and len(calls) == 2:
                raise KeyboardInterrupt
            return Result({"share": float("nan")}, {name: [1.0] * len(evaluation.made.rows)})

        return measure

    metrics = {name: metric(name) for name in ("first", "second")}
    monkeypatch.setattr("gflownet_crystal.workflows.evaluating.evaluating.METRICS", metrics)
    nothing = evaluate(sets, "resume=true")
    assert nothing.returncode == 2 and "holds nothing to go on with" in nothing.stderr
    assert evaluate(sets).returncode == 130
    assert evaluate(sets).returncode == 2
    ended = evaluate(sets, "resume=true")
    assert ended.returncode == 0 and calls == ["first", "second", "second"]
    assert json.loads(ended.stdout)["first"] == {"share": None}
    ended = evaluate(sets, "resume=true", "symprec=0.1")
    assert ended.returncode == 2 and "symprec" in ended.stderr


@pytest.mark.parametrize(
    ("kept", "said"),
    [
        ({"figures": {}, "columns": {"valid": [True]}}, "kept results are of other structures"),
        ({"figures": {}, "columns": {"valid": [True] * 9}}, "kept results are of other structures"),
        ({"figures": {}}, "is damaged"),
        ({"figures": [], "columns": {}}, "is damaged"),
        ({"figures": {}, "columns": [1]}, "is damaged"),
        ([], "is damaged"),
    ],
)
def test_kept_results_that_are_not_of_these_structures_are_refused(sets: Path, kept: object, said: str):
    settings = ("metrics=[space_groups]", "cache=null")
    ended = evaluate(sets, *settings)
    assert ended.returncode == 0, ended.stderr
    (sets / "out" / "parts" / "space_groups.json").write_text(json.dumps(kept))
    again = evaluate(sets, *settings, "resume=true")
    assert again.returncode == 2 and again.stderr.count("\n") == 1
    assert again.stderr.startswith("error: ") and said in again.stderr
    (sets / "out" / "parts" / "space_groups.json").unlink()
    assert evaluate(sets, *settings, "resume=true").stdout == ended.stdout


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["metrics=[validty]"], "validity"),
        (["metrics=[stability]"], "judge"),
        (["structures=nowhere.cif"], "nowhere.cif"),
        (["matcher.stol=0"], "stol"),
        (["oxidation_states=wikipedia", CHEAP], "smact14"),
        (["processes=0"], "processes"),
        (["n=0"], "n must"),
        (["metrics=3"], "metrics must"),
        (["network=3"], "network must"),
        (["symprec=abc"], "symprec must"),
        (["symprec=-0.1"], "symprec must"),
        (["site_cutoff=nan"], "site_cutoff must"),
        (["seed=null"], "seed must"),
        (["targets=reference.parquet", "metrics=[uniqueness,matching]"], "9 structures and 3 targets"),
        (["cache=made.parquet", "metrics=[coverage]"], "cannot write"),
    ],
)
def test_errors_are_one_line(sets: Path, settings: list[str], said: str):
    ended = evaluate(sets, *settings)
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1 and said in ended.stderr
    assert not (sets / "out").exists()


def test_nothing_is_kept_without_a_cache(sets: Path):
    pytest.importorskip("smact")
    ended = evaluate(sets, "metrics=[distances]", "cache=null")
    assert ended.returncode == 0, ended.stderr
    assert sorted(path.name for path in sets.iterdir()) == ["made.parquet", "out", "reference.parquet"]


def test_figures_of_a_run_that_goes_on_are_the_same_to_the_byte(sets: Path):
    pytest.importorskip("smact")
    frame = pd.read_parquet(sets / "made.parquet")
    # atoms on a line: no volume, and a density that JSON cannot say
    frame.at[2, "lattice"] = np.array([1e-200, 1e-200, 1e-200, 90.0, 90.0, 90.0])
    frame.to_parquet(sets / "made.parquet")
    settings = ("metrics=[validity,space_groups,distances]", "network=null")
    ended = evaluate(sets, *settings)
    table = (sets / "out" / "structures.csv").read_bytes()
    again = evaluate(sets, *settings, "resume=true")
    assert again.stdout == ended.stdout and (sets / "out" / "structures.csv").read_bytes() == table


def test_an_unknown_network_is_named(sets: Path):
    # distances are those of valid structures, and SMACT says which compositions are
    pytest.importorskip("smact")
    ended = evaluate(sets, "network=nothing", "metrics=[distances]")
    assert ended.returncode == 2 and ended.stderr.count("\n") == 1 and "nothing" in ended.stderr
    assert not (sets / "out").exists()


def test_coverage_and_frechet_distances_from_the_cache(sets: Path):
    pytest.importorskip("matminer")
    write(sets / "made.parquet", some_crystals()[1:4])
    ended = evaluate(sets, "metrics=[coverage,frechet]", "cache=cache")
    assert ended.returncode == 0, ended.stderr
    figures = json.loads(ended.stdout)
    assert set(figures["frechet"]) == {
        "crystalnn",
        next(k for k in figures["frechet"] if k.startswith("alignn-")),
    }
    assert "MP-20" in figures["coverage"]["scaler"] and 0.0 < figures["coverage"]["recall"] <= 1.0
    kept = list((sets / "cache").rglob("*.safetensors"))
    assert len(kept) == 4
    again = evaluate(sets, "metrics=[coverage,frechet]", "cache=cache", "out=again", "scaler=reference")
    assert again.returncode == 0 and json.loads(again.stdout)["frechet"] == figures["frechet"]
    assert sorted(kept) == sorted((sets / "cache").rglob("*.safetensors"))


TINY_CRYSTALS = (
    "env=crystal", "proxy=mlp", "trainer.iterations=1", "trainer.batch_size=16", "prior=null",
    "policy.forward.n_hidden=8", "samples.n=30", "export.k=0", "threads=1", "quiet=true", "run.dir=run",
    "env.space_groups=[225,221,216,139,123]", "env.elements=[Li,O,Na,Mg,Al,Cl,Zn]",
)  # fmt: skip
FEW = ("sampler.n=200", "sampler.untrained=100", "sampler.objects=20", "sampler.trajectories=5", "threads=1")


def test_a_sampler_of_crystals_is_measured(sets: Path):
    assert run_command(sets, "train_gfn", *TINY_CRYSTALS).returncode == 0
    ended = run_command(sets, "evaluate", "run=run", "reference=reference.parquet", *FEW)
    assert ended.returncode == 0, ended.stderr
    figures = json.loads(ended.stdout)
    assert json.loads((sets / "runs" / "evaluate_run" / "metrics.json").read_text()) == figures
    assert (figures["n"], figures["property"]) == (200, "formation_energy_per_atom")
    # the reference holds three labels, the middle one of which is -2.2
    assert figures["energy"]["quantiles"]["data"]["0.5"] == -2.2
    assert set(figures["energy"]["wasserstein_from"]) == {"untrained", "data"}
    assert figures["elements"]["n_admitted"] == 7 and figures["space_groups"]["n_admitted"] == 5
    assert 1.0 <= figures["elements"]["effective"] <= figures["elements"]["n_seen"] <= 7
    assert figures["best"]["n"] <= 100 and figures["best"]["n_formulas"] <= figures["n_formulas"]
    fit = figures["log_p_against_log_r"]
    assert fit["n"] == 20 and 1.0 <= fit["effective_sample_size"] <= 20.0 and fit["slope_error"] > 0.0
    again = run_command(sets, "evaluate", "run=run", "reference=reference.parquet", *FEW)
    assert again.returncode == 2 and "resume=true" in again.stderr


def test_a_sampler_of_a_grid_is_measured_exactly(tmp_path: Path):
    assert run_command(tmp_path, "train_gfn", *SMALL_GRID, "run.dir=grid").returncode == 0
    ended = run_command(tmp_path, "evaluate", "run=grid", "sampler.exact=true", *FEW)
    assert ended.returncode == 0, ended.stderr
    exact = json.loads(ended.stdout)["exact"]
    assert exact["n_objects"] == 36 and 0.0 < exact["total_variation"] < 1.0


def test_a_measurement_that_fails_leaves_its_name_free(tmp_path: Path):
    for _ in range(2):
        ended = run_command(tmp_path, "evaluate", "run=grid", *FEW)
        assert ended.returncode == 2 and "grid is not a run folder" in ended.stderr, ended.stderr
    assert not (tmp_path / "runs" / "evaluate_grid").exists()


def test_structures_or_a_run_is_asked_for(sets: Path):
    for settings, said in (
        (["run=run", "structures=made.parquet"], "run=DIR"),
        ([], "structures=..."),
    ):
        ended = run_command(sets, "evaluate", *settings)
        assert ended.returncode == 2 and said in ended.stderr
