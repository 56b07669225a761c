"""The verb ``refine`` end to end on a tiny run: what each round leaves, killed between any two stages, and errors."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from gflownet_crystal.common.checkpoint import newest_checkpoint
from gflownet_crystal.common.tables import read_parquet
from gflownet_crystal.common.yaml_files import read_yaml
from gflownet_crystal.data.prepare import load_prepared
from gflownet_crystal.data.splits import reduced_formulas
from gflownet_crystal.models.energies.trained import TrainedEnergies
from gflownet_crystal.proxies.mlp import MLPProxy
from gflownet_crystal.proxies.reference_hull import ReferenceHull
from gflownet_crystal.structures.frames import frame_to_structures
from gflownet_crystal.structures.primitive import to_primitive
from gflownet_crystal.structures.spec_io import frame_to_specs
from gflownet_crystal.training.proxies.placing_labels import labels_file, read_labels
from tests.cli.commands import Result, run_command
from tests.cli.killed_stages import Killed, contents, kill_after_a_stage
from tests.cli.pipelines import TINY
from tests.data.crystals import stored_frame

QUICK = (
    "n=16", "held_out=0.4", "iterations=2", "tries=1", "batch_size=8", "generator=quick", "generator.tries=4",
    "training=mlp", "training.steps=3", "training.random_strains=2", "training.batch_size=12", "training.holdout=0.1",
    "data=known.parquet", "relax_steps=1", "relax_best=2", "threads=1", "quiet=true",
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("refine")
    known = stored_frame().assign(mp20_split=["val", "val", *["train"] * 6])
    known.to_parquet(made / "known.parquet")
    done = run_command(made, "train_gfn", "env=crystal", "proxy=mlp", "run.dir=run", *TINY)
    assert done.returncode == 0, done.stderr
    return made


def refine(folder: Path, out: str, *settings: str) -> Result:
    return run_command(folder, "refine", "run=run", f"out={out}", *QUICK, *settings)


@pytest.fixture(scope="module")
def whole(folder: Path) -> Path:
    done = refine(folder, "whole", "rounds=2")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert max(map(len, lines[:4])) <= 80
    assert [line.split()[0] for line in lines[2:4]] == ["1", "2"]
    return folder / "whole"


def tables(out: Path, name: str) -> pd.DataFrame:
    return pd.concat([read_parquet(out / f"round-{number}" / name) for number in (1, 2)], ignore_index=True)


def test_held_out_formulas_are_in_no_table_of_any_round(whole: Path) -> None:
    trained, apart = tables(whole, "labels.parquet"), tables(whole, "held_out.parquet")
    assert len(trained) and len(apart)
    assert not set(reduced_formulas(trained)) & set(reduced_formulas(apart))
    samples = tables(whole, "samples.parquet")
    assert set(reduced_formulas(apart)) <= set(reduced_formulas(samples[samples["held_out"]]))


def test_labels_are_energies_of_the_atoms_that_were_placed(whole: Path) -> None:
    rows = load_prepared([whole / "round-2" / "labels.parquet"])
    sampled = rows[rows["structure_source"] == "sampled"]
    specs, structures = frame_to_specs(sampled), frame_to_structures(sampled)
    assert torch.equal(structures.composition, specs.composition)
    assert torch.equal(structures.space_group, specs.space_group)
    own = structures.specs()
    torch.testing.assert_close(own.lengths, specs.lengths)
    torch.testing.assert_close(own.angles, specs.angles)
    energy = TrainedEnergies("alignn").predict(to_primitive(structures))[0]
    np.testing.assert_allclose(sampled["formation_energy_per_atom"], energy.numpy(), atol=1e-5)


def test_relaxed_rows_are_lower_crystals_of_the_same_formulas(whole: Path) -> None:
    rows = load_prepared([whole / "round-1" / "labels.parquet"])
    rows = rows.assign(reduced=reduced_formulas(rows)).set_index("material_id")
    relaxed = rows[rows["structure_source"] == "relaxed"]
    assert 1 <= len(relaxed) <= 2
    for name, row in relaxed.iterrows():
        before = rows.loc[str(name).removesuffix("-relaxed")]
        assert row["reduced"] == before["reduced"]
        assert row["formation_energy_per_atom"] < before["formation_energy_per_atom"] + 1e-6
    hull = ReferenceHull.from_weights().hull_energy(frame_to_specs(rows).composition).numpy()
    above = (rows["formation_energy_per_atom"] - hull)[rows["structure_source"] == "sampled"]
    best = sorted(above.index, key=lambda name: above[name])[:2]
    assert {f"{name}-relaxed" for name in best} >= set(relaxed.index)


def test_figures_are_those_of_the_weights_before_and_after(whole: Path, folder: Path) -> None:
    rounds = json.loads((whole / "summary.json").read_text())["rounds"]
    weights = ["mlp", whole / "round-1" / "weights.safetensors", whole / "round-2" / "weights.safetensors"]
    for number, figures in enumerate(rounds, start=1):
        held = read_parquet(whole / f"round-{number}" / "held_out.parquet")
        for when, source in (("before", weights[number - 1]), ("after", weights[number])):
            specs = frame_to_specs(held)
            # as in training, what lies more than 2 eV/atom above the hull counts as that
            most = ReferenceHull.from_weights().hull_energy(specs.composition).numpy() + 2.0
            said = np.minimum(MLPProxy(source)(specs).value.numpy(), most)
            error = said - np.minimum(held["formation_energy_per_atom"], most)
            assert figures["proxy"][when]["mae"] == pytest.approx(abs(error).mean(), abs=1e-4)
            assert figures["proxy"][when]["bias"] == pytest.approx(error.mean(), abs=1e-4)
        counts = figures["samples"]
        assert counts["distinct"] == 16 >= counts["placed"] >= counts["labelled"]
    # all weights are trained on relaxed crystals alone
    labels = tables(whole, "labels.parquet")
    assert rounds[1]["trained_on"]["labelled"] == int((labels["structure_source"] == "relaxed").sum()) > 0


def test_the_sampler_of_a_round_starts_from_the_last_with_the_newest_weights(
    whole: Path, folder: Path
) -> None:
    for number in (1, 2):
        config = read_yaml(whole / f"round-{number}" / "run" / "config.yaml")
        assert config.proxy.weights == f"whole/round-{number}/weights.safetensors"
        assert config.start == ("run" if number == 1 else "whole/round-1/run")
        assert config.trainer.iterations == 2 and config.seed == number
    # as any other run folder
    drawn = run_command(folder, "sample", "run=whole/round-2/run", "n=5", "out=drawn.csv", "threads=1")
    assert drawn.returncode == 0, drawn.stderr


def test_a_refinement_killed_between_any_two_stages_ends_with_the_same_files(
    folder: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kills, more, ended = 0, (), set[tuple[str, Path]]()
    while True:
        with monkeypatch.context() as patched:
            kill_after_a_stage(patched, ended)
            try:
                done = refine(folder, "killed", "rounds=1", *more)
                break
            except Killed:
                kills, more = kills + 1, ("resume=true",)
        assert kills < 20
    assert done.returncode == 0, done.stderr
    # samples, structures placed and written, relaxed, held-out rows and labels, weights, sampler, figures
    assert kills >= 9
    again = refine(folder, "killed", "rounds=2", "resume=true")
    assert again.returncode == 0, again.stderr
    names = [
        path.relative_to(whole)
        for number in (1, 2)
        for path in (whole / f"round-{number}").iterdir()
        if path.is_file() and path.name != "weights.json"
    ]
    assert len(names) >= 12
    for name in names:
        assert contents(folder / "killed" / name) == contents(whole / name), name
    for number in (1, 2):
        ends = [newest_checkpoint(out / f"round-{number}" / "run")[0] for out in (whole, folder / "killed")]
        first, second = (end.part("model") for end in ends if end is not None)
        assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (("rounds=0",), "rounds must be at least 1, not 0"),
        (("held_out=1.0",), "held_out must lie between 0 and 1, not 1.0"),
        (("replay=-1",), "replay must be a number of at least 0 or null"),
        (("tries=0",), "tries must be a whole number of at least 1, not 0"),
        (("teacher=nobody",), "unknown energies 'nobody'"),
        (("teacher=chgnet:9",), "chgnet has no version '9'"),
        (("energies=none.safetensors",), "no weights 'none.safetensors'"),
        (("prior=true", "data=null"), "prior=true needs known crystals: give data=FILE"),
        (("relax_steps=0",), "give relax_steps= above 0 for relaxed ones"),
        (("relax_steps=0", "data=null"), "give relax_steps= above 0 for relaxed ones"),
        (("earlier_labels=some",), "earlier_labels"),
        (("data=none.parquet",), "none.parquet"),
        (("known_samples=true",), "known_samples=true needs a run with reward=discovery"),
        (("energy_model=true", "energies=chgnet"), "no weights 'chgnet'"),
        (("training.start=mlp",), "training.start has no effect"),
        (("training=mlp_paper",), "training"),
        (("hull=none.parquet",), "none.parquet"),
        (("weights=gemsnet",), "energy_ensemble"),
        (("run=nowhere",), "nowhere"),
        (("resume=true",), "holds nothing to go on with"),
    ],
)  # fmt: skip
def test_errors_are_one_line_and_leave_nothing(folder: Path, settings: tuple[str, ...], words: str) -> None:
    if any("chgnet" in setting for setting in settings):
        pytest.importorskip("chgnet")
    done = refine(folder, "wrong", *settings)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("error: ")
    assert words in done.stderr
    assert not (folder / "wrong").exists()


def test_other_settings_and_other_runs_are_refused(folder: Path, whole: Path) -> None:
    changed = refine(folder, "whole", "rounds=2", "resume=true", "seed=1")
    assert changed.returncode == 2 and "seed differs from the run being resumed" in changed.stderr
    again = refine(folder, "whole", "rounds=2")
    assert again.returncode == 2 and "is not empty; add resume=true" in again.stderr
    grid = run_command(
        folder, "train_gfn", "env=hypergrid", "env.length=4", "policy=mlp", "trainer.iterations=1",
        "trainer.batch_size=4", "samples.n=4", "run.dir=grid", "quiet=true",
    )  # fmt: skip
    assert grid.returncode == 0, grid.stderr
    refused = refine(folder, "wrong", "run=grid")
    assert refused.returncode == 2 and "refine trains that of a run with proxy=mlp" in refused.stderr


@pytest.fixture(scope="module")
def placed(folder: Path) -> Path:
    """Two rounds of a correction for placed atoms, without known crystals."""
    words = [word for word in QUICK if not word.startswith(("training", "data=", "relax"))]
    given = ("training.steps=3", "training.batch_size=8", "training.holdout=0.4", "n=24")
    done = run_command(folder, "refine", "run=run", "out=placed", "rounds=2", *words, *given)
    assert done.returncode == 0, done.stderr
    return folder / "placed"


def test_a_correction_for_placed_atoms_needs_no_known_crystals(placed: Path) -> None:
    for number in (1, 2):
        proxy = read_yaml(placed / f"round-{number}" / "run" / "config.yaml").proxy
        assert proxy.placing == f"placed/round-{number}/weights.safetensors" and proxy.weights == "mlp"
    rounds = json.loads((placed / "summary.json").read_text())["rounds"]
    assert all(figures["trained_on"]["known"] == 0 for figures in rounds)
    # the ensemble of the run had learned no sample yet
    held = read_parquet(placed / "round-1" / "held_out.parquet")
    specs = frame_to_specs(held)
    most = ReferenceHull.from_weights().hull_energy(specs.composition).numpy() + 2.0
    error = np.minimum(MLPProxy()(specs).value.numpy(), most)
    error = error - np.minimum(held["formation_energy_per_atom"], most)
    assert rounds[0]["proxy"]["before"]["mae"] == pytest.approx(abs(error).mean(), abs=1e-4)
    assert rounds[0]["proxy"]["after"]["mae"] != rounds[0]["proxy"]["before"]["mae"]


def test_each_round_learns_from_shipped_labels_and_all_own_ones_but_of_no_held_out_formula(
    folder: Path, placed: Path
) -> None:
    shipped, own = read_labels("placing_labels"), tables(placed, "labels.parquet")
    apart = set(reduced_formulas(tables(placed, "held_out.parquet")))
    trained = read_labels(labels_file(placed / "round-2" / "weights.safetensors"))
    figures = json.loads((placed / "summary.json").read_text())["rounds"][1]
    assert figures["trained_on"] == {
        "labelled": len(own),
        "earlier_labels": len(trained) - len(own),
        "known": 0,
    }
    assert not apart & set(reduced_formulas(trained))
    # two fifths of formulas are held out, of those of earlier labels too
    assert 0.5 < (len(trained) - len(own)) / len(shipped) < 0.7
    energies = set(np.float32(trained["formation_energy_per_atom"]))
    assert set(np.float32(own["formation_energy_per_atom"])) <= energies
    new = figures["proxy"]["after"]["new_formulas"]["n"]
    held = read_parquet(placed / "round-2" / "held_out.parquet")
    assert new == int((~np.isin(reduced_formulas(held), reduced_formulas(shipped))).sum())
    # and a refinement of these weights goes on from what they have learned
    words = [word for word in QUICK if not word.startswith(("training", "data=", "relax"))]
    more = ("training.steps=3", "training.batch_size=8", "training.holdout=0.4", "n=24", "rounds=1")
    weights = "weights=placed/round-2/weights.safetensors"
    done = run_command(folder, "refine", "run=run", "out=again", weights, *words, *more)
    assert done.returncode == 0, done.stderr
    figures = json.loads((folder / "again" / "summary.json").read_text())["rounds"][0]
    # the same seed holds the same formulas out
    assert figures["trained_on"]["earlier_labels"] == len(trained)
    alone = run_command(
        folder, "refine", "run=run", "out=alone", "earlier_labels=false", *words, *more, "iterations=1"
    )
    assert alone.returncode == 0, alone.stderr
    figures = json.loads((folder / "alone" / "summary.json").read_text())["rounds"][0]
    assert figures["trained_on"]["earlier_labels"] == 0 and "new_formulas" not in figures["proxy"]["after"]
