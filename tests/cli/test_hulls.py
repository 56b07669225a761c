"""Reference hulls on the command line: made by prepare_data, used by training, resuming, sampling and export."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gflownet_crystal.proxies.learned_hull import LearnedHull
from gflownet_crystal.proxies.mlp import MLPProxy
from gflownet_crystal.proxies.reference_hull import ReferenceHull
from gflownet_crystal.structures.spec_io import frame_to_specs, read_specs
from tests.cli.commands import run_command
from tests.cli.test_export import CRYSTALS, write_run

ENERGY = "formation_energy_per_atom"
TINY = (
    "trainer.batch_size=16", "trainer.checkpoint_every=1", "prior=null", "policy.forward.n_hidden=8",
    "samples.n=30", "export.k=2", "threads=1", "quiet=true",
    "env.space_groups=[225,221,216,139,123]", "env.elements=[Li,O,Na,Mg,Al,Cl,Zn]",
)  # fmt: skip


@pytest.fixture(scope="module")
def hull_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hull of oxides and chlorides, each at -3 eV/atom; one of them twice, and one that is not stable."""
    folder = tmp_path_factory.mktemp("hull")
    formulas = "NaCl Na2Cl2 Li2O SrO TiO2 MgO Al2O3 ZnO CaO LiO9".split()
    energies = [-3.0, -2.0, *[-3.0] * 7, -0.1]
    pd.DataFrame({"formula": formulas, ENERGY: energies}).to_parquet(folder / "source.parquet")
    done = run_command(folder, "prepare_data", "source=source.parquet", "hull=hull.parquet", "quiet=true")
    assert done.returncode == 0, done.stderr
    told = {"hull": "hull.parquet", "formulas": 9, "stable": 8, "left_out": {"n": 0, "reasons": {}}}
    assert json.loads(done.stdout) == told
    return folder / "hull.parquet"


def test_prepare_data_writes_a_table_and_a_hull_at_once(hull_file: Path, tmp_path: Path) -> None:
    crystals = frame_to_specs(_samples())
    frame = pd.DataFrame({"material_id": [str(row) for row in range(len(crystals))]})
    frame["composition"], frame["space_group"] = crystals.formulas(), crystals.space_group.numpy()
    frame[ENERGY] = -1.0
    frame.to_parquet(tmp_path / "crystals.parquet")
    given = ("source=crystals.parquet", "out=table.parquet", "hull=hull.parquet", "quiet=true")
    done = run_command(tmp_path, "prepare_data", *given)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["rows"] == len(pd.read_parquet(tmp_path / "table.parquet")) == len(crystals)
    assert told["stable"] == len(ReferenceHull.read(tmp_path / "hull.parquet")) <= told["formulas"]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ([], "out=FILE.parquet"),
        (["hull=hull.csv"], "hull must end in .parquet"),
        (["hull=hull.parquet"], "below 0"),
        (["hull=hull.parquet", "one_scheme=maybe"], "one_scheme must be true or false"),
    ],
)
def test_nothing_to_write_is_told_in_one_line(tmp_path: Path, settings: list[str], told: str) -> None:
    pd.DataFrame({"formula": ["Na1 Cl1"], ENERGY: [0.1]}).to_parquet(tmp_path / "a.parquet")
    done = run_command(tmp_path, "prepare_data", "source=a.parquet", "quiet=true", *settings)
    assert done.returncode == 2
    assert told in done.stderr and len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "hull.parquet").exists()


