"""Formulas and groups of crystals in tables and structures of any form."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from pymatgen.core import Lattice, Structure

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.data.known_formulas import read_formulas
from gflownet_crystal.structures.formulas import reduce_composition, text_to_composition

SALT = Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])


def pairs(*sources: Path) -> list[tuple[list[int], int]]:
    """Reduced counts of sodium and chlorine, and groups."""
    frame = read_formulas(sources)
    counts = reduce_composition(text_to_composition(frame["formula"].tolist()))[:, [11, 17]]
    return list(zip(counts.tolist(), frame["space_group"].tolist(), strict=True))


def test_structures_have_their_groups_found(tmp_path: Path) -> None:
    SALT.to(str(tmp_path / "salt.cif"))
    SALT.get_primitive_structure().to(str(tmp_path / "POSCAR"), fmt="poscar")
    assert pairs(tmp_path) == [([1, 1], 225)] * 2


def test_tables_say_them(tmp_path: Path) -> None:
    frame = pd.DataFrame({"formula": ["Na4 Cl4", "NaCl3"], "space_group": [225, 0]})
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.rename(columns={"formula": "composition"}).to_parquet(tmp_path / "b.parquet")
    cell = {"a": 5.0, "b": 5.0, "c": 5.0, "alpha": 90.0, "beta": 90.0, "gamma": 90.0}
    frame[:1].assign(**cell, space_group="Fm-3m").to_csv(tmp_path / "specs.csv", index=False)
    expected = [([1, 1], 225), ([1, 3], 0)]
    assert pairs(tmp_path / "a.csv") == pairs(tmp_path / "b.parquet") == expected
    # groups by symbol, as spec files may have them
    assert pairs(tmp_path / "specs.csv") == expected[:1]
    assert pairs(tmp_path / "a.csv", tmp_path / "specs.csv") == [*expected, expected[0]]


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"formula": ["Na4 Cl4", "salt"], "space_group": [225, 225]}, "row 1: .*'salt'"),
        ({"formula": ["Na4 Cl4"], "space_group": [231]}, "row 0: a space group that is not 1 to 230"),
        ({"formula": ["Na4 Cl4"], "space_group": [1.5]}, "row 0: a space group"),
        ({"formula": ["Na4 Cl4"], "space_group": ["salt"]}, "row 0: a space group"),
        ({"formula": ["Na4 Cl4"]}, "lacks the columns"),
        ({"formula": [], "space_group": []}, "no rows"),
    ],
)
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_tables_that_do_not_are_refused(
    tmp_path: Path, columns: dict[str, list[object]], told: str, suffix: str
) -> None:
    path = tmp_path / f"a{suffix}"
    frame = pd.DataFrame(columns)
    _ = frame.to_csv(path, index=False) if suffix == ".csv" else frame.to_parquet(path)
    with pytest.raises(DataError, match=told):
        read_formulas([path])
