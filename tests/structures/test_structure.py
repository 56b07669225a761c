"""Batches of structures against pymatgen and ASE, one by one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pymatgen.core import Structure

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.structures.convert import (
    from_arrays,
    from_ase,
    from_pymatgen,
    iterate_arrays,
    to_ase,
    to_pymatgen,
)
from gflownet_crystal.structures.structure import StructureBatch


def test_round_trips_keep_every_number(crystals: list[Structure]) -> None:
    batch = from_pymatgen(crystals)
    for again in (from_pymatgen(to_pymatgen(batch)), from_ase(to_ase(batch))):
        assert again.atomic_numbers.equal(batch.atomic_numbers)
        assert again.structure_index.equal(batch.structure_index)
        torch.testing.assert_close(again.cell, batch.cell, rtol=0, atol=1e-12)
        torch.testing.assert_close(again.fractional, batch.fractional, rtol=0, atol=1e-12)


def test_properties_are_those_of_pymatgen(crystals: list[Structure]) -> None:
    batch = from_pymatgen(crystals)
    assert batch.n_atoms.tolist() == [len(crystal) for crystal in crystals]
    np.testing.assert_allclose(batch.volume.numpy(), [crystal.volume for crystal in crystals], rtol=1e-12)
    positions = np.concatenate([crystal.cart_coords for crystal in crystals])
    cartesian = torch.einsum("ni,nij->nj", batch.fractional, batch.cell[batch.structure_index])
    np.testing.assert_allclose(cartesian.numpy(), positions, atol=1e-9)
    for counts, crystal in zip(batch.composition, crystals, strict=True):
        expected = {element.Z: int(n) for element, n in crystal.composition.items()}
        assert {int(z): int(counts[z]) for z in counts.nonzero().flatten()} == expected
    specs = batch.specs()
    np.testing.assert_allclose(
        specs.lengths.numpy(), [crystal.lattice.abc for crystal in crystals], rtol=1e-9
    )
    np.testing.assert_allclose(
        specs.angles.numpy(), [crystal.lattice.angles for crystal in crystals], rtol=1e-9
    )


@pytest.mark.parametrize("rows", [[4, 1, 1, 7], [], [0]])
def test_selection_and_concatenation(crystals: list[Structure], rows: list[int]) -> None:
    batch = from_pymatgen(crystals)
    chosen = batch[torch.tensor(rows, dtype=torch.int64)]
    expected = [crystals[row] for row in rows]
    read = list(iterate_arrays(chosen))
    assert len(read) == len(rows)
    for (cell, numbers, points), crystal in zip(read, expected, strict=True):
        np.testing.assert_array_equal(numbers, crystal.atomic_numbers)
        np.testing.assert_array_equal(points, crystal.frac_coords)
        np.testing.assert_array_equal(cell, crystal.lattice.matrix)
    assert len(chosen) == len(rows)
    joined = StructureBatch.cat([chosen, batch[3:5]])
    assert joined.n_atoms.tolist() == [len(crystal) for crystal in [*expected, *crystals[3:5]]]
    assert joined.structure_index.max() == len(rows) + 1


def test_a_mask_selects_its_rows(crystals: list[Structure]) -> None:
    batch = from_pymatgen(crystals)
    mask = batch.n_atoms > 8
    assert batch[mask].n_atoms.tolist() == [len(crystal) for crystal in crystals if len(crystal) > 8]


def test_bad_structures_are_refused(crystals: list[Structure]) -> None:
    disordered = crystals[0].copy()
    disordered[0] = {"Na": 0.5, "K": 0.5}
    with pytest.raises(DataError, match="structure 1"):
        from_pymatgen([crystals[0], disordered])
    molecule = to_ase(from_pymatgen(crystals[:1]))[0]
    molecule.cell = None
    with pytest.raises(DataError, match="no cell"):
        from_ase([molecule])
    with pytest.raises(DataError, match="structure 0: 2 atoms need 6 coordinates"):
        from_arrays([np.eye(3)], [[1, 2]], [[[0, 0, 0]]])
