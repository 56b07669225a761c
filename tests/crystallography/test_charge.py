from __future__ import annotations

import json
import random
from collections.abc import Mapping
from importlib.resources import files
from itertools import combinations_with_replacement, product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pymatgen.core import Element

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.crystallography.build_oxidation import build_tables
from gflownet_crystal.crystallography.charge import ChargeModel
from gflownet_crystal.crystallography.oxidation import TABLE_NAME, TABLES, oxidation_table

ELEMENTS = ("H", "Li", "C", "N", "O", "F", "Mg", "P", "S", "Cl", "Fe", "Cu", "Sn", "Mn")
METALS = ("Li", "Mg", "Fe", "Cu", "Sn", "Mn")
COMPOSITIONS = st.dictionaries(st.sampled_from(ELEMENTS), st.integers(1, 6), min_size=1, max_size=5)


def totals_by_enumeration(symbol: str, table: str, count: int, mixed_valence: bool) -> set[int]:
    states = oxidation_table(table)[symbol]
    if count == 0:
        return {0}
    totals = {count * state for state in states}
    if not mixed_valence or (table == "plausible" and symbol not in METALS):
        return totals
    for chosen in combinations_with_replacement(states, count):
        kinds = sorted(set(chosen))
        one_sign = kinds[0] * kinds[-1] > 0
        # of the everyday states only two that follow each other, at most two apart
        neighbours = (
            len(kinds) == 2 and kinds[1] - kinds[0] <= 2 and not set(states) & {kinds[0] + 1} - {kinds[1]}
        )
        if one_sign and (table != "plausible" or neighbours):
            totals.add(sum(chosen))
    return totals


def neutral_by_enumeration(composition: Mapping[str, int], table: str, mixed_valence: bool) -> bool:
    """Every combination of totals, element by element, added up."""
    totals = [totals_by_enumeration(symbol, table, n, mixed_valence) for symbol, n in composition.items()]
    return any(sum(chosen) == 0 for chosen in product(*totals))


def _neutral(model: ChargeModel, **composition: int) -> bool:
    counts = torch.zeros(1, len(model.elements), dtype=torch.int64)
    for symbol, count in composition.items():
        counts[0, model.elements.index(symbol)] = count
    return bool(model.neutral(counts))


@pytest.fixture(scope="module")
def models() -> dict[tuple[str, bool], ChargeModel]:
    return {(t, m): ChargeModel(ELEMENTS, t, m, max_count=6) for t in TABLES for m in (False, True)}


@given(composition=COMPOSITIONS, table=st.sampled_from(TABLES), mixed_valence=st.booleans())
def test_neutrality_is_what_enumeration_finds(
    models: dict[tuple[str, bool], ChargeModel],
    composition: dict[str, int],
    table: str,
    mixed_valence: bool,
) -> None:
    found = _neutral(models[table, mixed_valence], **composition)
    assert found == neutral_by_enumeration(composition, table, mixed_valence)


@pytest.mark.parametrize("mixed_valence", [False, True])
def test_a_batch_is_checked_row_by_row(mixed_valence: bool) -> None:
    model = ChargeModel(ELEMENTS, mixed_valence=mixed_valence, max_count=5)
    rng = random.Random(0)
    rows = [{e: rng.randint(1, 5) for e in rng.sample(ELEMENTS, rng.randint(1, 5))} for _ in range(300)]
    counts = torch.tensor([[row.get(symbol, 0) for symbol in ELEMENTS] for row in rows])
    expected = [neutral_by_enumeration(row, "default", mixed_valence) for row in rows]
    assert model.neutral(counts).tolist() == expected
    assert 0.05 < sum(expected) / len(expected) < 0.95


@pytest.mark.parametrize("mixed_valence", [False, True])
@pytest.mark.parametrize("table", ["all", "plausible"])
def test_reachable_totals(table: str, mixed_valence: bool) -> None:
    model = ChargeModel(ELEMENTS, table, mixed_valence, max_count=6)
    for symbol, count in product(ELEMENTS, range(7)):
        expected = sorted(totals_by_enumeration(symbol, table, count, mixed_valence))
        assert model.totals(symbol, count) == expected, (symbol, count)


