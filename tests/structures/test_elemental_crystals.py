"""Crystals of the elements against molar volumes and bond lengths of tables."""

from __future__ import annotations

import numpy as np
import pytest
from pymatgen.core import Element

from gflownet_crystal.structures.elemental_crystals import elemental_crystals, elements_with_crystals

# A; of the molecules, CRC Handbook of Chemistry and Physics
BONDS = {"H": 0.741, "N": 1.098, "O": 1.208, "F": 1.412, "Cl": 1.988, "Br": 2.281, "I": 2.666}


def test_nearly_all_elements_have_crystals_of_that_element_alone() -> None:
    known = elements_with_crystals()
    assert len(known) >= 90 and {"H", "Li", "O", "Fe", "Te", "Bi", "Pu"} <= set(known)
    for symbol in known:
        names = [name for name, _ in elemental_crystals(symbol)]
        assert len(set(names)) == len(names)
        for _, atoms in elemental_crystals(symbol):
            assert set(atoms.get_chemical_symbols()) == {symbol} and atoms.pbc.all() and atoms.calc is None
    assert elemental_crystals("At") == []


def test_one_crystal_of_each_element_has_its_molar_volume() -> None:
    apart = {}
    # gases have molar volumes of gases there, or none, and phosphorus that of the white, not the black one
    others = {"H", "He", "N", "O", "F", "Ne", "Cl", "Ar", "Kr", "Xe", "P"}
    for symbol in set(elements_with_crystals()) - others:
        table = Element(symbol).molar_volume
        if table is not None:
            volumes = np.array([a.get_volume() / len(a) for _, a in elemental_crystals(symbol)])
            apart[symbol] = float(np.abs(volumes * 0.602214 / float(table) - 1.0).min())
    assert len(apart) >= 75
    assert {symbol: x for symbol, x in apart.items() if x > 0.1} == {}


@pytest.mark.parametrize("symbol", BONDS)
def test_molecules_have_their_bond_lengths(symbol: str) -> None:
    nearest = []
    for _, atoms in elemental_crystals(symbol):
        large = atoms.repeat(2)
        distances = large.get_all_distances(mic=True)
        nearest.append(np.sort(distances[0])[1])
    assert min(abs(np.array(nearest) - BONDS[symbol])) < 0.1


def test_what_a_caller_does_to_a_crystal_is_not_kept() -> None:
    first = elemental_crystals("O")[0][1]
    first.positions += 1.0
    assert not np.allclose(first.positions, elemental_crystals("O")[0][1].positions)
