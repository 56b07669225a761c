"""CIFs as rows of data: texts, files of any encoding, and what is none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gflownet_crystal.data.cif_rows import row_of_cif
from gflownet_crystal.data.readers import read_rows, read_source
from gflownet_crystal.data.rows import CLAIMED, REASON

TEXT = """data_x
_cell_length_a 5.64
_cell_length_b 5.64
_cell_length_c 5.64
_space_group_name_H-M_alt 'F m -3 m'
_publ_author 'M\xfcller'
loop_
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
Na 0 0 0
Cl 0.5 0.5 0.5
"""


@pytest.mark.parametrize("content", [TEXT, TEXT.encode(), TEXT.encode("utf-16"), TEXT.encode("latin-1")])
def test_text_and_bytes_become_one_row(content: str | bytes) -> None:
    row = row_of_cif(content, "x")
    assert not row.reason and sorted(row.numbers) == [11] * 4 + [17] * 4 and row.columns[CLAIMED] == 225
    np.testing.assert_allclose(row.lattice, 5.64 * np.eye(3), atol=1e-12)


def test_files_are_read_as_bytes(tmp_path: Path) -> None:
    path = tmp_path / "salt.cif"
    path.write_bytes(TEXT.encode("utf-16"))
    row = read_source(path).iloc[0]
    assert row["material_id"] == "salt" and sorted(row["atomic_numbers"]) == [11] * 4 + [17] * 4


def test_what_is_no_text_is_a_row_with_its_reason(tmp_path: Path) -> None:
    pd.DataFrame({"cif": [TEXT, None, "3", "data_x"]}).to_csv(tmp_path / "four.csv", index=False)
    reasons = read_rows(tmp_path / "four.csv")[REASON].tolist()
    assert [bool(reason) for reason in reasons] == [False, True, True, True]


@pytest.mark.parametrize("old", ["'F m -3 m'", "0.5 0.5 0.5", "5.64"])
@pytest.mark.parametrize("new", ["\x00", "-", "0,0,0", "loop_", "1e308"])
def test_errors_of_the_libraries_below_are_reasons(old: str, new: str) -> None:
    row = row_of_cif(TEXT.replace(old, new, 1), "x")
    assert "\n" not in row.reason
