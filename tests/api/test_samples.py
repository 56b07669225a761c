"""Samples: restricted, sliced, filtered, shown, saved, placed and screened, as the verbs do it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pymatgen.core import Composition

import gflownet_crystal as gfc
from gflownet_crystal.common.errors import ConfigError, DataError
from gflownet_crystal.generators.quick_placement import QuickPlacement
from tests.cli.commands import run_command


def compositions(samples: gfc.Samples) -> list[Composition]:
    """Compositions of the cells, read by pymatgen."""
    return [Composition(formula.replace(" ", "")) for formula in samples["formula"]]


def test_a_restriction_is_that_of_the_verb(run, folder, tmp_path):
    given = ["restrict.elements=[Li,O]", "restrict.required_elements=[O]", "restrict.n_atoms=[2,8]"]
    words = [f"run={folder}", "n=20", "seed=4", "out=s.parquet", "device=cpu", *given]
    assert run_command(tmp_path, "sample", *words).returncode == 0
    mine = run.sample(20, seed=4, elements=["Li", "O"], required_elements=["O"], n_atoms=(2, 8))
    pd.testing.assert_frame_equal(mine.to_frame(), pd.read_parquet(tmp_path / "s.parquet"))
    for composition in compositions(mine):
        assert {element.symbol for element in composition} <= {"Li", "O"}
        assert "O" in composition
        assert 2 <= composition.num_atoms <= 8


def test_exact_samples_are_those_of_the_verb(run, folder, tmp_path):
    words = [f"run={folder}", "n=10", "out=s.parquet", "device=cpu", "restrict.space_groups=[225]"]
    assert run_command(tmp_path, "sample", *words, "restrict.exact=weights").returncode == 0
    mine = run.sample(10, space_groups=[225], exact="weights", quiet=True)
    assert "log_weight" in mine.to_frame()
    pd.testing.assert_frame_equal(mine.to_frame(), pd.read_parquet(tmp_path / "s.parquet"))


def test_the_prior_is_sampled_without_training():
    samples = gfc.load("prior", device="cpu").sample(8, space_groups=["Fm-3m"], required_elements=["O"])
    assert (samples["space_group"] == 225).all()
    assert all("O" in composition for composition in compositions(samples))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"elements": "LiO"}, "elements is a list"),
        ({"elements": ["Fe"]}, "Fe"),
        ({"n": 0}, "at least 1"),
        ({"exact": "yes"}, "rejection"),
        ({"space_groups": [1]}, "not in the space"),
        ({"n_atoms": (50, 60)}, "n_atoms"),
    ],
)
def test_wrong_restrictions_are_told_in_one_line(run, given, said):
    with pytest.raises(gfc.GFlowNetCrystalError, match=said) as caught:
        run.sample(**{"n": 5, "elements": ["Li", "O"]} | given)
    assert "\n" not in str(caught.value)


def test_filters_agree_with_pymatgen(samples):
    frame, cells = samples.to_frame(), compositions(samples)
    kept = [
        row
        for row, one in enumerate(cells)
        if {"Li", "O", "F"} >= {e.symbol for e in one}
        and "Li" in one
        and frame["space_group"][row] in (225, 139)
        and 2 <= len(one) <= 2
        and 3 <= one.num_atoms <= 9
        and frame["energy"][row] < 0.5
    ]
    assert kept
    found = samples.filter(
        "energy < 0.5",
        elements=["Li", "O", "F"],
        required_elements=["Li"],
        space_groups=[225, "I4/mmm"],
        n_elements=(2, 2),
        n_atoms=(3, 9),
    )
    expected = frame.iloc[kept].reset_index(drop=True)
    pd.testing.assert_frame_equal(found.to_frame(), expected)
    by_mask = samples.filter(frame["energy"] < 0.5)
    pd.testing.assert_frame_equal(by_mask.to_frame(), samples.filter("energy < 0.5").to_frame())


def test_of_duplicates_the_first_is_kept(samples):
    frame = samples.to_frame()
    twice = gfc.Samples(pd.concat([frame, frame], ignore_index=True))
    kept = twice.distinct()
    pd.testing.assert_frame_equal(kept.to_frame(), samples.distinct().to_frame())
    reduced = [one.reduced_formula for one in compositions(kept)]
    kinds = list(zip(reduced, kept["space_group"], kept["volume_per_atom"], strict=True))
    for place, (formula, group, volume) in enumerate(kinds):
        others = kinds[:place]
        assert not any(
            (formula, group) == (f, g) and abs(np.log(volume / v)) <= np.log1p(0.03) for f, g, v in others
        )
    # a wider tolerance keeps one of each formula and group
    pairs = {(formula, group) for formula, group, _ in kinds}
    assert len(twice.distinct(volume_tolerance=1e6)) == len(pairs)


def test_rows_are_taken_as_from_a_list(samples):
    frame = samples.to_frame()
    for key in (slice(3, 9, 2), [4, 1, 1], np.array([0, -1]), frame["energy"] > 0, []):
        rows = np.arange(len(frame))[key if len(key) else slice(0, 0)] if not isinstance(key, slice) else None
        expected = frame.iloc[key] if rows is None else frame.iloc[rows]
        pd.testing.assert_frame_equal(samples[key].to_frame(), expected.reset_index(drop=True))
    pd.testing.assert_series_equal(samples["a"], frame["a"])
    assert samples[-1]["formula"] == frame["formula"].iloc[-1]
    assert len(list(samples)) == len(samples) == 60
    ordered = samples.sort("energy", ascending=False)["energy"].tolist()
    assert ordered == sorted(frame["energy"], reverse=True)
    with pytest.raises(IndexError):
        _ = samples[60]


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (lambda s: s["enrgy"], "did you mean energy"),
        (lambda s: s[[True, False]], "a mask of 60 values"),
        (lambda s: s.filter("enrgy < 1"), "enrgy"),
        (lambda s: s.filter(elements=["Qq"]), "unknown element 'Qq'"),
        (lambda s: s.filter(elements="LiO"), "list of symbols"),
        (lambda s: s.filter(n_atoms=3), "n_atoms is the fewest and the most"),
        (lambda s: s.filter(lambda frame: 1), "60 truth values"),
        (lambda s: s.sort("x"), "unknown column 'x'"),
        (lambda s: s.place("wyckof"), "did you mean wyckoff"),
        (lambda s: s.place("quick", settings={"x": 1}), "x"),
        (lambda s: s.place(QuickPlacement(), settings={"x": 1}), "leave settings out"),
        (lambda s: s.screen(0), "at least 1"),
        (lambda s: s.screen(settings={"wthin": 1}), "wthin"),
        (lambda s: s.screen(settings={"k": 3}), "leave it out of settings"),
        (lambda s: s.screen(energy_model="alignnn"), "unknown energies"),
    ],
)
def test_faults_are_told_in_one_line(samples, act, said):
    with pytest.raises(gfc.GFlowNetCrystalError, match=said) as caught:
        act(samples)
    assert "\n" not in str(caught.value)


def test_tables_are_shown_as_text_and_html(samples):
    text, html = repr(samples), samples._repr_html_()
    assert text.startswith("60 samples of run; energy: formation_energy_per_atom (eV/atom)")
    assert text.endswith("... and 50 more")
    for composition, group in zip(compositions(samples.head(10)), samples["space_group"], strict=False):
        assert composition.num_atoms
        assert f"({group})" in text
        assert f"({group})" in html
    shown = [line.split()[1] for line in text.splitlines()[2:12]]
    expected = [one.reduced_composition for one in compositions(samples.head(10))]
    assert [Composition(word) for word in shown] == expected
    assert all(word in html for word in shown)
    assert "<table" in html
    assert repr(samples[:0]).startswith("0 samples")
    assert "0 samples" in samples[:0]._repr_html_()


@pytest.mark.parametrize("name", ["s.parquet", "s.csv"])
def test_samples_are_saved_and_read_again(samples, tmp_path, name):
    path = samples.save(tmp_path / name)
    pd.testing.assert_frame_equal(gfc.read_samples(path).to_frame(), samples.to_frame(), check_exact=True)
    with pytest.raises(ConfigError, match="exists"):
        samples.save(path)
    samples[:3].save(path, overwrite=True)
    assert len(gfc.read_samples(path)) == 3
    with pytest.raises(ConfigError, match="parquet"):
        samples.save(tmp_path / "s.xlsx")


def test_what_is_no_spec_is_refused(samples, tmp_path):
    frame = samples.to_frame()
    frame.loc[4, "space_group"] = 225
    frame.loc[4, ["a", "b", "c"]] = [3.0, 4.0, 5.0]
    frame.to_csv(tmp_path / "bad.csv", index=False)
    with pytest.raises(DataError, match="4"):
        gfc.read_samples(tmp_path / "bad.csv")
    with pytest.raises(DataError, match="no data"):
        gfc.read(tmp_path / "nowhere")


def test_atoms_are_those_of_the_verb(samples, placed, tmp_path):
    samples.save(tmp_path / "s.parquet")
    words = [
        "specs=s.parquet",
        "out=made",
        "generator=quick",
        "seed=2",
        "device=cpu",
        "quiet=true",
        "format=null",
    ]
    assert run_command(tmp_path, "generate", *words).returncode == 0
    made = pd.read_parquet(tmp_path / "made" / "structures.parquet")
    assert placed["sample"].tolist() == made["row"].tolist()
    np.testing.assert_array_equal(
        placed.structures.fractional.numpy().ravel(), np.concatenate(made["frac_coords"].tolist())
    )
    assert placed["space_group"].tolist() == made["space_group"].tolist()
    unplaced = pd.read_csv(tmp_path / "made" / "unplaced.csv")
    assert placed.left_out.index.tolist() == unplaced["row"].tolist()
    assert placed.left_out["reason"].str.len().gt(0).all()
    energies = samples["energy"].to_numpy()[placed["sample"]]
    assert placed["energy"].tolist() == energies.tolist()


def test_the_best_try_has_the_lowest_energy(samples):
    few = samples.head(6)
    singles = [
        few.place("quick", seed=seed, device="cpu", quiet=True).judge("alignn", device="cpu", quiet=True)
        for seed in (0, 1)
    ]
    best = few.place("quick", tries=2, energy_model="alignn", seed=0, device="cpu", quiet=True)
    tables = [one.to_frame().set_index("sample")["formation_energy_per_atom"] for one in singles]
    expected = pd.concat(tables, axis=1).min(axis=1)
    found = best.to_frame().set_index("sample")["formation_energy_per_atom"]
    pd.testing.assert_series_equal(found, expected.loc[found.index], check_names=False, rtol=1e-5)


def test_a_screening_is_that_of_export(folder: Path, run, tmp_path):
    work = tmp_path / "run"
    run.save(work)
    samples = run.sample(40, seed=1, quiet=True)
    samples.save(work / "samples.parquet")
    (work / "summary.json").write_text('{"property": "formation_energy_per_atom", "unit": "eV/atom"}')
    words = [f"run={work}", "out=made", "k=3", "generator=quick", "device=cpu", "quiet=true", "seed=5"]
    assert run_command(tmp_path, "export", *words, "screening.within=3.0").returncode == 0
    table = pd.read_csv(tmp_path / "made" / "candidates.csv")
    best = samples.screen(3, generator="quick", seed=5, device="cpu", quiet=True, settings={"within": 3.0})
    assert len(best) == len(table) == 3
    assert best["sample"].tolist() == table["sample"].tolist()
    np.testing.assert_allclose(best["e_above_hull"], table["e_above_hull_judged"], rtol=1e-9)
    np.testing.assert_allclose(best["e_above_hull_proxy"], table["e_above_hull"], rtol=1e-9)
    np.testing.assert_allclose(best["formation_energy_per_atom"], table["energy_before"], rtol=1e-9)
    assert [f"{name}.cif" for name in best["name"]] == table["cif"].tolist()
    assert best.funnel["n"].iloc[-1] >= 3
    left_out = pd.read_csv(tmp_path / "made" / "left_out.csv")
    assert best.left_out["sample"].tolist() == left_out["sample"].tolist()


def test_too_few_crystals_are_told(samples):
    with pytest.warns(UserWarning, match="of 50 crystals found"):
        found = samples.head(4).screen(50, generator="quick", further=False, device="cpu", quiet=True)
    assert len(found) < 50
