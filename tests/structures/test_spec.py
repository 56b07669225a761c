"""Specs and formulas against pymatgen."""

from __future__ import annotations

from math import gcd

import numpy as np
import pytest
import torch
from ase.data import chemical_symbols, covalent_radii
from hypothesis import given
from hypothesis import strategies as st
from pymatgen.core import Composition, Element, Lattice

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.structures.elements import COVALENT_RADII, ELECTRONEGATIVITY, SYMBOLS
from gflownet_crystal.structures.formulas import text_to_composition
from gflownet_crystal.structures.spec import CrystalSpec

counts_by_symbol = st.dictionaries(st.sampled_from(SYMBOLS[1:95]), st.integers(1, 40), min_size=1, max_size=7)


def spec_of(formula: str, lengths: tuple[float, ...], angles: tuple[float, ...]) -> CrystalSpec:
    return CrystalSpec(
        torch.tensor([1]),
        text_to_composition([formula]),
        torch.tensor([lengths], dtype=torch.float64),
        torch.tensor([angles], dtype=torch.float64),
    )


def test_element_tables_match_ase_and_pymatgen() -> None:
    assert list(SYMBOLS[1:]) == chemical_symbols[1:119]
    np.testing.assert_array_equal(COVALENT_RADII[1:97], covalent_radii[1:97])
    known = [number for number in range(1, 104) if Element.from_Z(number).X == Element.from_Z(number).X]
    np.testing.assert_array_equal(ELECTRONEGATIVITY[known], [Element.from_Z(number).X for number in known])


@given(counts_by_symbol)
def test_formulas_are_read_and_written_as_pymatgen_does(counts: dict[str, int]) -> None:
    expected = Composition(counts)
    spec = spec_of(expected.formula.replace(" ", ""), (5.0, 5.0, 5.0), (90.0, 90.0, 90.0))
    written = Composition(spec.formulas()[0])
    assert written == expected
    divisor = gcd(*counts.values())
    reduced = Composition({symbol: count // divisor for symbol, count in counts.items()})
    assert Composition(spec.reduced_formulas()[0]) == reduced
    values = [Element(token.rstrip("0123456789")).X for token in spec.formulas()[0].split()]
    numbers = [value for value in values if value == value]
    assert numbers == sorted(numbers)
    assert text_to_composition(spec.formulas()).equal(spec.composition)


@given(
    st.tuples(*[st.floats(1, 50)] * 3),
    st.tuples(*[st.floats(65, 115)] * 3),
)
def test_volume_matches_pymatgen(lengths: tuple[float, ...], angles: tuple[float, ...]) -> None:
    spec = spec_of("Na4 Cl4", lengths, angles)
    expected = Lattice.from_parameters(*lengths, *angles).volume
    assert spec.volume.item() == pytest.approx(expected, rel=1e-9)
    assert spec.volume_per_atom.item() == pytest.approx(expected / 8, rel=1e-9)


def test_counts_and_fractions() -> None:
    spec = spec_of("Al2 O3", (5.0, 5.0, 5.0), (90.0, 90.0, 90.0))
    assert spec.n_atoms.tolist() == [5]
    assert spec.fractions[0, [8, 13]].tolist() == [3 / 5, 2 / 5]
    assert spec.fractions.sum().item() == 1.0


@pytest.mark.parametrize(
    "formula",
    [
        "",
        "na4",
        "Na4 Xx2",
        "Na-1",
        "Na1.5 Cl",
        "Na0",
        None,
        3.0,
        "Na4, Cl4",
        "4Na",
        ["Na4"],
        np.array(["Na4"]),
        {"Na": 4},
    ],
)
def test_malformed_formulas_are_refused_with_their_row(formula: object) -> None:
    with pytest.raises(DataError, match="row 1"):
        text_to_composition(["Na4 Cl4", formula])


def test_wrong_shapes_and_dtypes_are_refused() -> None:
    spec = spec_of("Na1", (5.0, 5.0, 5.0), (90.0, 90.0, 90.0))
    with pytest.raises(DataError, match="lengths"):
        CrystalSpec(spec.space_group, spec.composition, spec.lengths.float(), spec.angles)
    with pytest.raises(DataError, match="composition"):
        CrystalSpec(spec.space_group, spec.composition[:, :50], spec.lengths, spec.angles)
