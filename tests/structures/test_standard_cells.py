"""Standard primitive cells against the closed forms of Setyawan and Curtarolo, for any cell that is given."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Lattice, Structure

from gflownet_crystal.crystallography.lattice import matrix_to_parameters
from gflownet_crystal.structures.convert import from_pymatgen, to_pymatgen
from gflownet_crystal.structures.standard_cells import standard_primitive_cells
from tests.data.crystals import conventional_structures


def crystal(
    group: int | str, lattice: Lattice, species: list[str], positions: list[list[float]]
) -> Structure:
    return Structure.from_spacegroup(group, lattice, species, positions)


ORIGIN = [[0.0, 0.0, 0.0]]
# the published primitive vectors of each lattice, from the lengths of the conventional cell
CASES = {
    "FCC": (
        crystal(225, Lattice.cubic(4.0), ["Cu"], ORIGIN),
        np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]) * 2.0,
    ),
    "BCC": (
        crystal(229, Lattice.cubic(3.0), ["W"], ORIGIN),
        np.array([[-1, 1, 1], [1, -1, 1], [1, 1, -1]]) * 1.5,
    ),
    "BCT": (
        crystal(139, Lattice.tetragonal(3.2, 7.85), ["Mo", "Si"], [[0, 0, 0], [0, 0, 1 / 3]]),
        np.array([[-1, 1, 1], [1, -1, 1], [1, 1, -1]]) / 2 * [3.2, 3.2, 7.85],
    ),
    "ORCC": (
        crystal("Cmcm", Lattice.orthorhombic(2.97, 7.86, 2.93), ["Cr", "B"],
                [[0, 0.146, 0.25], [0, 0.44, 0.25]]),
        np.array([[1, -1, 0], [1, 1, 0], [0, 0, 2]]) / 2 * [2.97, 7.86, 2.93],
    ),
    "HEX": (
        crystal(194, Lattice.hexagonal(3.2, 5.2), ["Mg"], [[1 / 3, 2 / 3, 0.25]]),
        Lattice.hexagonal(3.2, 5.2).matrix,
    ),
    "RHL": (
        crystal(166, Lattice.hexagonal(4.38, 30.5), ["Bi", "Te", "Te"],
                [[0, 0, 0.4], [0, 0, 0], [0, 0, 0.21]]),
        np.array([[3**0.5 / 3, 0, 1 / 3], [-(3**0.5) / 6, 0.5, 1 / 3], [-(3**0.5) / 6, -0.5, 1 / 3]])
        * [4.38, 4.38, 30.5],
    ),
    # the longest last, the angle that is not 90 degrees first and acute
    "MCL": (
        crystal(14, Lattice.monoclinic(5.15, 5.21, 5.31, 99.2), ["Zr", "O", "O"],
                [[0.276, 0.041, 0.208], [0.07, 0.332, 0.345], [0.449, 0.758, 0.479]]),
        Lattice.from_parameters(5.21, 5.15, 5.31, 80.8, 90, 90).matrix,
    ),
}  # fmt: skip
BASES = (
    [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    [[1, 1, 0], [0, 1, -1], [0, 0, 1]],
    [[0, 0, 1], [2, 0, 0], [0, -1, 1]],
)


def parameters(structure: Structure) -> np.ndarray:
    cells = standard_primitive_cells(from_pymatgen([structure])).cell
    return torch.cat(matrix_to_parameters(cells), dim=1)[0].numpy()


@pytest.mark.parametrize("basis", BASES)
@pytest.mark.parametrize("name", list(CASES))
def test_any_cell_leads_to_the_published_one(name: str, basis: list[list[int]]) -> None:
    conventional, vectors = CASES[name]
    given = conventional.copy()
    given.make_supercell(basis, to_unit_cell=True)
    given.translate_sites(range(len(given)), [0.1, 0.23, 0.31])
    assert parameters(given) == pytest.approx(Lattice(vectors).parameters, abs=1e-4)


def test_crystals_stay_the_same_and_in_their_order() -> None:
    crystals = conventional_structures()
    made = standard_primitive_cells(from_pymatgen(crystals))
    assert made.space_group.tolist() == [0] * len(crystals)
    matcher = StructureMatcher(primitive_cell=True, scale=False, ltol=0.01, stol=0.01, angle_tol=0.1)
    for before, after in zip(crystals, to_pymatgen(made), strict=True):
        assert matcher.fit(before, after)
        assert len(after) == len(before.get_primitive_structure())


def test_crystals_without_a_symmetry_to_find_stay_as_they_are(capfd: pytest.CaptureFixture[str]) -> None:
    cell = Lattice.from_parameters(4.1, 5.2, 6.3, 81, 77, 69)
    overlapping = Structure(cell, ["Na", "Na"], [[0, 0, 0], [0.0005, 0, 0]])
    given = from_pymatgen([overlapping, CASES["FCC"][0]])
    made = standard_primitive_cells(given)
    assert torch.equal(made.cell[0], given.cell[0]) and made.n_atoms.tolist() == [2, 1]
    assert "spglib" not in capfd.readouterr().err
