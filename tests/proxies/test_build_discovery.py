"""The tables of the reward for discovery, made again from a small set of crystals."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.proxies import build_discovery
from gflownet_crystal.proxies.known_compounds import KnownCompounds
from gflownet_crystal.proxies.reference_hull import ReferenceHull
from gflownet_crystal.structures.formulas import composition_to_text, text_to_composition
from gflownet_crystal.weights import load_weights

ENERGY = "formation_energy_per_atom"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two stable salts, a polymorph, an unstable compound, and a label that contradicts a more trusted one."""
    folder = tmp_path_factory.mktemp("tables")
    rows = [
        ("Na4 Cl4", 225, -2.0, "mp20_val", 0.0, "val"),
        ("Na2 Cl2", 221, -1.9, "mp20_val", 0.1, "val"),
        ("Na1 Cl1", 221, -2.8, "roost_mp2020", None, "none"),
        ("Na1 Cl3", 1, -0.5, "roost_mp2020", None, "none"),
        ("Ca4 F8", 225, -4.0, "mp20_train", None, "train"),
        ("Ca4 F8", 225, -4.0, "roost_mp2020", None, "train"),
        ("Na2", 229, 0.0, "mp20_train", None, "train"),
    ]
    columns = ["formula", "space_group", ENERGY, "energy_source", "e_above_hull", "mp20_split"]
    pd.DataFrame(rows, columns=columns).to_parquet(folder / "one.parquet")
    other = {"composition": ["Mg1 O1", "Na1 Cl1"], "space_group": [225, 225], ENERGY: [-3.0, -9.0]}
    pd.DataFrame(other).to_parquet(folder / "two.parquet")
    build_discovery.main(
        [f"data={folder / 'one.parquet'},{folder / 'two.parquet'}", f"out={folder / 'made'}"]
    )
    return folder / "made"


def test_the_hull_holds_the_stable_compounds_with_labels_that_agree(folder: Path) -> None:
    hull = ReferenceHull.from_weights(folder / "reference_hull.safetensors")
    found = dict(zip(composition_to_text(hull.composition), hull.energy.tolist(), strict=True))
    assert found == pytest.approx({"Na1 Cl1": -2.0, "Ca1 F2": -4.0, "Mg1 O1": -3.0})
    assert hull.entries is not None
    asked = text_to_composition(["Na1 Cl1", "Ca1 F2", "Na1 Mg1 O1", "K1"])
    # crystals that differ in formula or group: two of NaCl, one of NaCl3, and sodium itself
    assert hull.entries.within(asked).tolist() == [4, 1, 2, 0]


def test_the_card_has_the_errors_on_val(folder: Path) -> None:
    _, card = load_weights(folder / "reference_hull.safetensors", "reference_hull")
    assert (card["stable"], card["formulas"], card["disagreeing"], card["samples_seen"]) == (3, 5, 1, 9)
    assert card["validation"]["mp20_val"] == {
        "n": 2, "mae_e_above_hull": 0.0, "bias": 0.0, "share_above_by_0.1": 0.0
    }  # fmt: skip
    # without sodium chloride both polymorphs are below what is left, NaCl3 included: 0 above
    assert card["validation"]["mp20_val_without_its_formulas"]["mae_e_above_hull"] == pytest.approx(0.05)
    assert card["data"] == ["one.parquet", "two.parquet"] and str(folder) not in card["command"]


def test_the_known_compounds_are_all_of_them(folder: Path) -> None:
    known = KnownCompounds.from_weights(folder / "known_compounds.safetensors")
    names, groups = (
        ["Na4 Cl4", "Na1 Cl1", "Na1 Cl1", "Mg4 O4", "Ca1 O1"],
        torch.tensor([225, 221, 1, 225, 225]),
    )
    formula, pair = known.look_up(text_to_composition(names), groups)
    assert formula.tolist() == [True, True, True, True, False]
    assert pair.tolist() == [True, True, False, True, False]
    assert (len(known.formulas), len(known)) == (5, 6)


def test_missing_options_are_told() -> None:
    with pytest.raises(ConfigError, match=r"out=\.\.\. must be given"):
        build_discovery.main(["data=a.parquet"])


def test_the_shipped_hull_holds_stable_compounds_only() -> None:
    hull = ReferenceHull.from_weights()
    rows = torch.arange(0, len(hull), 40)
    above = hull.energy[rows] - hull.hull_energy(hull.composition[rows])
    # energies are stored to 24 bits
    assert float(above.abs().max()) < 5e-6
