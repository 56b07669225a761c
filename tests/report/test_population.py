"""Shares of elements, pairs and groups against pandas, and the periodic table against pymatgen."""

from __future__ import annotations

import re
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from pymatgen.core import Element

from gflownet_crystal.report.periodic_table import PLACES, table_cells
from gflownet_crystal.report.population import (
    Population,
    atom_shares,
    crystal_shares,
    group_shares,
    pair_shares,
)
from gflownet_crystal.structures.elements import ATOMIC_NUMBERS, SYMBOLS
from tests.report.runs import sample_frame

FRAME = sample_frame(200, seed=3)


def long_table(frame: pd.DataFrame) -> pd.DataFrame:
    """One row an element of a crystal: crystal, symbol, count."""
    rows = [
        (index, symbol, int(count))
        for index, formula in enumerate(frame["formula"])
        for symbol, count in re.findall(r"([A-Z][a-z]?)(\d+)", formula)
    ]
    return pd.DataFrame(rows, columns=["crystal", "symbol", "count"])


@pytest.fixture(scope="module")
def population() -> Population:
    return Population.of("samples", "samples", FRAME)


def test_atoms_are_counted_with_their_number_in_the_cell(population):
    expected = long_table(FRAME).groupby("symbol")["count"].sum()
    expected /= expected.sum()
    shares = atom_shares(population.composition)
    assert {SYMBOLS[k]: shares[k] for k in np.flatnonzero(shares)} == pytest.approx(expected.to_dict())


def test_an_element_counts_once_a_crystal(population):
    expected = long_table(FRAME).groupby("symbol")["crystal"].nunique() / len(FRAME)
    shares = crystal_shares(population.composition)
    assert {SYMBOLS[k]: shares[k] for k in np.flatnonzero(shares)} == pytest.approx(expected.to_dict())


def test_pairs_are_counted_once_a_crystal_and_are_symmetric(population):
    shares = pair_shares(population.composition)
    per_crystal = long_table(FRAME).groupby("crystal")["symbol"].agg(set)
    for a, b in combinations(["Na", "Cl", "Mg", "O", "Ca", "F"], 2):
        expected = per_crystal.map(lambda held, a=a, b=b: a in held and b in held).mean()
        i, j = ATOMIC_NUMBERS[a], ATOMIC_NUMBERS[b]
        assert shares[i, j] == shares[j, i] == pytest.approx(expected)


def test_groups_are_those_of_the_table(population):
    expected = FRAME["space_group"].value_counts(normalize=True)
    shares = group_shares(FRAME["space_group"].to_numpy())
    assert {k: shares[k] for k in np.flatnonzero(shares)} == pytest.approx(expected.to_dict())


def test_a_population_is_narrowed_to_elements(population):
    narrowed = population.made_of(["Na", "Cl", "Mg", "O"], "salts")
    per_crystal = long_table(FRAME).groupby("crystal")["symbol"].agg(set)
    expected = per_crystal.map(lambda held: held <= {"Na", "Cl", "Mg", "O"})
    assert len(narrowed) == expected.sum() > 0
    assert narrowed.label == f"{expected.sum()} salts"
    assert narrowed.frame["formula"].tolist() == FRAME["formula"][expected.to_numpy()].tolist()
    assert len(narrowed.composition) == len(narrowed)


def test_the_periodic_table_is_that_of_pymatgen():
    assert set(PLACES) == set(range(1, 119))
    assert len(set(PLACES.values())) == 118
    for number, (row, column) in PLACES.items():
        element = Element.from_Z(number)
        if element.is_lanthanoid or element.is_actinoid:
            assert row == element.row + 3
        else:
            assert (row, column) == (element.row, element.group)
    assert [PLACES[number][1] for number in range(57, 72)] == list(range(3, 18))


def test_heat_grows_with_the_count():
    cells = {cell["symbol"]: cell for cell in table_cells(["F", "F", "Ca", "F"])}
    assert (cells["F"]["count"], cells["Ca"]["count"], cells["O"]["count"]) == (3, 1, 0)
    assert cells["F"]["heat"] > cells["Ca"]["heat"] > cells["O"]["heat"]
    assert cells["F"]["heat"] == pytest.approx(0.85)
