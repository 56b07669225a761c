"""Atoms for specs: which specs get more than one try, and which try is kept."""

from __future__ import annotations

from dataclasses import dataclass, field

import pandas as pd
import pytest

from gflownet_crystal.generators.base import Generation, Generator
from gflownet_crystal.structures.spec import CrystalSpec
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.workflows.placing.placing import Placer
from tests.workflows.crystals import ByEdge, Flat, Salts, contacts, salts


@dataclass
class Stretched(Generator):
    """Rock salt whose cell is stretched a little with each seed, and that has no seed 0 for the last spec."""

    asked: list[tuple[int, int]] = field(default_factory=list)

    def single(self) -> tuple[Generator, int]:
        """Three draws."""
        return self, 3

    def generate(self, specs: CrystalSpec, seed: int = 0) -> Generation:
        """The atoms of each spec."""
        self.asked.append((len(specs), seed))
        made = Salts().generate(specs, seed)
        kept = (specs.lengths[:, 0] < 5.025).nonzero()[:, 0] if seed == 0 else made.rows
        part = made.structures[kept]
        cell = part.cell * (1 + 0.1 * seed)
        stretched = StructureBatch(
            cell, part.atomic_numbers, part.fractional, part.structure_index, part.space_group
        )
        return Generation(stretched, made.rows[kept])


def by_edge(edge: float, seed: int) -> float:
    return round(edge * (1 + 0.1 * seed), 4)


@pytest.fixture
def made() -> tuple[pd.DataFrame, Stretched]:
    frame = salts(4).set_axis([7, 3, 9, 4])
    edges = frame["a"].tolist()
    energies = {by_edge(edge, seed): 0.5 for edge in edges for seed in range(3)}
    # the first is hopeless at its first try, though its second one is good; the second is best at its third
    energies |= {by_edge(edges[0], 1): -1.0, by_edge(edges[1], 0): 0.1, by_edge(edges[1], 2): -0.3}
    # the third has atoms too near at its first try, whatever its energy
    energies |= {by_edge(edges[2], 0): -2.0, by_edge(edges[2], 1): 0.05, by_edge(edges[3], 1): -0.1}
    generator = Stretched()
    judge = ByEdge(energies)
    placer = Placer(generator, Flat(), judge, contacts(2.515), promising=0.2)
    return placer.place(frame), generator


def test_the_promising_get_all_tries_and_the_others_one(made: tuple[pd.DataFrame, Stretched]) -> None:
    assert made[1].asked == [(4, 0), (3, 1), (3, 2)]


def test_the_lowest_energy_with_possible_contacts_is_kept(made: tuple[pd.DataFrame, Stretched]) -> None:
    table = made[0].set_index("row")
    assert table.index.tolist() == [7, 3, 9, 4]
    assert table["try"].to_dict() == {7: 0, 3: 2, 9: 1, 4: 1}
    assert table["formation_energy_per_atom"].to_dict() == {7: 0.5, 3: -0.3, 9: 0.05, 4: -0.1}
    assert (table["formation_energy_std"] == 0.02).all()
    assert table["e_above_hull_judged"].equals(
        table["formation_energy_per_atom"].rename("e_above_hull_judged")
    )
    for row, edge in ((3, 5.01 * 1.2), (9, 5.02 * 1.1)):
        assert table["contact_ratio"][row] == pytest.approx(edge / 2 / 2.515)
        assert table["contact"][row].endswith(f" {edge / 2:.2f}")


@pytest.mark.parametrize(("agreeing", "more"), [(3, 1), (4, 2), (None, 2)])
def test_tries_end_where_enough_agree_on_the_lowest_energy(agreeing: int | None, more: int) -> None:
    frame = salts(2)
    edges = frame["a"].tolist()
    # tries of the first agree within 5 meV/atom, with one that is higher; each one of the second is lower
    energies = {by_edge(edges[0], seed): [0.1, 0.102, 0.3, 0.098][seed] for seed in range(4)}
    energies |= {by_edge(edges[0], seed): 0.3 for seed in range(4, 9)}
    energies |= {by_edge(edges[1], seed): -0.1 * seed for seed in range(9)}
    generator = Stretched()
    placer = Placer(generator, Flat(), ByEdge(energies), contacts(2.0), tries=3, agreeing=agreeing)
    made = placer.place(frame)
    assert generator.asked == [(2, seed) for seed in range(4)] + [(more, seed) for seed in range(4, 9)]
    assert made["try"].tolist() == [3, 8]


def test_without_a_judge_the_roomiest_try_is_kept() -> None:
    placer = Placer(Stretched(), Flat(), None, contacts(2.6), tries=1)
    made = placer.place(salts(3))
    assert made["try"].tolist() == [2, 2, 2]
    assert made[["formation_energy_per_atom", "e_above_hull_judged"]].isna().all().all()


def test_nothing_placed_is_an_empty_table() -> None:
    frame = salts(2)
    made = Placer(Salts(set(frame["a"])), Flat(), ByEdge({}), contacts(), tries=2).place(frame)
    assert len(made) == 0 and "contact" in made.columns
