"""Samples without duplicates, formulas held out in all rounds, and what a round trains on, against plain loops."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.data.schema import ENERGY_COLUMN, SAMPLED
from gflownet_crystal.data.splits import reduced_formulas
from gflownet_crystal.workflows.refining.labels import (
    distinct_samples,
    in_one_scheme,
    is_believed,
    is_held_out,
    sampled_rows,
    training_table,
    validation_rows,
)

METALS = ("Li", "Na", "K", "Mg", "Ca", "Al", "Ti", "Fe", "Zn", "Cu")


def specs(n: int, seed: int, n_metals: int = len(METALS)) -> pd.DataFrame:
    """Cubic oxides of few formulas and volumes, so that many are near each other."""
    rng = np.random.default_rng(seed)
    metals = rng.choice(METALS[:n_metals], n)
    edges = rng.choice([4.0, 4.02, 5.0], n)
    counts = rng.choice([1, 2, 4], n)
    return pd.DataFrame(
        {
            "space_group": rng.choice([221, 225], n),
            "formula": [f"{metal}{count} O{count}" for metal, count in zip(metals, counts, strict=True)],
            **dict.fromkeys("abc", edges),
            **dict.fromkeys(("alpha", "beta", "gamma"), 90.0),
        }
    )


def are_near(one: pd.Series, other: pd.Series, tolerance: float) -> bool:
    """Whether two rows are duplicates, as the documentation says."""
    volumes = [row["a"] ** 3 / sum(int(part.lstrip("LiNaKMgClTFeZnuAO")) for part in row["formula"].split())
               for row in (one, other)]  # fmt: skip
    same = one["space_group"] == other["space_group"] and one["reduced"] == other["reduced"]
    return same and max(volumes) / min(volumes) <= 1 + tolerance


def test_distinct_samples_are_the_first_of_each_kind_in_the_order_of_drawing() -> None:
    drawn: list[pd.DataFrame] = []

    def draw(n: int, seed: int) -> pd.DataFrame:
        drawn.append(specs(n, seed))
        return drawn[-1]

    frame = distinct_samples(draw, 30, 0, 0.3, 0.03, number=1)
    every = pd.concat(drawn, ignore_index=True)
    every = every.assign(reduced=reduced_formulas(every))
    kept: list[int] = []
    for row in range(len(every)):
        if len(kept) < 30 and not any(are_near(every.iloc[row], every.iloc[other], 0.03) for other in kept):
            kept.append(row)
    assert frame["draw"].tolist() == kept
    assert len(drawn) > 1 and drawn[0]["a"].tolist() != drawn[1]["a"].tolist()


def test_fewer_samples_are_taken_where_there_are_no_more_distinct_ones() -> None:
    frame = distinct_samples(lambda n, seed: specs(n, seed, n_metals=4), 300, 3, 0.5, 0.03, number=1)
    # 4 metals, 2 groups, and volumes per atom of 3 counts by 3 edges, of which 4.0 and 4.02 are near
    assert 8 < len(frame) <= 4 * 2 * 6


def test_a_formula_is_held_out_in_all_rounds_or_in_none() -> None:
    rounds = [distinct_samples(specs, 40, 7, 0.3, 0.03, number=number) for number in (1, 2, 3)]
    assert rounds[0]["formula"].tolist() != rounds[1]["formula"].tolist()
    table = pd.concat(rounds, ignore_index=True)
    by_formula = table.groupby(reduced_formulas(table))["held_out"].nunique()
    assert (by_formula == 1).all()
    assert 0 < table["held_out"].mean() < 1


def test_all_or_none_held_out_is_an_error_that_says_what_to_do() -> None:
    def one_formula(n: int, seed: int) -> pd.DataFrame:
        return specs(n, seed).assign(formula="Li1 O1")

    with pytest.raises(DataError, match=r"of \d+ distinct samples are held out: give a larger n, or another"):
        distinct_samples(one_formula, 10, 0, 0.3, 0.03, number=1)


def test_believed_energies_are_finite_and_of_crystals() -> None:
    energy = np.array([-7.0, -6.0, 0.0, 6.0, 6.1, np.nan, np.inf, -np.inf])
    assert is_believed(energy).tolist() == [False, True, True, True, False, False, False, False]


def labelled(table: pd.DataFrame, number: int) -> pd.DataFrame:
    """Prepared rows of specs with one atom each."""
    made = pd.DataFrame(
        {
            "row": np.arange(len(table))[::-1],
            "lattice": [np.full(6, 90.0)] * len(table),
            "atomic_numbers": [np.array([row]) for row in range(len(table))],
            "frac_coords": [np.zeros(3)] * len(table),
        }
    )
    return sampled_rows(table, made, np.arange(len(table), dtype=float), "judge", number)


def test_rows_of_samples_hold_spec_atoms_label_and_where_they_come_from() -> None:
    table = specs(5, 0)
    rows = labelled(table, 4)
    assert rows["formula"].tolist() == table["formula"].tolist()[::-1]
    assert rows["material_id"].tolist() == [f"round4-{row}" for row in (4, 3, 2, 1, 0)]
    assert rows["formation_energy_per_atom"].tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert set(rows["structure_source"]) == {SAMPLED} and set(rows["energy_source"]) == {"judge"}
    assert [int(numbers[0]) for numbers in rows["atomic_numbers"]] == [0, 1, 2, 3, 4]


def known(n: int) -> pd.DataFrame:
    """Prepared oxides, a tenth of them of MP-20's val."""
    formulas = [f"{METALS[row % 5]}{1 + row // 5} O{2 + row % 7}" for row in range(n)]
    table = specs(n, 1).assign(formula=formulas, formation_energy_per_atom=-1.0, strain="")
    return table.assign(
        mp20_split=np.where(np.arange(n) % 10 == 0, "val", "train"), material_id=np.arange(n).astype(str)
    )