def test_tables_are_rebuilt_from_pymatgen() -> None:
    packaged = json.loads(files("gflownet_crystal.crystallography").joinpath(TABLE_NAME).read_text())
    assert build_tables() == packaged


def test_no_table_has_a_zero_state_and_named_tables_are_pymatgens() -> None:
    for name in TABLES:
        assert all(0 not in states for states in oxidation_table(name).values())
    for symbol in oxidation_table("icsd"):
        element = Element(symbol)
        assert set(oxidation_table("icsd")[symbol]) == set(element.icsd_oxidation_states) - {0}
        assert set(oxidation_table("common")[symbol]) == set(element.common_oxidation_states) - {0}
        assert set(oxidation_table("all")[symbol]) == set(element.oxidation_states) - {0}


def test_default_table_contains_the_established_states() -> None:
    for symbol, states in oxidation_table("default").items():
        established = set(oxidation_table("common")[symbol]) | set(oxidation_table("icsd")[symbol])
        lost = established - set(states)
        assert all(state < 0 for state in lost), symbol
        assert not lost or Element(symbol).is_metal or symbol == "B"


def test_known_compounds_pass_and_nonsense_does_not() -> None:
    model = ChargeModel(("Na", "Cl", "Mg", "Al", "O", "Ca", "Ti", "Li", "F"))
    assert _neutral(model, Na=4, Cl=4)
    assert _neutral(model, Mg=2, Al=4, O=8)
    assert _neutral(model, Ca=1, Ti=1, O=3)
    assert not _neutral(model, Na=2, Cl=1)
    assert not _neutral(model, Li=1, F=2)
    assert not _neutral(model, Li=1, Mg=1)


def test_magnetite_needs_mixed_valence() -> None:
    assert _neutral(ChargeModel(("Fe", "O"), "icsd", mixed_valence=True), Fe=3, O=4)
    assert not _neutral(ChargeModel(("Fe", "O"), "icsd", mixed_valence=False), Fe=3, O=4)


def test_metals_and_elements_pass_as_an_option() -> None:
    elements = ("Ni", "Al", "O", "Si", "He")
    metallic = ChargeModel(elements, metallic=True)
    assert _neutral(metallic, Ni=3, Al=1)
    assert _neutral(metallic, Si=8)
    assert _neutral(metallic, He=2)
    assert not _neutral(metallic, Al=1, O=1, He=1)
    ionic = ChargeModel(("Ni", "Al", "O", "Si"))
    assert not _neutral(ionic, Ni=3, Al=1)
    assert not _neutral(ionic, Si=8)
    assert _neutral(ionic, Al=4, O=6)


def test_table_of_ones_own() -> None:
    model = ChargeModel(("Na", "K"), {"Na": [-1, 0], "K": [1]}, max_count=3)
    assert _neutral(model, Na=3, K=3)
    assert not _neutral(model, Na=2, K=3)
    assert model.states.tolist() == [[-1], [1]]


def test_large_cells() -> None:
    model = ChargeModel(("U", "Fe", "O", "Li"), max_count=64)
    assert _neutral(model, U=32, O=64)
    assert _neutral(model, Fe=24, O=32, Li=0)
    assert not _neutral(model, U=64, O=63)
    assert not _neutral(model, U=64, Fe=64, O=64, Li=64)


def test_bad_input_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"no oxidation state of He, Os.*metallic"):
        ChargeModel(("He", "Os", "Na"), "icsd")
    with pytest.raises(ConfigError, match="unknown element Xx"):
        ChargeModel(("Na", "Xx"))
    with pytest.raises(ConfigError, match=r"'smact' does not exist; choose one of default"):
        ChargeModel(("Na",), "smact")
    with pytest.raises(ConfigError, match="no elements"):
        ChargeModel(())
    with pytest.raises(ConfigError, match="allowed are 0 to 2"):
        ChargeModel(("Na",), max_count=2).neutral(torch.tensor([[3]]))
