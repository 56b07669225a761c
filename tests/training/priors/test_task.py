"""Maximum likelihood of known crystals: the split, the bound, and what thins out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from gflownet_crystal.common.errors import ConfigError, DataError
from gflownet_crystal.envs.crystal import Crystal
from gflownet_crystal.gflownet.likelihood import log_prob
from gflownet_crystal.gflownet.model import GFlowNet
from gflownet_crystal.policies import ResidualPolicy, UniformPolicy
from gflownet_crystal.training.priors.data import distance_above_hull, split_known
from gflownet_crystal.training.priors.task import PriorSettings, PriorTask

ELEMENTS = ("Na", "Cl", "K", "Br")


def rock_salts() -> pd.DataFrame:
    """Rock salts and their energies above a hull that is known: NaCl in two groups, one of them 0.3 eV/atom higher."""
    rows = [
        ("a", 225, "Na4 Cl4", 5.6, -2.0, "train"),
        ("b", 221, "Na1 Cl1", 3.5, -1.7, "train"),
        ("c", 225, "K4 Cl4", 6.3, -2.1, "val"),
        ("d", 221, "K1 Cl1", 3.8, -2.05, "train"),
        ("e", 225, "K4 Br4", 6.6, -1.9, "train"),
        ("f", 225, "Na4 Li4", 5.0, 0.1, "train"),
    ]
    frame = pd.DataFrame(rows, columns=["material_id", "space_group", "formula", "a", "energy", "mp20_split"])
    cell = {"b": frame["a"], "c": frame["a"], "alpha": 90.0, "beta": 90.0, "gamma": 90.0}
    return frame.assign(
        **cell, formation_energy_per_atom=frame.pop("energy"), energy_source="test", strain=""
    )


def env() -> Crystal:
    return Crystal(ELEMENTS, space_groups=[221, 225], max_count=8)


def test_distances_are_those_above_the_hull_of_the_labels() -> None:
    np.testing.assert_allclose(distance_above_hull(rock_salts())[:5], [0.0, 0.3, 0.0, 0.05, 0.0], atol=1e-9)


def test_no_formula_of_the_validation_is_learned_from_and_the_limit_holds() -> None:
    splits = split_known(rock_salts(), None, env(), limit=0.1)
    learned = env().objects(splits.train.terminal)
    # a and e; b lies too high, d has the formula of the validation, f is outside the space
    assert learned.space_group.tolist() == [225, 225]
    assert splits.train.n_read == 3 and not splits.train.further.any()
    assert splits.validation.terminal.n == 1
    assert split_known(rock_salts(), None, env(), limit=None).train.terminal.n == 3


def test_further_crystals_are_marked_and_none_of_them_is_validated_on() -> None:
    table = rock_salts()
    splits = split_known(table.iloc[:3], table.iloc[3:].assign(mp20_split="val"), env(), limit=None)
    assert splits.train.further.tolist() == [False, False, True]
    assert splits.validation.terminal.n == 1


def test_tables_without_validation_are_refused() -> None:
    with pytest.raises(DataError, match="0 to validate on"):
        split_known(rock_salts().assign(mp20_split="train"), None, env(), limit=None)


def task(**settings: object) -> PriorTask:
    space = env()

    def forward(shapes):
        return ResidualPolicy(shapes, n_layers=1, n_hidden=16)

    model = GFlowNet(space, forward, UniformPolicy)
    table = rock_salts()
    splits = split_known(table.iloc[:3], table.iloc[3:], space, limit=None)
    return PriorTask(model, splits, PriorSettings(**settings))  # type: ignore[arg-type]


def test_the_bound_lies_above_the_negative_log_likelihood_and_meets_it_in_the_mean() -> None:
    made = task()
    rows = torch.zeros(4000, dtype=torch.int64)
    bound = float(made.losses(rows, torch.Generator().manual_seed(0))["nll"].detach())
    exact = log_prob(made.model, made.train[torch.tensor([0])], 4000, torch.Generator().manual_seed(1))
    nll = -float(exact.log_prob)
    assert bound > nll
    # an untrained policy over two groups and a few elements is not far from its bound
    assert bound < nll + 4.0


def test_further_crystals_are_taken_less_and_less_often() -> None:
    made = task(further_until=0.5)
    seen: list[int] = []

    def count(terminal, seed):
        seen.append(terminal.n)
        return torch.zeros((), requires_grad=True)

    made._bound = count  # type: ignore[method-assign, assignment]
    rows = torch.tensor([0] * 100 + [2] * 1000)
    for progress in (0.0, 0.25, 0.5):
        made.progress = progress
        made.losses(rows, torch.Generator().manual_seed(0))
    assert seen[0] == 1100 and seen[2] == 100
    # 1,000 draws of probability one half: 500 +- 16
    assert abs(seen[1] - 600) < 80


@pytest.mark.parametrize("setting", [{"further_until": 0.0}, {"limit": -1.0}, {"samples": 1}, {"watched": 0}])
def test_settings_out_of_range_are_refused(setting) -> None:
    with pytest.raises(ConfigError, match=f"task.{next(iter(setting))}"):
        PriorSettings(**setting)


def test_own_crystals_are_all_but_the_further_ones() -> None:
    table = rock_salts()
    known = split_known(table.iloc[:3], table.iloc[3:], env(), limit=None).train
    assert known.own.n == int((~known.further).sum()) == 2
    assert env().objects(known.own).formulas() == ["Na4 Cl4", "Na1 Cl1"]
