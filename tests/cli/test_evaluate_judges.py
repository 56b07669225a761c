"""Judges of the verb evaluate: failures counted, versions, several of them, thresholds; errors in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

from gflownet_crystal.models.energies.choice import EnergyChoice
from gflownet_crystal.models.energies.potential_energies import PotentialEnergies
from gflownet_crystal.structures.convert import from_ase
from gflownet_crystal.workflows.relaxing import relaxing
from tests.cli.test_evaluate import evaluate, write
from tests.evaluation.crystals import some_crystals
from tests.relaxation.metals import REFERENCES, emt_energies


@pytest.fixture
def sets(tmp_path: Path) -> Path:
    """Structures without energies, and a reference with some."""
    write(tmp_path / "made.parquet", some_crystals())
    write(
        tmp_path / "reference.parquet", some_crystals(1.01)[:3], formation_energy_per_atom=[-2.0, -3.0, -2.2]
    )
    return tmp_path


def test_stability_by_a_judge_counts_failures_and_goes_on(sets: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(relaxing, "load_energies", lambda name: emt_energies())
    alloy = bulk("Cu", "fcc", 3.8, cubic=True)
    alloy.symbols[0] = "Au"
    made = from_ase([bulk("Cu", "fcc", 3.7), bulk("Fe", "bcc", 2.87), alloy, bulk("Cu", "fcc", 3.6)])
    write(sets / "made.parquet", made)
    settings = ("metrics=[stability]", "judge=emt", "relax.steps=60", "threshold=10.0", "hull=null")
    ended = evaluate(sets, *settings)
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)["stability"]["emt"]
    # iron is not known to the judge, one copper is the other again, none is in the reference
    assert (found["n"], found["n_failed"], found["unique"], found["novel"]) == (4, 1, 0.5, 0.75)
    assert found["stable"] == 0.75 and found["sun"] == 0.5
    assert found["sun_at"] == {"10": 0.5} and found["systems_per_sun"] == 1.0 and found["n_sparse"] is None
    rows = pd.read_csv(sets / "out" / "stability_emt.csv")
    assert rows["status"].tolist() == ["converged", "failed", "converged", "converged"]
    # elements stand at zero, so copper's distance to the hull is its energy
    assert rows["e_above_hull"][0] == pytest.approx(rows["energy_after"][0])
    assert len(pd.read_parquet(sets / "out" / "relaxed_emt" / "relaxed.parquet")) == 3
    monkeypatch.setattr(relaxing, "to_record", None)
    assert evaluate(sets, *settings, "resume=true").stdout == ended.stdout


def test_several_judges_by_their_names_and_versions(sets: Path, monkeypatch: pytest.MonkeyPatch):
    asked: list[str] = []

    def load(judge: EnergyChoice) -> PotentialEnergies:
        asked.append(judge.described)
        # the second one knows no copper
        references = REFERENCES if judge.version is None else {"Au": 0.0, "Al": -0.02}
        return PotentialEnergies(EMT(), references)

    monkeypatch.setattr(relaxing, "load_energies", load)
    write(
        sets / "made.parquet",
        from_ase([bulk("Cu", "fcc", 3.6), bulk("Au", "fcc", 4.08), bulk("Al", "fcc", 4.0)]),
    )
    settings = ("metrics=[stability]", "judge=[emt,emt:new.1]", "relax.steps=60", "relax.primitive=false")
    ended = evaluate(sets, *settings)
    assert ended.returncode == 0, ended.stderr
    figures = json.loads(ended.stdout)
    assert asked == ["emt", "emt:new.1"] and set(figures["stability"]) == {"emt", "emt:new.1"}
    assert [one["n_failed"] for one in figures["stability"].values()] == [0, 1]
    both = figures["stability_by_all"]
    assert (both["n_failed"], both["stable"], both["judges"]) == (
        1,
        pytest.approx(2 / 3),
        ["emt", "emt:new.1"],
    )
    assert both["stable_at"].keys() == {"0.1", "0.05", "0"}
    # the shipped hull knows how many crystals of an element there are
    assert both["n_sparse"] == 2 and "shipped" in figures["stability"]["emt"]["hull"]
    rows = pd.read_csv(sets / "out" / "stability_emt-new.1.csv")
    assert rows["status"].tolist()[0] == "failed" and rows["sparse"].tolist()[1:] == [True, True]
    assert (sets / "out" / "relaxed_emt-new.1").is_dir()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["judge=chgnet", "reference=made.parquet", "hull=null"], "hull=reference"),
        (["judge=3"], "judge must"),
        (["judge=[chgnet,3]"], "judge must"),
        (["judge=[chgnet,chgnet]"], "one folder"),
        (["judge=chgnet:9"], "0.3.0"),
        (["judge=alignn:2"], "no versions"),
        (["judge=sevenn:"], "NAME:VERSION"),
        (["judge=chgnet", "threshold=[]"], "threshold must"),
        (["judge=chgnet", "threshold=[0.1,0.1]"], "threshold must"),
        (["judge=chgnet", "threshold=[0.1,nan]"], "threshold must"),
    ],
)
def test_errors_are_one_line(sets: Path, settings: list[str], said: str):
    ended = evaluate(sets, *settings)
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1 and said in ended.stderr
    assert not (sets / "out").exists()
