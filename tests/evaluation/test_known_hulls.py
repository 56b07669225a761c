"""The hull that judged structures are measured from, and how much it rests on."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch

from gflownet_crystal.common.errors import ConfigError, DataError
from gflownet_crystal.evaluation.known_hulls import known_entries, known_hull, labelled_formulas
from gflownet_crystal.proxies.learned_hull import LearnedHull
from gflownet_crystal.proxies.reference_hull import ReferenceHull
from gflownet_crystal.structures.formulas import text_to_composition

ASKED = text_to_composition(["Na1 Cl1", "Li2 O1", "Na3 Cl5", "Cu3 Au1"])


def write(folder: Path, **columns: object) -> Path:
    path = folder / "reference.parquet"
    pd.DataFrame(columns).to_parquet(path)
    return path


def test_the_labels_of_the_reference_lower_the_shipped_hull(tmp_path: Path) -> None:
    path = write(tmp_path, formula=["Na1 Cl1", "Li2 O1"], formation_energy_per_atom=[-9.0, -0.1])
    shipped = ReferenceHull.from_weights()
    hull, said = known_hull("reference", path)
    before, after = shipped.hull_energy(ASKED), hull.hull_energy(ASKED)
    assert after[0] == -9.0 < before[0]
    # 2 Na3Cl5 is 3 NaCl and Cl2: six of eight atoms at -9
    assert float(after[2]) == pytest.approx(-9.0 * 6 / 8)
    # a label above the hull, and other systems, change nothing
    assert torch.equal(after[[1, 3]], before[[1, 3]])
    assert "shipped" in said and "2 labels" in said
    assert isinstance(hull, ReferenceHull) and isinstance(shipped, ReferenceHull)
    assert torch.equal(known_entries(hull, ASKED), shipped.entries.within(ASKED))  # type: ignore[union-attr,arg-type]


def test_without_labels_it_is_the_shipped_one(tmp_path: Path) -> None:
    shipped = ReferenceHull.from_weights().hull_energy(ASKED)
    path = write(tmp_path, formula=["Na1 Cl1"], space_group=[225])
    assert torch.equal(known_hull("reference", path)[0].hull_energy(ASKED), shipped)
    assert torch.equal(known_hull("reference", tmp_path)[0].hull_energy(ASKED), shipped)
    for place in (path, tmp_path):
        with pytest.raises(ConfigError, match="hull=reference"):
            known_hull(None, place)


def test_labels_alone_a_file_and_the_learned_one(tmp_path: Path) -> None:
    path = write(tmp_path, formula=["Na1 Cl1", "Li2 O1"], formation_energy_per_atom=[-2.0, None])
    alone, said = known_hull(None, path)
    assert alone.hull_energy(ASKED).tolist() == pytest.approx([-2.0, 0.0, -1.5, 0.0]) and "1 labels" in said
    assert known_entries(alone, ASKED) is None
    labels = labelled_formulas(path)
    assert labels is not None and labels[1].tolist() == [-2.0]
    other = tmp_path / "hull.parquet"
    pd.DataFrame({"formula": ["Na1 Cl1"], "formation_energy_per_atom": [-3.0]}).to_parquet(other)
    assert known_hull(str(other), path)[0].hull_energy(ASKED)[0] == -3.0
    assert isinstance(known_hull("learned", path)[0], LearnedHull)
    with pytest.raises(DataError):
        known_hull(str(tmp_path / "nowhere.parquet"), path)


def test_a_malformed_formula_with_a_label_is_refused_by_name(tmp_path: Path) -> None:
    path = write(tmp_path, formula=["Na1 Zz1"], formation_energy_per_atom=[-2.0])
    with pytest.raises(DataError, match=r"reference\.parquet"):
        known_hull("reference", path)


def test_more_elements_than_a_hull_takes_rest_on_nothing() -> None:
    many = text_to_composition(["Li1 Na1 K1 Rb1 Cs1 Mg1 Ca1 Sr1 Ba1", "Na1 Cl1"])
    found = known_entries(ReferenceHull.from_weights(), many)
    assert found is not None and found[0] == 0 and found[1] > 0