def test_known_crystals_of_held_out_formulas_are_left_out_but_where_they_validate() -> None:
    crystals, own, apart = known(200), labelled(specs(10, 2), 1), labelled(known(200).iloc[[3, 10]], 1)
    table = training_table(crystals, [own], [apart], None, seed=0)
    banned = set(reduced_formulas(apart))
    formulas = reduced_formulas(crystals)
    free = np.array([name not in banned for name in formulas])
    validates = (crystals["mp20_split"] == "val").to_numpy()
    assert len(table) == (free | validates).sum() + len(own)
    trained = table[(table["mp20_split"] != "val").to_numpy()]
    assert not set(reduced_formulas(trained)) & banned
    rows = validation_rows(crystals)
    assert rows is not None and rows["material_id"].tolist() == crystals["material_id"][validates].tolist()
    assert (table["mp20_split"] == "val").sum() == len(rows)


@pytest.mark.parametrize("replay", [0.0, 1.0, 3.0, 100.0])
def test_replay_takes_whole_formulas_up_to_a_number_of_known_crystals(replay: float) -> None:
    crystals, own, apart = known(200), labelled(specs(20, 2), 1), labelled(specs(3, 5), 1)
    trained = training_table(crystals, [own], [apart], replay, seed=1)
    replayed = trained[trained["mp20_split"] == "train"]
    free = crystals[
        (crystals["mp20_split"] == "train") & ~np.isin(reduced_formulas(crystals), reduced_formulas(apart))
    ]
    sizes = pd.Series(reduced_formulas(free)).value_counts()
    assert len(replayed) <= min(replay * len(own), len(free))
    # one more formula would be too many
    assert len(replayed) > min(replay * len(own), len(free)) - sizes.max() or len(replayed) == len(free)
    for name in set(reduced_formulas(replayed)):
        assert (reduced_formulas(replayed) == name).sum() == sizes[name]
    other = training_table(crystals, [own], [apart], replay, seed=2)
    if replay == 3.0:
        assert set(other["material_id"]) != set(trained["material_id"])
    assert training_table(None, [own, own], [apart], replay, seed=1).equals(
        pd.concat([own, own], ignore_index=True)
    )


def test_earlier_labels_of_another_model_are_shifted_by_the_median_of_measured_differences() -> None:
    sources = ["alignn", "chgnet", "alignn", "sevenn"]
    earlier = pd.DataFrame({ENERGY_COLUMN: [-1.0, -2.0, -3.0, -4.0], "energy_source": sources})
    # of one model all along: its own stay, others are left out
    same = in_one_scheme(earlier, "alignn", "alignn", np.zeros(3))
    assert same[ENERGY_COLUMN].tolist() == [-1.0, -3.0]
    # chgnet teaches, alignn rated the same structures: 0.2 higher in the median, whatever one outlier says
    taught = in_one_scheme(earlier, "chgnet", "alignn", np.array([0.1, 0.2, 50.0, np.nan]))
    assert taught[ENERGY_COLUMN].tolist() == pytest.approx([-0.8, -2.0, -2.8])
    # nothing is known of how the two differ
    unknown = in_one_scheme(earlier, "sevenn", "alignn", np.array([np.nan]))
    assert unknown[ENERGY_COLUMN].tolist() == [-4.0]
    assert in_one_scheme(earlier, "mace", "gemsnet", np.array([0.1])).empty


def test_a_formula_is_held_out_in_every_table_or_in_none() -> None:
    table = specs(300, 0)
    held = is_held_out(table, 0.4, 3)
    formulas = reduced_formulas(table)
    assert not set(formulas[held]) & set(formulas[~held]) and held.any() and not held.all()
    again = table.sample(frac=1.0, random_state=1).reset_index(drop=True)
    assert set(reduced_formulas(again)[is_held_out(again, 0.4, 3)]) == set(formulas[held])
    assert set(formulas[is_held_out(table, 0.4, 4)]) != set(formulas[held])
