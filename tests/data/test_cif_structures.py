"""CIFs as pymatgen structures and as rows of data."""

from __future__ import annotations

import numpy as np
import pytest

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.data.readers import read_cif_file, structure_of_cif

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
def test_text_and_bytes_become_one_structure(content):
    structure = structure_of_cif(content, "x")
    assert structure.composition.formula == "Na4 Cl4"
    np.testing.assert_allclose(structure.lattice.parameters, (5.64, 5.64, 5.64, 90, 90, 90))
    assert structure.get_space_group_info()[1] == 225


def test_files_are_read_as_bytes(tmp_path):
    path = tmp_path / "salt.cif"
    path.write_bytes(TEXT.encode("utf-16"))
    row = read_cif_file(path).iloc[0]
    assert row["material_id"] == "salt" and sorted(row["atomic_numbers"]) == [11] * 4 + [17] * 4


@pytest.mark.parametrize("content", [None, float("nan"), 3, ["data_x"]])
def test_what_is_no_text_is_refused(content):
    with pytest.raises(DataError, match="row 3: no CIF"):
        structure_of_cif(content, "row 3")
