"""Hulls of known compounds against pymatgen's phase diagrams, and the laws of a convex hull."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
from pymatgen.core import Composition

from gflownet_crystal.common.errors import DataError, ProxyError
from gflownet_crystal.proxies.reference_hull import ReferenceHull
from gflownet_crystal.structures.elements import ATOMIC_NUMBERS
from gflownet_crystal.structures.formulas import composition_to_text, text_to_composition

ELEMENTS = ("Li", "O", "P", "Fe", "Ba")
COLUMNS = [ATOMIC_NUMBERS[symbol] for symbol in ELEMENTS]


def compounds(n: int = 60, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Random compounds of one to five elements; their lower energies leave a quarter of them on the hull."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 5, (n, 5)) * (rng.random((n, 5)) < 0.5)
    counts[counts.sum(1) == 0, 1] = 2
    fractions = counts / counts.sum(1, keepdims=True)
    mixing = (fractions @ np.array([1.0, -2.5, -0.5, 0.5, 1.5])) ** 2
    energy = -2 * (1 - (fractions**2).sum(1)) + 0.3 * mixing + rng.normal(0, 0.3, n)
    composition = torch.zeros(n, 119, dtype=torch.int64)
    composition[:, COLUMNS] = torch.from_numpy(counts)
    return composition, torch.from_numpy(np.where((counts > 0).sum(1) == 1, np.abs(energy), energy))


COMPOSITION, ENERGY = compounds()
HULL = ReferenceHull(COMPOSITION, ENERGY)


def phase_diagram(composition: torch.Tensor, energy: torch.Tensor) -> PhaseDiagram:
    """Pymatgen's diagram of the compounds and of the elements at 0."""
    formulas = [Composition(formula) for formula in composition_to_text(composition)]
    entries = [
        PDEntry(formula, value * formula.num_atoms)
        for formula, value in zip(formulas, energy.tolist(), strict=True)
    ]
    return PhaseDiagram([*entries, *(PDEntry(Composition(symbol), 0.0) for symbol in ELEMENTS)])


DIAGRAM = phase_diagram(COMPOSITION, ENERGY)

some_counts = st.lists(st.integers(0, 12), min_size=5, max_size=5).filter(any)


def as_composition(*rows: list[int]) -> torch.Tensor:
    composition = torch.zeros(len(rows), 119, dtype=torch.int64)
    composition[:, COLUMNS] = torch.tensor(rows)
    return composition


@given(st.lists(some_counts, min_size=1, max_size=8))
def test_hull_energies_are_pymatgens(rows: list[list[int]]) -> None:
    found = HULL.hull_energy(as_composition(*rows))
    for row, value in zip(rows, found.tolist(), strict=True):
        formula = Composition(dict(zip(ELEMENTS, row, strict=True)))
        assert value == pytest.approx(DIAGRAM.get_hull_energy_per_atom(formula), abs=1e-8)


@given(some_counts, some_counts, st.integers(1, 9), st.integers(1, 9))
def test_the_hull_is_convex_along_any_line(one: list[int], other: list[int], p: int, q: int) -> None:
    first, second = sum(one), sum(other)
    # p parts of the one to q of the other, by atoms
    mixed = [p * a * second + q * b * first for a, b in zip(one, other, strict=True)]
    ends = HULL.hull_energy(as_composition(one, other, mixed)).tolist()
    assert ends[2] <= (p * ends[0] + q * ends[1]) / (p + q) + 1e-8


@given(some_counts, st.integers(2, 30))
def test_counts_may_be_scaled_and_no_hull_is_above_zero(counts: list[int], factor: int) -> None:
    energy = HULL.hull_energy(as_composition(counts, [factor * count for count in counts]))
    assert float(energy[0]) == pytest.approx(float(energy[1]), abs=1e-10)
    assert float(energy.max()) <= 0.0


def test_the_hull_is_at_or_below_each_compound() -> None:
    assert bool((HULL.hull_energy(COMPOSITION) <= ENERGY.clamp(max=0) + 1e-9).all())


