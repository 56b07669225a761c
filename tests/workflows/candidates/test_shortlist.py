"""Which specs may get atoms, and in which order, against slow readings of the rules."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pymatgen.core import Composition, Lattice

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.proxies.known_compounds import KnownCompounds
from gflownet_crystal.structures.spec_io import frame_to_specs
from gflownet_crystal.workflows.candidates.shortlist import Shortlist, distinct_rows, rank_rows
from gflownet_crystal.workflows.settings.screening import Screening

NOTHING = KnownCompounds(torch.zeros(0, dtype=torch.int64))
PLAIN = {"better": 1.0, "order": "best"}


def table(rows: list[tuple[str, int, float, float, float]]) -> pd.DataFrame:
    """Rows of formula, group, edge of a cube, energy above hull and log-reward."""
    formula, group, edge, above, reward = zip(*rows, strict=True)
    right = [90.0] * len(rows)
    return pd.DataFrame(
        {
            "space_group": group,
            "formula": formula,
            **dict.fromkeys("abc", edge),
            **dict.fromkeys(("alpha", "beta", "gamma"), right),
            "e_above_hull": above,
            "log_reward": reward,
        }
    )


rows_strategy = st.lists(
    st.tuples(
        st.sampled_from(["Na4 Cl4", "Na8 Cl8", "Na1 Cl1", "Mg4 O4"]),
        st.sampled_from([225, 221]),
        st.floats(4.0, 4.3),
        st.one_of(st.just(float("nan")), st.floats(-0.1, 0.5)),
        st.floats(-5, 5),
    ),
    min_size=1,
    max_size=25,
)


def everything(shortlist: Shortlist, n: int = 4) -> list[int]:
    """All rows in their order, none of them taken."""
    found: list[int] = []
    while rows := shortlist.following(n):
        found += rows
    return found


@given(rows_strategy, st.sampled_from([0.0, 0.03, 0.2]))
def test_distinct_rows_follow_the_rules(rows: list, tolerance: float) -> None:
    frame = table(rows)
    given_rows = everything(Shortlist(iter([frame]), Screening(volume_tolerance=tolerance, **PLAIN), NOTHING))

    def is_duplicate(one: int, other: int) -> bool:
        volumes = [
            Lattice.cubic(rows[row][2]).volume / Composition(rows[row][0]).num_atoms for row in (one, other)
        ]
        same = Composition(rows[one][0]).reduced_formula == Composition(rows[other][0]).reduced_formula
        return same and rows[one][1] == rows[other][1] and max(volumes) <= (1 + tolerance) * min(volumes)

    def key(row: int) -> tuple[bool, float, float]:
        above = rows[row][3]
        return np.isnan(above), 0.0 if np.isnan(above) else above, -rows[row][4]

    expected: list[int] = []
    for row in sorted(range(len(rows)), key=key):
        if not any(is_duplicate(row, other) for other in expected):
            expected.append(row)
    assert given_rows == expected
    in_order: list[int] = []
    for row in range(len(rows)):
        if not any(is_duplicate(row, other) for other in in_order):
            in_order.append(row)
    assert distinct_rows(frame, tolerance) == in_order


MANY = [
    (formula, group, 4.0 + 0.2 * step, 0.1 * place - 0.3, 0.0)
    for place, (formula, group, step) in enumerate(
        (formula, group, step)
        for formula in ("Na4 Cl4", "Mg4 O4", "Cs1 Cl1", "K4 Cl4", "K2 Cl4 Na2", "Ca4 O4")
        for group in (225, 221)
        for step in range(2)
    )
]


def test_the_better_half_of_the_new_and_distinct_is_kept() -> None:
    frame = table(MANY)
    specs = frame_to_specs(frame)
    salt = torch.tensor([Composition(f).reduced_formula == "NaCl" for f in frame["formula"]])
    known = KnownCompounds.of(specs.composition[salt], torch.full((4,), 225))
    for what, is_new in (
        ("keep", lambda row: True),
        ("formula", lambda row: not salt[row]),
        ("formula_and_group", lambda row: not (salt[row] and MANY[row][1] == 225)),
    ):
        new = [row for row in range(len(MANY)) if is_new(row)]
        shortlist = Shortlist(iter([frame]), Screening(known=what, order="samples"), known)
        better = sorted(new, key=lambda row: MANY[row][3])[: (len(new) + 1) // 2]
        assert everything(shortlist) == sorted(better)
        assert list(shortlist.counts.values()) == [
            len(MANY),
            len(new),
            len(new),
            len(new),
            len(new),
            len(better),
        ]
        told = shortlist.frame[["known_formula", "known_formula_and_group"]].to_numpy().T.tolist()
        groups = [group == 225 for _, group, *_ in MANY]
        assert told == [salt.tolist(), [one and two for one, two in zip(salt.tolist(), groups, strict=True)]]


def test_a_table_that_says_more_formulas_are_known_is_believed() -> None:
    frame = table(MANY).assign(known_formula=[row % 2 == 0 for row in range(len(MANY))])
    shortlist = Shortlist(iter([frame]), Screening(known="formula", **PLAIN), NOTHING)
    assert all(row % 2 for row in everything(shortlist))


def test_the_random_order_is_one_of_the_same_rows_and_depends_on_the_seed_alone() -> None:
    orders = [
        everything(Shortlist(iter([table(MANY)]), Screening(better=1.0, seed=seed), NOTHING), n)
        for seed, n in ((0, 3), (0, 7), (1, 3))
    ]
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[0]) == sorted(orders[2]) == list(range(len(MANY)))


def test_further_tables_are_asked_for_when_rows_run_out_and_duplicates_of_earlier_ones_left_out() -> None:
    asked: list[int] = []

    def tables():
        for number, part in enumerate((MANY[:6], MANY[3:12], MANY[:12], MANY[12:])):
            asked.append(number)
            yield table(part)

    shortlist = Shortlist(tables(), Screening(**PLAIN), NOTHING)
    assert shortlist.following(6) == list(range(6)) and asked == [0]
    # rows 0 to 5 again are no news
    assert everything(shortlist) == list(range(9, 15)) and asked == [0, 1, 2]
    assert len(shortlist.frame) == 27 and shortlist.counts["distinct"] == 12


@pytest.mark.parametrize("limits", [(1, None, None), (None, 2, None), (None, None, 1), (2, 3, 2)])
def test_no_more_of_a_kind_are_admitted_than_may_be_taken(limits: tuple) -> None:
    names = ("max_per_formula", "max_per_system", "max_per_prototype")
    settings = Screening(**PLAIN, **dict(zip(names, limits, strict=True)))
    shortlist = Shortlist(iter([table(MANY)]), settings, NOTHING)
    taken: list[int] = []
    while rows := shortlist.following(3):
        # every other one fails, and makes room for the next of its kind
        for row in rows[::2]:
            shortlist.quota.take(row)
            taken.append(row)

    def kinds(row: int) -> tuple:
        composition, group = Composition(MANY[row][0]), MANY[row][1]
        elements = tuple(sorted(str(element) for element in composition))
        return composition.reduced_formula, elements, (group, composition.anonymized_formula)

    for limit, keys in zip(limits, zip(*map(kinds, taken), strict=True), strict=True):
        most = max(Counter(keys).values())
        # together the limits may keep each other from being reached
        assert limit is None or (most <= limit and (most == limit or limits.count(None) < 2))


@pytest.mark.parametrize(("charges", "left"), [(0, [0, 1, 2]), (2, [0, 2])])
def test_charges_that_no_known_compound_shows_are_left_out(charges: int, left: list[int]) -> None:
    # Co 4+ is known with F, not with Cl
    rows = [
        ("K2 Co1 F6", 225, 8.0, 0.0, 0.0),
        ("K2 Co1 Cl6", 225, 9.0, 0.1, 0.0),
        ("Mg4 O4", 225, 4.2, 0.2, 0.0),
    ]
    shortlist = Shortlist(iter([table(rows)]), Screening(**PLAIN, charges=charges), NOTHING)
    assert everything(shortlist) == left and shortlist.counts["charges"] == len(left)


def test_without_hull_energies_the_reward_decides() -> None:
    nan = float("nan")
    frame = table([("Na1", 229, 4.0, nan, 1.0), ("K1", 229, 5.0, nan, 3.0), ("Li1", 229, 3.0, nan, 2.0)])
    assert rank_rows(frame).tolist() == [1, 2, 0]


@pytest.mark.parametrize(
    "wrong",
    [
        {"volume_tolerance": -0.1}, {"volume_tolerance": float("nan")}, {"max_per_formula": 0}, {"max_per_system": 0},
        {"better": 0.0}, {"better": 1.5}, {"known": "perhaps"}, {"order": "worst"}, {"k": 0}, {"choose_from": 99},
        {"most_placed": 10}, {"batch_size": 0},
    ],
)  # fmt: skip
def test_rules_out_of_range_are_refused(wrong: dict) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        Screening(**wrong)


def test_by_reward_equals_keep_their_order_whatever_their_energies() -> None:
    frame = pd.DataFrame({"log_reward": [-1.0, 0.0, np.nan, 0.0], "e_above_hull": [-9.0, 0.1, -5.0, -3.0]})
    assert rank_rows(frame, by_reward=True).tolist() == [1, 3, 0, 2]
    assert rank_rows(frame).tolist() == [0, 2, 3, 1]
