"""The verb report: a page from a run folder, comparisons, and errors of one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from omegaconf import OmegaConf

from gflownet_crystal.cli.main import main
from gflownet_crystal.config import compared_run
from gflownet_crystal.config.parts import build_parts
from gflownet_crystal.proxies.mlp import MLPProxy
from gflownet_crystal.report.population import Population
from gflownet_crystal.report.run_files import read_run
from gflownet_crystal.structures.convert import from_ase
from gflownet_crystal.structures.elements import ATOMIC_NUMBERS
from gflownet_crystal.structures.frames import structures_to_frame
from gflownet_crystal.structures.spec_io import frame_to_specs
from gflownet_crystal.workflows.evaluating import report_sets
from tests.report.runs import CRYSTALS, candidate_frame, write_run

QUICK = ("compare=0", "device=cpu", "threads=1")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return write_run(tmp_path_factory.mktemp("made") / "run", finished=False)


def test_a_report_compares_with_the_untrained_sampler_and_known_crystals(tmp_path, capsys, monkeypatch):
    folder = write_run(tmp_path / "run", relaxed=False)
    known = structures_to_frame(from_ase(list(CRYSTALS)), formation_energy_per_atom=np.linspace(-2, -1, 6))
    known["material_id"] = [f"known-{k}" for k in range(6)]
    known.to_parquet(tmp_path / "known.parquet")
    words = ["report", f"run={folder}", f"reference={tmp_path / 'known.parquet'}", "device=cpu", "threads=1"]
    assert main([*words, "compare=16"]) == 0
    out, err = capsys.readouterr()
    assert "6 candidates" in out and err == ""
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert "16 untrained" in text and "16 of the prior" in text and "known-0" in text
    # all but CsCl are made of the run's elements
    assert "5 known crystals of these elements" in text
    assert "6 of 6 have the formula of one of 6 known crystals, 6 of them its group" in text
    frame = pd.read_parquet(folder / "untrained.parquet")
    assert len(frame) == 16 and frame_to_specs(frame).n_atoms.min() >= 2
    of_the_prior = frame_to_specs(pd.read_parquet(folder / "prior.parquet"))
    allowed = [ATOMIC_NUMBERS[symbol] for symbol in OmegaConf.load(folder / "config.yaml").env.elements]
    # drawn in the space of the run, not in its own
    assert of_the_prior.composition[:, allowed].sum() == of_the_prior.n_atoms.sum() > 0
    # what has been drawn is drawn once
    monkeypatch.setattr(compared_run, "build_parts", lambda *_: pytest.fail("nothing has to be built"))
    assert main(["report", f"run={folder}", "compare=16"]) == 0
    assert pd.read_parquet(folder / "untrained.parquet").equals(frame)


def test_known_crystals_are_scored_by_the_proxy(tmp_path):
    folder = write_run(tmp_path / "run", candidates=False)
    config = OmegaConf.load(folder / "config.yaml")
    config.device = "cpu"
    frame = candidate_frame().iloc[:4].reset_index(drop=True)
    parts = build_parts(config)
    scored = report_sets._scored(parts, pd.concat([frame, frame.assign(a=np.nan)], ignore_index=True), 10)
    expected = MLPProxy(placing="placing")(frame_to_specs(frame)).value
    torch.testing.assert_close(torch.from_numpy(np.sort(scored)), expected.sort().values, rtol=0, atol=1e-6)


def test_a_run_without_results_has_a_report(tmp_path, capsys):
    folder = write_run(tmp_path / "run", finished=False, candidates=False)
    assert main(["report", f"run={folder}", f"out={tmp_path / 'pages' / 'one.html'}", *QUICK]) == 0
    assert "no candidates yet" in capsys.readouterr().out
    assert (tmp_path / "pages" / "one.html").is_file()
    assert (tmp_path / "pages" / "one_figures" / "training_curves.png").is_file()
    assert not (folder / "figures").exists()


def test_a_run_without_crystals_is_not_asked_for_candidates(tmp_path, capsys):
    folder = write_run(tmp_path / "run", candidates=False)
    pd.DataFrame({"x0": [0.1, 0.2], "energy": [1.0, 2.0]}).to_parquet(folder / "samples.parquet")
    assert main(["report", f"run={folder}", *QUICK]) == 0
    assert "no crystals, so no candidates" in capsys.readouterr().out


def test_the_best_k_candidates_are_shown(folder, tmp_path, capsys):
    assert main(["report", f"run={folder}", f"out={tmp_path / 'one.html'}", "k=2", *QUICK]) == 0
    assert "2 candidates" in capsys.readouterr().out
    assert (tmp_path / "one.html").read_text().count("<article") == 2


def test_candidates_and_relaxed_ones_can_lie_elsewhere(tmp_path, folder):
    bare = write_run(tmp_path / "bare", finished=False, candidates=False)
    words = [f"candidates={folder / 'candidates'}", f"relaxed={folder / 'relaxed'}", *QUICK]
    assert main(["report", f"run={bare}", *words]) == 0
    text = (bare / "report.html").read_text()
    assert text.count("<article") == 6 and "chgnet relaxed 6 of 6" in text


def test_a_stored_seed_that_is_none_is_refused(tmp_path, capsys):
    folder = write_run(tmp_path / "run", finished=False, candidates=False)
    config = OmegaConf.load(folder / "config.yaml")
    config.seed = {"of": 3}
    OmegaConf.save(config, folder / "config.yaml")
    assert main(["report", f"run={folder}", "device=cpu", "compare=4"]) in (0, 2)
    said = capsys.readouterr().err
    assert "seed" in said and "Traceback" not in said


def test_a_class_that_is_not_trusted_costs_the_comparison_only(tmp_path, capsys):
    folder = write_run(tmp_path / "run", finished=False, candidates=False)
    config = OmegaConf.load(folder / "config.yaml")
    config.proxy = {"_target_": "my_own.Proxy"}
    OmegaConf.save(config, folder / "config.yaml")
    assert main(["report", f"run={folder}", "device=cpu"]) == 0
    assert "my_own.Proxy" in capsys.readouterr().err
    assert "no comparison" in (folder / "report.html").read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run=nowhere"], "nowhere"),
        (["out=page.pdf"], "page.pdf"),
        (["k=0"], "k must be"),
        (["compare=-1"], "compare must be"),
        (["samples=none.parquet"], "none.parquet"),
        (["candidates=none"], "candidates.csv"),
        (["relaxed=none"], "relaxed.csv"),
        (["reference=none.parquet"], "none.parquet"),
        (["trust=2"], "trust"),
        (["cards=3"], "cards"),
    ],
)
def test_errors_are_one_line(folder, tmp_path, capsys, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    assert main(["report", f"run={folder}", *QUICK, *words]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and said in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("candidates/candidates.csv", "rank,formula\n1,NaCl\n", "has no column space_group"),
        ("candidates/candidates.csv", "", "cannot read"),
        ("metrics.jsonl", "not json\n", "metrics.jsonl"),
        ("summary.json", "{", "summary.json"),
        ("samples.parquet", "PAR1", "samples.parquet"),
        ("config.yaml", "env: [", "config.yaml"),
        ("config.yaml", "seed: 1\n", "damaged"),
    ],
)
def test_damaged_files_are_named(tmp_path, capsys, name, content, said):
    folder = write_run(tmp_path / "run", finished=False, relaxed=False)
    (folder / name).write_text(content)
    assert main(["report", f"run={folder}", *QUICK]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and said in err


@pytest.mark.parametrize(("column", "value"), [("rank", "first"), ("formula", "<b>"), ("space_group", 999)])
def test_a_row_that_is_no_crystal_is_named(tmp_path, capsys, column, value):
    folder = write_run(tmp_path / "run", finished=False, relaxed=False)
    path = folder / "candidates" / "candidates.csv"
    pd.read_csv(path).astype({column: object}).assign(**{column: value}).to_csv(path, index=False)
    assert main(["report", f"run={folder}", *QUICK]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and str(value) in err


@pytest.mark.parametrize(
    ("env", "n"), [({"elements": ["Na", "Cl"]}, 1), ({}, 6), ({"elements": ["Xx"]}, 6), (None, 6)]
)
def test_known_crystals_are_those_of_the_elements_of_the_run(tmp_path, env, n):
    known = Population.of("reference", "known", candidate_frame())
    files = read_run(tmp_path, {"env": env})
    assert len(report_sets.of_the_space(known, files)) == n
