"""The verb ``refine`` end to end on a tiny run: what each round leaves, killed between any two stages, and errors."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from gflownet_crystal.common.checkpoint import newest_checkpoint
from gflownet_crystal.common.files import load_tensors
from gflownet_crystal.common.tables import read_parquet
from gflownet_crystal.common.yaml_files import read_yaml
from gflownet_crystal.data.prepare import load_prepared
from gflownet_crystal.data.splits import reduced_formulas
from gflownet_crystal.generators.assignments.table import AssignmentTable
from gflownet_crystal.generators.wyckoff_sampler import WyckoffSampler
from gflownet_crystal.models.energies.trained import TrainedEnergies
from gflownet_crystal.proxies.mlp import MLPProxy
from gflownet_crystal.proxies.reference_hull import ReferenceHull
from gflownet_crystal.structures.frames import frame_to_structures
from gflownet_crystal.structures.primitive import to_primitive
from gflownet_crystal.structures.spec_io import frame_to_specs, read_specs
from gflownet_crystal.weights import tensors_under
from gflownet_crystal.workflows.placing.making import Maker
from tests.cli.commands import Result, run_command
from tests.cli.killed_stages import Killed, contents, kill_after_a_stage
from tests.cli.tiny_weights import generator_words, ranking_word

QUICK = (
    "n=16", "held_out=0.4", "iterations=2", "tries=1", "batch_size=8",
    "training=mlp", "training.steps=3", "training.random_strains=2", "training.batch_size=12", "training.holdout=0.1",
    "data=known.parquet", "relax_steps=1", "relax_best=2", "threads=1", "quiet=true",
)  # fmt: skip
HASTY = ("generator=quick", "generator.tries=4")


@pytest.fixture(scope="module")
def folder(refine_folder: Path) -> Path:
    return refine_folder


def refine(folder: Path, out: str, *settings: str) -> Result:
    generator = () if any(word.startswith("generator=") for word in settings) else HASTY
    return run_command(folder, "refine", "run=run", f"out={out}", *QUICK, *generator, *settings)


def learning(folder: Path) -> list[str]:
    """Settings of a refinement whose generator learns too, from a network that has learned nothing."""
    given = (
        "generator_model=true",
        "stable=9.0",
        "generator_loop.epochs=3",
        "generator_loop.learning_rate=0.01",
    )
    return [*generator_words("wyckoff", folder), "generator.tries=1", ranking_word(folder), *given]


@pytest.fixture(scope="module")
def whole(folder: Path) -> Path:
    done = refine(folder, "whole", "rounds=2", *learning(folder))
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
    kills, more, ended = 0, (), set[tuple[str, tuple[Path, ...]]]()
    words = learning(folder)
    while True:
        with monkeypatch.context() as patched:
            kill_after_a_stage(patched, ended)
            try:
                done = refine(folder, "killed", "rounds=1", *words, *more)
                break
            except Killed:
                kills, more = kills + 1, ("resume=true",)
        assert kills < 20
    assert done.returncode == 0, done.stderr
    # samples, structures placed and written, relaxed, stable, held-out rows and labels, weights, finds, both models of
    # the generator, sampler, figures
    assert kills >= 13
    again = refine(folder, "killed", "rounds=2", "resume=true", *words)
    assert again.returncode == 0, again.stderr
    names = [
        path.relative_to(whole)
        for number in (1, 2)
        for path in (whole / f"round-{number}").iterdir()
        if path.is_file() and path.name not in ("weights.json", "generator.json", "ranking.json")
    ]
    assert len(names) >= 18
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
        (("held_out=1.0",), "held_out must be above 0 and below 1, not 1.0"),
        (("replay=-1",), "replay must be at least 0, not -1"),
        (("tries=0",), "tries must be a whole number of at least 1, not 0"),
        (("teacher=nobody",), "unknown energies 'nobody'"),
        (("teacher=chgnet:9",), "chgnet has no version '9'"),
        (("energies=none.safetensors",), "no weights 'none.safetensors'"),
        (("prior=true", "data=null"), "prior=true needs known crystals: give data=FILE"),
        (("generator_model=true", "data=null"), "generator_model=true needs known crystals: give data=FILE"),
        (("generator_model=true", "relax_steps=0"), "generator_model=true learns from relaxed crystals"),
        (("generator_model=true",), "generator_model=true trains generator=wyckoff alone"),
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


def test_the_next_round_places_with_what_the_generator_has_learned_from_own_finds(
    whole: Path, folder: Path
) -> None:
    first, second = (whole / f"round-{number}" for number in (1, 2))
    made, specs = read_parquet(second / "structures.parquet"), read_specs(second / "samples.parquet")
    judge = TrainedEnergies("alignn")

    def placed(weights: Path, ranking: Path) -> pd.DataFrame:
        sampler = WyckoffSampler(weights, str(ranking), tries=1, steps=3)
        maker = Maker(sampler, torch.device("cpu"), 1, 0, True, judge)
        # the same batches, as rounding differs in others
        return pd.concat([maker.make(specs.iloc[first : first + 8]) for first in (0, 8)])

    learned = placed(first / "generator.safetensors", first / "ranking.safetensors")
    assert made["frac_coords"].map(list).tolist() == learned["frac_coords"].map(list).tolist()
    before = placed(folder / "wyckoff.safetensors", folder / "ranking.safetensors")
    assert before["frac_coords"].map(list).tolist() != learned["frac_coords"].map(list).tolist()
    # finds of both rounds, of new formulas and none held out
    finds = read_parquet(second / "finds.parquet")
    stable = tables(whole, "stable.parquet")
    assert set(finds["material_id"]) <= set(stable["material_id"][stable["structure_source"] == "relaxed"])
    barred = (load_prepared([folder / "known.parquet"]), tables(whole, "held_out.parquet"))
    assert not set(reduced_formulas(finds)) & {one for table in barred for one in reduced_formulas(table)}
    summary = json.loads((whole / "summary.json").read_text())
    assert summary["generator"] == "whole/round-2/generator.safetensors"
    figures = summary["rounds"][1]["generator"]
    assert figures["finds"] == len(finds) > 0
    # the one table of assignments has what the ranker has learned from, own finds among it
    table = AssignmentTable.from_tensors(
        tensors_under(load_tensors(second / "ranking.safetensors")[0], "table/")
    )
    assert figures["ranking"]["crystals"] == sum(sum(one.values()) for one in table.counts.values()) > 6
    assert figures["generator"]["before"] == summary["rounds"][0]["generator"]["generator"]["after"]


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
    assert refused.returncode == 2 and "refine needs a run with proxy=mlp" in refused.stderr
