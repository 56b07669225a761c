"""Learning to rank assignments: what is read, what is listed, and that it is learned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from gflownet_crystal.common.errors import ConfigError, DataError
from gflownet_crystal.crystallography.normalizer import canonical_assignment
from gflownet_crystal.generators.assignments.listing import AssignmentLister
from gflownet_crystal.generators.assignments.table import AssignmentTable
from gflownet_crystal.models.sites.assignment_ranker import AssignmentRanker
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.training.energies.labelled import read_labelled, split_labelled
from gflownet_crystal.training.engine import Engine
from gflownet_crystal.training.generators.assignment_data import OccupiedSpecs, OccupiedSplits
from gflownet_crystal.training.generators.assignment_task import (
    AssignmentSettings,
    AssignmentTask,
    RankedCrystals,
    RankerSettings,
    recall,
    recall_figures,
    table_of,
)
from gflownet_crystal.training.networks import NetworkTraining
from gflownet_crystal.training.settings import LoopSettings
from tests.data.crystals import KNOWN, stored_frame


@pytest.fixture(scope="module")
def splits(tmp_path_factory: pytest.TempPathFactory) -> OccupiedSplits:
    """Known crystals; two of them, and another copy of one, are MP-20's val."""
    frame = stored_frame()
    frame["mp20_split"] = ["val" if row < 2 else "train" for row in range(len(frame))]
    frame = pd.concat([frame, frame.iloc[:1].assign(mp20_split="train")], ignore_index=True)
    path = tmp_path_factory.mktemp("data") / "known.parquet"
    frame.to_parquet(path)
    return OccupiedSplits.of(split_labelled(read_labelled([Path(path)], one_scheme=False), 0.0))


def ranked(
    crystals: OccupiedSpecs, formula: np.ndarray, earlier: AssignmentTable | None = None
) -> RankedCrystals:
    found = RankedCrystals(crystals)
    found.list_apart(formula, folds=3, listed=30, earlier=earlier or AssignmentTable())
    return found


def test_training_shares_no_formula_with_validation(splits: OccupiedSplits) -> None:
    validation = set(splits.validation.specs.reduced_formulas())
    assert validation == {"NaCl", "CsCl"}
    assert set(splits.formula.tolist()) == set(splits.train.specs.reduced_formulas())
    assert not validation & set(splits.formula.tolist())
    groups = [group for _, group, *_ in KNOWN]
    assert splits.train.specs.space_group.tolist() == groups[2:]


def test_crystals_are_specs_with_their_orbits(splits: OccupiedSplits) -> None:
    train = splits.train
    cell = torch.eye(3, dtype=torch.float64).expand(len(train), 3, 3)
    made: StructureBatch = train.occupied.structures(cell, train.specs.space_group)
    assert torch.equal(made.composition, train.specs.composition)
    both = OccupiedSpecs.cat([train, splits.validation])
    alone = both.take(torch.arange(len(train), len(both)))
    for first, second in zip(
        vars(alone.occupied).values(), vars(splits.validation.occupied).values(), strict=True
    ):
        assert torch.equal(first, second)


@pytest.mark.parametrize("again", [False, True])
def test_truth_is_among_those_listed_and_its_own_table_does_not_know_it(
    splits: OccupiedSplits, again: bool
) -> None:
    # nor does it where an earlier table has counted the same crystals
    earlier = table_of(RankedCrystals(splits.train)) if again else None
    train = ranked(splits.train, splits.formula, earlier)
    for key, truth, listing, row in zip(
        train.keys, train.truth, train.listings, train.row.tolist(), strict=True
    ):
        assert canonical_assignment(key[0], listing.assignments[row]) == truth
        # every formula is alone with its key here
        assert not listing.features[:, 3].any()
    whole = AssignmentLister(table_of(train), 30)
    assert all(whole.of(key).features[0, 3] > 0 for key in train.keys)


def test_a_task_of_splits_validates_with_the_table_of_all_it_learns_from(splits: OccupiedSplits) -> None:
    task, table = AssignmentTask.of(AssignmentRanker(width=8, embedding=4), splits, AssignmentSettings(30, 3))
    assert table.counts == table_of(task.train).counts
    assert sum(sum(found.values()) for found in table.counts.values()) == len(splits.train)
    figures = recall_figures(task)
    assert figures["n"] == 2
    assert figures["listed"] == 1.0
    assert figures["recall_20"] == 1.0


def test_recall_counts_places() -> None:
    places = torch.tensor([0, 4, 5, 19, 20, torch.iinfo(torch.int64).max])
    assert recall(places) == pytest.approx({"recall_1": 1 / 6, "recall_5": 2 / 6, "recall_20": 4 / 6})


def test_the_ranker_learns_its_crystals(splits: OccupiedSplits, tmp_path: Path) -> None:
    torch.manual_seed(0)
    train = ranked(splits.train, splits.formula)
    validation = RankedCrystals(splits.train)
    validation.list_by(AssignmentLister(AssignmentTable(), 30))
    task = AssignmentTask(AssignmentRanker(width=16, embedding=8), train, validation)
    before = recall_figures(task)
    settings = LoopSettings(
        epochs=60, atoms=10_000, learning_rate=1e-2, half=False, validate_every=200, ema=0.9
    )
    training = NetworkTraining(task, settings)
    Engine(training, tmp_path, quiet=True).train()
    training.finish()
    after = recall_figures(task)
    assert after["listed"] == 1.0
    assert after["recall_1"] > max(before["table_recall_1"], 0.8)
    assert after["recall_20"] == 1.0


def test_missing_symmetry_is_told(splits: OccupiedSplits) -> None:
    cell = torch.zeros(1, 3, 3, dtype=torch.float64)
    empty = StructureBatch(
        cell, torch.tensor([1]), torch.zeros(1, 3, dtype=torch.float64), torch.tensor([0]), torch.tensor([0])
    )
    with pytest.raises(DataError, match="none of 1 structures"):
        OccupiedSpecs.of(empty)


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [(RankerSettings, {"width": 0}), (RankerSettings, {"embedding": -1}), (AssignmentSettings, {"folds": 1}),
     (AssignmentSettings, {"listed": 0})],
)  # fmt: skip
def test_settings_out_of_range_are_refused(kind: type, wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        kind(**wrong)