@settings(max_examples=40)
@given(st.integers(0, 200))
def test_stable_compounds_are_pymatgens_and_make_the_same_hull(seed: int) -> None:
    composition, energy = compounds(30, seed)
    everything = ReferenceHull(composition, energy)
    counted: list[int] = []
    hull = everything.stable(counted.append)
    assert sum(counted) == len(everything)
    stable = phase_diagram(composition, energy).stable_entries
    expected = {entry.composition.reduced_formula for entry in stable if not entry.is_element}
    found = {Composition(formula).reduced_formula for formula in composition_to_text(hull.composition)}
    # the elements come with no entry of their own
    assert found == expected
    torch.testing.assert_close(hull.hull_energy(COMPOSITION), everything.hull_energy(COMPOSITION))


def test_each_row_is_as_if_alone_on_many_systems() -> None:
    generator = torch.Generator().manual_seed(0)
    composition = torch.zeros(700, 119, dtype=torch.int64)
    elements = torch.rand(700, 90, generator=generator).argsort(1)[:, :4] + 1
    composition.scatter_(1, elements, torch.randint(0, 4, (700, 4), generator=generator))
    composition[torch.arange(700), elements[:, 0]] += 1
    hull = ReferenceHull(composition, -torch.rand(700, generator=generator).double())
    queries = composition + composition.roll(1, 0) * (torch.arange(700) % 2)[:, None]
    together = hull.hull_energy(queries)
    alone = torch.cat([hull.hull_energy(queries[row : row + 1]) for row in range(0, 700, 20)])
    torch.testing.assert_close(together[::20], alone, rtol=0, atol=1e-9)
    assert bool((together <= 0).all())


def test_a_hull_without_compounds_is_zero() -> None:
    hull = ReferenceHull(text_to_composition(["Fe2", "Fe1 O1"]), torch.tensor([-1.0, 0.2]))
    assert len(hull) == 0
    energy = hull.hull_energy(text_to_composition(["Fe1", "Fe1 O1", "Li1 Fe1 O2"]))
    torch.testing.assert_close(energy, torch.zeros(3).double())
    assert len(hull.stable()) == 0


def test_compounds_of_many_elements_are_left_out() -> None:
    many = text_to_composition(["Li1 Na1 K1 Rb1 Cs1 Fe1 Co1 Ni1 O1", "Na1 Cl1"])
    hull = ReferenceHull(many, torch.tensor([-1.0, -2.0]))
    assert composition_to_text(hull.composition) == ["Na1 Cl1"]
    with pytest.raises(ProxyError, match="spec 0 has 9 elements"):
        hull.hull_energy(many)


def test_a_file_gives_the_hull_back(tmp_path: Path) -> None:
    HULL.stable().write(tmp_path / "hull.parquet")
    read = ReferenceHull.read(tmp_path / "hull.parquet")
    torch.testing.assert_close(read.hull_energy(COMPOSITION), HULL.hull_energy(COMPOSITION))
    frame = pd.read_parquet(tmp_path / "hull.parquet")
    assert list(frame.columns) == ["formula", "formation_energy_per_atom"]
    assert 5 < len(frame) < len(ENERGY)


def test_files_that_hold_no_hull_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "hull.parquet"
    with pytest.raises(DataError, match="no data at"):
        ReferenceHull.read(path)
    path.write_text("no table")
    with pytest.raises(DataError, match="cannot read"):
        ReferenceHull.read(path)
    frame = pd.DataFrame({"formula": ["Na1 Cl1", "Mg1 O1"], "formation_energy_per_atom": [-2.0, np.nan]})
    for wrong, told in (
        (frame.drop(columns="formula"), "lacks the columns formula"),
        (frame, "compound 1"),
        (frame.assign(formation_energy_per_atom="low"), "compound 0"),
        (frame.assign(formula="sodium"), "not a formula"),
        (frame.iloc[:0], "no rows"),
    ):
        wrong.to_parquet(path)
        with pytest.raises(DataError, match=told):
            ReferenceHull.read(path)
