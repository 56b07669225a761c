"""The verb ``pipeline`` end to end on a tiny run: every column against an answer of its own, failures, and resuming."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pymatgen.core import Composition, Structure
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

from gflownet_crystal.common.progress import Progress
from gflownet_crystal.data.readers import read_source
from gflownet_crystal.generators.quick_placement import QuickPlacement
from gflownet_crystal.models.energies.trained import TrainedEnergies
from gflownet_crystal.proxies.learned_hull import LearnedHull
from gflownet_crystal.proxies.reference_hull import ReferenceHull
from gflownet_crystal.proxies.structure_property import StructureProperty
from gflownet_crystal.structures.convert import from_pymatgen
from gflownet_crystal.structures.spec_io import read_specs
from gflownet_crystal.workflows.pipeline.table import Ended
from tests.cli import pipelines
from tests.cli.commands import run_command
from tests.cli.pipelines import RELAXED, TINY, crystals, pipeline, table
from tests.cli.tiny_weights import loose_contacts


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("pipeline")
    done = run_command(made, "train_gfn", "env=crystal", "proxy=mlp", "run.dir=run", *TINY)
    assert done.returncode == 0, done.stderr
    # the quick generator leaves little room, which is not the matter here
    loose_contacts(made)
    return made


@pytest.fixture(scope="module")
def whole(folder: Path) -> Path:
    done = pipeline(folder, "whole", *RELAXED)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == json.loads((folder / "whole" / "summary.json").read_text())
    return folder / "whole"


def test_workers_make_the_same_candidates(folder: Path, whole: Path) -> None:
    done = pipeline(folder, "others", *RELAXED, "executor._target_=tests.common.units_that_die.Threads")
    assert done.returncode == 0, done.stderr
    pd.testing.assert_frame_equal(table(folder / "others"), table(whole), rtol=1e-5)


def test_candidates_are_distinct_specs_of_the_samples(whole: Path) -> None:
    rows, samples = table(whole), read_specs(whole / "samples.parquet")
    assert rows["rank"].tolist() == [1, 2, 3, 4, 5, 6] and rows["sample"].is_unique
    for name in ("space_group", "formula", "a", "c", "gamma", "energy", "energy_std", "log_reward"):
        assert rows[name].tolist() == samples[name].iloc[rows["sample"]].tolist()
    assert sorted(path.name for path in (whole / "cif").iterdir()) == sorted(
        name.removeprefix("cif/") for name in rows["cif"]
    )


def test_cifs_are_what_the_table_says(whole: Path) -> None:
    rows = table(whole)
    for (_, row), crystal in zip(rows.iterrows(), crystals(whole), strict=True):
        assert crystal.composition.reduced_composition == Composition(row["formula"]).reduced_composition
        assert SpacegroupAnalyzer(crystal, 0.01).get_space_group_number() == row["space_group_found"]
        distances = crystal.get_neighbor_list(6.0)[3]
        assert row["shortest_distance"] == pytest.approx(distances.min(), abs=1e-6)
        if row["status"] == "generated":
            assert crystal.composition == Composition(row["formula"])
            lattice = row[["a", "b", "c", "alpha", "beta", "gamma"]].tolist()
            assert crystal.lattice.parameters == pytest.approx(lattice)
    # symmetry is kept, so that no group is lower than the one asked for
    assert (rows["space_group_found"] >= rows["space_group"]).all()


def test_energies_are_the_judges_of_what_the_cifs_hold(whole: Path) -> None:
    rows = table(whole)
    structures = from_pymatgen(crystals(whole))
    energy = TrainedEnergies("alignn").predict(structures)[0].numpy()
    known = rows["energy_after"].fillna(rows["energy_before"])
    np.testing.assert_allclose(known, energy, atol=2e-4)
    learned, reference = (
        hull.from_weights().hull_energy(structures.composition).numpy()
        for hull in (LearnedHull, ReferenceHull)
    )
    np.testing.assert_allclose(rows["e_above_hull_judged"], energy - reference, atol=2e-4)
    np.testing.assert_allclose(rows["e_above_hull"], rows["energy"] - learned, atol=1e-6)
    assert rows["e_above_hull_judged"].is_monotonic_increasing


def test_the_best_are_relaxed_and_how_far_they_moved_is_told(whole: Path) -> None:
    rows = table(whole)
    moved = rows[rows["energy_after"].notna()]
    assert len(moved) == 2 and set(moved["status"]) <= {"relaxed", "not_converged"}
    assert (moved["relax_steps"] <= 3).all()
    hull = rows["energy_before"] - (
        rows["energy_after"].fillna(rows["energy_before"]) - rows["e_above_hull_judged"]
    )
    assert sorted(hull.nsmallest(2).index) == sorted(moved.index)
    assert (moved["energy_after"] < moved["energy_before"]).all()
    # here one model judges and relaxes; it sees conventional cells first, then primitive ones
    for judge, relaxer in (("energy_before", "relaxer_before"), ("energy_after", "relaxer_after")):
        np.testing.assert_allclose(moved[relaxer], moved[judge], atol=2e-4)
    for _, row in moved.iterrows():
        crystal = Structure.from_file(whole / row["cif"])
        before = row["volume_per_atom"] * Composition(row["formula"]).num_atoms
        assert row["volume_change"] == pytest.approx(crystal.volume / before - 1, abs=1e-6)
        assert row["max_displacement"] >= row["rms_displacement"] >= 0
    for name in (
        "volume_change",
        "length_change",
        "angle_change",
        "rms_displacement",
        "relax_steps",
        "relaxer_after",
    ):
        assert rows.loc[~rows.index.isin(moved.index), name].isna().all()


def test_specs_that_fail_are_listed_with_reasons(folder: Path) -> None:
    fussy = f"generator._target_={pipelines.__name__}.Fussy"
    done = pipeline(folder, "fussy", fussy, *RELAXED, "relaxation.max_volume_change=1e-9")
    assert done.returncode == 0, done.stderr
    rows = table(folder / "fussy")
    failed = rows[rows["status"] == "unplaced"]
    assert len(failed) and failed["formula"].str.contains("Cl").all()
    assert failed[["rank", "cif", "energy_before"]].isna().all().all()
    assert failed["reason"].str.contains("found no place").all()
    assert rows["rank"].dropna().tolist() == [1, 2, 3, 4, 5, 6]
    broken = rows[rows["status"] == "relaxation_failed"]
    assert len(broken) == 2 and broken["reason"].str.contains("more than max_volume_change").all()
    assert broken["cif"].notna().all() and broken["energy_after"].isna().all()
    assert json.loads(done.stdout)["status"]["unplaced"] == len(failed)


def test_the_best_are_chosen_from_more_with_atoms(folder: Path, whole: Path) -> None:
    done = pipeline(folder, "more", "choose_from=10")
    assert done.returncode == 0, done.stderr
    rows = table(folder / "more")
    chosen, outranked = rows[rows["rank"].notna()], rows[rows["status"] == "outranked"]
    assert chosen["rank"].tolist() == [1, 2, 3, 4, 5, 6] and len(outranked) == 4
    assert outranked[["rank", "cif", "same_as", "shortest_distance"]].isna().all().all()
    # the same specs get the same atoms, whether six or ten do
    alone = folder / "ten"
    assert pipeline(folder, "ten", "k=10").returncode == 0
    pd.testing.assert_frame_equal(
        rows[["sample", "energy_before", "e_above_hull_judged"]].sort_values("sample", ignore_index=True),
        table(alone)[["sample", "energy_before", "e_above_hull_judged"]].sort_values(
            "sample", ignore_index=True
        ),
    )
    assert outranked["e_above_hull_judged"].min() >= chosen["e_above_hull_judged"].max()
    assert len(list((folder / "more" / "cif").iterdir())) == 6
    counts = json.loads(done.stdout)
    assert counts["candidates"] == 6 and counts["lacking"] == 0 and counts["status"]["outranked"] == 4


def test_a_stopped_pipeline_goes_on(folder: Path, whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    advance = Progress.advance

    def killed(self: Progress, message: str, steps: int = 1) -> None:
        advance(self, message, steps)
        if self.label == killed_in[-1]:
            raise KeyboardInterrupt

    monkeypatch.setattr(Progress, "advance", killed)
    killed_in = []
    nothing = pipeline(folder, "cut", *RELAXED, "resume=true")
    assert nothing.returncode == 2 and "holds nothing to go on with" in nothing.stderr
    for stage, again in (("generating", []), ("relaxing", ["resume=true"])):
        killed_in.append(stage)
        assert pipeline(folder, "cut", *RELAXED, *again).returncode == 130
        assert not (folder / "cut" / "candidates.csv").exists()
    monkeypatch.undo()
    # what is sampled is not sampled again
    for place in ("pipeline.pipeline", "candidates.source"):
        monkeypatch.setattr(f"gflownet_crystal.workflows.{place}.sample_model", None)
    assert pipeline(folder, "cut", *RELAXED).returncode == 2
    other = pipeline(folder, "cut", *RELAXED, "resume=true", "tries=1")
    assert other.returncode == 2 and "tries differs" in other.stderr
    other = pipeline(folder, "cut", *RELAXED, "resume=true", "relaxation.fmax=0.2")
    assert other.returncode == 2 and "fmax differs" in other.stderr
    assert pipeline(folder, "cut", *RELAXED, "resume=true").returncode == 0
    pd.testing.assert_frame_equal(table(folder / "cut"), table(whole))


def test_more_can_be_relaxed_later(folder: Path, whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert pipeline(folder, "later").returncode == 0
    assert (table(folder / "later")["status"] == "generated").all()
    monkeypatch.setattr(QuickPlacement, "generate", None)
    assert pipeline(folder, "later", *RELAXED, "resume=true", "format=[json]").returncode == 0
    rows = table(folder / "later")
    pd.testing.assert_frame_equal(rows, table(whole))
    # the other formats have the latest energies
    frame = read_source(folder / "later" / "structures.json")
    placed = rows[rows["cif"].notna()]
    assert frame["material_id"].tolist() == [Path(name).stem for name in placed["cif"]]
    energy = placed["energy_after"].fillna(placed["energy_before"])
    np.testing.assert_allclose(frame["formation_energy_per_atom"], energy, rtol=1e-7)
    assert set(frame["energy_source"]) == {"alignn"}
    # columns of properties are made of what the folder holds
    assert pipeline(folder, "later", *RELAXED, "resume=true", "properties=bulk_modulus_atoms").returncode == 0
    rows = table(folder / "later")
    placed = rows[rows["cif"].notna()]
    crystals = [Structure.from_file(folder / "later" / name) for name in placed["cif"]]
    expected = StructureProperty("bulk_modulus_atoms")(from_pymatgen(crystals))
    np.testing.assert_allclose(placed["bulk_modulus"], expected.value.numpy(), rtol=1e-2)
    # what the stages left is no second copy
    assert sorted(read_source(folder / "later")["material_id"]) == frame["material_id"].tolist()


def test_a_candidate_that_relaxes_into_another_gives_way_to_the_next(
    folder: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[list[int]] = []

    def best_is_double(final: Ended, places: np.ndarray) -> list[int]:
        looked.append(places.tolist())
        return places[:1].tolist() if len(looked) == 1 else []

    monkeypatch.setattr("gflownet_crystal.workflows.pipeline.pipeline.repeated", best_is_double)
    done = pipeline(folder, "gave", *RELAXED)
    assert done.returncode == 0, done.stderr
    assert looked == [[0, 1, 2, 3, 4, 5], [1, 2, 3, 4, 5, 6]]
    rows, before = table(folder / "gave"), table(whole)
    chosen, double = rows[rows["rank"].notna()], rows[rows["status"] == "double"]
    assert chosen["rank"].tolist() == [1, 2, 3, 4, 5, 6] and chosen["sample"].is_unique
    (gone,) = double["sample"]
    assert double["reason"].tolist() == ["relaxed, the same crystal as another one"]
    kept = set(before["sample"][before["rank"].notna()]) - {gone}
    assert len(kept) == 5 and kept < set(chosen["sample"])
    # the nearest to the hull of those that are left are relaxed
    assert chosen["energy_after"].notna().sum() == 2
    told = json.loads(done.stdout)
    assert told["candidates"] == 6 and told["lacking"] == 0
    counts = {stage["stage"]: stage["n"] for stage in told["funnel"]}
    assert counts["distinct after relaxation"] == counts["distinct with atoms"] - 1


def test_without_a_judge_the_proxy_ranks(folder: Path) -> None:
    done = pipeline(folder, "plain", "energies=null", "restrict.space_groups=[225]")
    assert done.returncode == 0, done.stderr
    rows = table(folder / "plain")
    assert rows["e_above_hull"][rows["rank"].notna()].is_monotonic_increasing
    assert rows[["energy_before", "e_above_hull_judged"]].isna().all().all()
    assert (rows["space_group"] == 225).all()


def test_specs_far_from_the_hull_are_replaced_and_more_samples_drawn(folder: Path) -> None:
    words = ("k=4", "n=4", "screening.within=1.0", "screening.fill=false", "screening.most_placed=40")
    done = pipeline(folder, "near", *words)
    assert done.returncode == 0, done.stderr
    rows, told = table(folder / "near"), json.loads(done.stdout)
    chosen, far = rows[rows["rank"].notna()], rows[rows["status"] == "far"]
    assert (
        (chosen["e_above_hull_judged"] <= 1.0).all() and (far["e_above_hull_judged"] > 1.0).all() and len(far)
    )
    counts = {stage["stage"]: stage["n"] for stage in told["funnel"]}
    assert counts["sampled"] == len(read_specs(folder / "near" / "samples.parquet")) > 4
    assert counts["tried"] == len(rows) <= 40 and counts["candidates"] == len(chosen) == told["candidates"]


def test_no_candidate_at_all_is_told_with_the_reasons(folder: Path) -> None:
    done = pipeline(
        folder, "none", "k=2", "screening.within=-9", "screening.fill=false", "screening.most_placed=4"
    )
    assert done.returncode == 2 and len(done.stderr.strip().splitlines()) == 1
    assert "none of 4 specs that were tried is a candidate (4 far)" in done.stderr


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (["run=nowhere"], "nowhere"),
        (["screening.order=worst"], "screening.order"),
        (["screening.most_placed=2"], "most_placed"),
        (["k=0"], "k must be"),
        (["relax=-1"], "relax must be"),
        (["choose_from=5"], "choose_from must be"),
        (["choose_from=12", "energies=null"], "choose_from needs energies"),
        (["energies=oracle"], "oracle"),
        (["relax=1", "relax_model=oracle"], "oracle"),
        (["relax=1", "relax_version=7net-0"], "a version needs a model"),
        (["hull=nowhere.parquet"], "nowhere.parquet"),
        (["generator=golem"], "golem"),
        (["relaxation.fmax=0"], "fmax"),
        (["restrict.elements=Li"], "restrict.elements"),
    ],
)
def test_wrong_settings_give_one_line(folder: Path, settings: list[str], told: str) -> None:
    done = pipeline(folder, "wrong", *settings)
    assert done.returncode == 2
    assert told in done.stderr and len(done.stderr.strip().splitlines()) == 1
    assert not (folder / "wrong").exists()