def test_training_resumes_samples_and_exports_with_a_hull(hull_file: Path, tmp_path: Path) -> None:
    given = ("env=crystal", "proxy=e_above_hull", f"proxy.hull={hull_file}", "run.dir=run", *TINY)
    first = run_command(tmp_path, "train_gfn", "trainer.iterations=2", *given)
    assert first.returncode == 0, first.stderr
    again = run_command(tmp_path, "train_gfn", "trainer.iterations=3", "resume=true", *given)
    assert again.returncode == 0, again.stderr
    other = run_command(tmp_path, "train_gfn", "resume=true", "proxy.energy=mlp_paper", *given)
    assert other.returncode == 2 and "proxy.energy differs" in other.stderr
    done = run_command(tmp_path, "sample", "run=run", "n=40", "out=more.parquet")
    assert done.returncode == 0, done.stderr
    samples = read_specs(tmp_path / "more.parquet")
    specs = frame_to_specs(samples)
    energy = MLPProxy()(specs).value
    above = ReferenceHull.read(hull_file).e_above_hull(specs, energy).numpy()
    np.testing.assert_allclose(samples["energy"], above, atol=1e-6)
    exported = pd.read_csv(tmp_path / "run" / "candidates" / "candidates.csv")
    np.testing.assert_allclose(exported["e_above_hull"], exported["energy"])
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert (summary["property"], summary["iterations"]) == ("e_above_hull", 3)
    # energies stored against the run's own hull are measured from another one
    second = tmp_path / "second.parquet"
    pd.DataFrame({"formula": ["Na1 Cl1"], ENERGY: [-9.0]}).to_parquet(second)
    given = ("run=run", "samples=more.parquet", "out=out", f"hull={second}", "k=2", "quiet=true")
    done = run_command(tmp_path, "export", *given)
    assert done.returncode == 0, done.stderr
    table = read_specs(tmp_path / "out" / "candidates.csv")
    specs = frame_to_specs(table)
    expected = ReferenceHull.read(second).e_above_hull(specs, MLPProxy()(specs).value).numpy()
    np.testing.assert_allclose(table["e_above_hull"], expected, atol=1e-6)


def _samples() -> pd.DataFrame:
    group, formula, lengths, angles = zip(*CRYSTALS, strict=True)
    frame = pd.DataFrame({"space_group": group, "formula": formula})
    frame[["a", "b", "c"]], frame[["alpha", "beta", "gamma"]] = lengths, angles
    return frame


@pytest.mark.parametrize("named", [True, False])
def test_export_ranks_formation_energies_by_the_hull_it_is_given(
    hull_file: Path, tmp_path: Path, named: bool
) -> None:
    write_run(tmp_path / "run", unit="eV/atom", crystals=CRYSTALS[:9])
    chosen = [f"hull={hull_file}"] if named else []
    given = (
        "run=run",
        "out=out",
        "k=5",
        "quiet=true",
        "generator=placement",
        "generator.tries=300",
        "generator.keep=20",
        "energies=null",
        *chosen,
    )
    done = run_command(tmp_path, "export", *given)
    assert done.returncode == 0, done.stderr
    hull = ReferenceHull.read(hull_file) if named else LearnedHull.from_weights()
    table = pd.read_csv(tmp_path / "out" / "candidates.csv")
    expected = table["energy"] - hull.hull_energy(frame_to_specs(table).composition).numpy()
    np.testing.assert_allclose(table["e_above_hull"], expected, atol=1e-6)
    assert table["e_above_hull"].is_monotonic_increasing


@pytest.mark.parametrize(
    ("unit", "settings", "told"),
    [
        ("eV/atom", ["hull=nowhere.parquet"], "nowhere.parquet"),
        ("eV", ["hull=HULL"], "leave hull out"),
    ],
)
def test_a_hull_that_cannot_be_used_is_told_in_one_line(
    hull_file: Path, tmp_path: Path, unit: str, settings: list[str], told: str
) -> None:
    write_run(tmp_path / "run", unit=unit, crystals=CRYSTALS[:2])
    settings = [setting.replace("HULL", str(hull_file)) for setting in settings]
    done = run_command(tmp_path, "export", "run=run", "out=out", "quiet=true", *settings)
    assert done.returncode == 2
    assert told in done.stderr and len(done.stderr.strip().splitlines()) == 1
