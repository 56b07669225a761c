"""The reward for discovery: its closed form, what it takes off known compounds, and which proxies it goes with."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import Tensor

from gflownet_crystal.common.errors import CheckpointError, ConfigError, DataError, ProxyError
from gflownet_crystal.config.build import build
from gflownet_crystal.config.compose import compose_config, resolved
from gflownet_crystal.config.parts import build_reward
from gflownet_crystal.proxies import Proxy, Reward
from gflownet_crystal.proxies.base import Prediction
from gflownet_crystal.proxies.discovery import Discovery
from gflownet_crystal.proxies.history import FoundOften, History
from gflownet_crystal.proxies.novelty import Novelty
from gflownet_crystal.proxies.reference_hull import ReferenceHull
from gflownet_crystal.proxies.reward import RewardFunction
from gflownet_crystal.structures.formulas import text_to_composition
from gflownet_crystal.structures.spec import CrystalSpec

NAMES = ("Na4 Cl4", "Na2 Cl2", "Na1 Ca3 S2 F17", "Ca4 F8")
GROUPS = (225, 98, 1, 225)
FORMULA_KNOWN, PAIR_KNOWN = [1.0, 1.0, 0.0, 1.0], [1.0, 0.0, 0.0, 1.0]


def specs(names: tuple[str, ...] = NAMES, groups: tuple[int, ...] = GROUPS) -> CrystalSpec:
    n = len(names)
    cell = torch.full((n, 3), 5.0).double(), torch.full((n, 3), 90.0).double()
    return CrystalSpec(torch.tensor(groups), text_to_composition(names), *cell)


class Energies(Proxy):
    """Given values and standard deviations; an infinite one is a penalty of the proxy's."""

    property_name = "formation_energy_per_atom"
    unit = "eV/atom"

    def __init__(self, values: Tensor, std: float = 0.0, penalised: Tensor | None = None) -> None:
        self.values, self.std, self.penalised = values.double(), std, penalised

    def predict(self, batch: CrystalSpec) -> tuple[Tensor, Tensor]:
        return self.values[: len(batch)], torch.full((len(batch),), self.std)

    def __call__(self, batch: CrystalSpec) -> Prediction:
        made = super().__call__(batch)
        penalised = made.penalised if self.penalised is None else self.penalised
        return Prediction(made.value, made.std, made.valid, penalised)


class AboveHull(Energies):
    property_name = "e_above_hull"


def test_the_log_reward_is_its_formula() -> None:
    hull = ReferenceHull.from_weights().hull_energy(specs().composition)
    above = torch.tensor([0.3, -0.4, 0.1, 0.02]).double()
    for floor, deepest in ((0.0, -0.1), (-0.2, -0.35), (0.0, None)):
        novelty = Novelty(formula_cost=3.0, pair_cost=1.5)
        function = Discovery(beta=7.0, caution=2.0, floor=floor, deepest=deepest, novelty=novelty)
        found = Reward(Energies(hull + above, std=0.05), function)(specs()).log_reward
        expected = [
            -7.0 * max(e, floor, -9.0 if deepest is None else deepest - e) - 3.0 * formula - 1.5 * pair
            for e, formula, pair in zip((above + 2.0 * 0.05).tolist(), FORMULA_KNOWN, PAIR_KNOWN, strict=True)
        ]
        assert found.tolist() == pytest.approx(expected, abs=1e-6)


def test_no_hull_is_subtracted_from_energies_above_a_hull() -> None:
    above = torch.tensor([0.3, -0.4, 0.1, 0.02])
    reward = Reward(AboveHull(above), Discovery(beta=2.0, novelty=Novelty(formula_cost=0.0)))
    assert reward(specs()).log_reward.tolist() == pytest.approx([-0.6, -0.6, -0.2, -0.04], abs=1e-6)


def test_a_penalty_of_the_proxy_is_no_energy_to_subtract_a_hull_from() -> None:
    penalised = torch.tensor([True, False, False, False])
    proxy = Energies(torch.tensor([10.0, 1.0, 1.0, 1.0]), penalised=penalised)
    scored = Reward(proxy, Discovery(beta=1.0, novelty=Novelty(formula_cost=0.0)))(specs())
    assert float(scored.log_reward[0]) == pytest.approx(-10.0)
    assert scored.n_invalid == 1


def test_values_that_are_not_finite_raise_or_take_the_penalty() -> None:
    proxy = Energies(torch.tensor([-1.0, math.nan, -1.0, math.inf]))
    with pytest.raises(ProxyError, match=r"gave nan .* 2 of 4 objects, first at row 1: Na2 Cl2"):
        Reward(proxy, Discovery())(specs())
    scored = Reward(proxy, Discovery(), invalid="penalise", penalty=-40.0)(specs())
    assert scored.n_invalid == 2 and scored.log_reward[[1, 3]].tolist() == [-40.0, -40.0]


def test_specs_of_more_elements_than_a_hull_takes_are_refused() -> None:
    many = specs(("Li1 Na1 K1 Rb1 Cs1 Fe1 Co1 Ni1 O1",), (1,))
    with pytest.raises(ProxyError, match="9 elements; a hull takes 1 to 8"):
        Reward(Energies(torch.zeros(1)), Discovery())(many)


def test_each_spec_is_scored_as_if_alone() -> None:
    reward = Reward(AboveHull(torch.tensor([0.1, 0.1, 0.1, 0.1])), Discovery())
    together = reward(specs()).log_reward
    alone = torch.cat([reward(specs()[row : row + 1]).log_reward for row in range(4)])
    torch.testing.assert_close(together, alone)


def test_other_properties_are_refused_when_the_reward_is_made() -> None:
    class Gap(Energies):
        property_name, unit = "band_gap", "eV"

    with pytest.raises(ConfigError, match=r"proxy Gap predicts band_gap \(eV\) of specs; choose proxy=mlp"):
        Reward(Gap(torch.zeros(4)), Discovery())
    config = resolved(
        compose_config("train_gfn", ["env=hypergrid", "proxy=grid_corners", "reward=discovery"])
    )
    with pytest.raises(ConfigError, match="proxy GridCorners predicts"):
        build_reward(config, torch.device("cpu"))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Discovery(beta=0.0), "reward.beta is 0.0"),
        (lambda: Discovery(beta=math.nan), "reward.beta must be finite"),
        (lambda: Discovery(caution=-1.0), "reward.caution is -1.0"),
        (lambda: Discovery(deepest=0.0), "reward.deepest is 0.0"),
        (lambda: Discovery(deepest=math.nan), "reward.deepest is nan"),
        (lambda: Discovery(floor=math.inf), "reward.floor must be finite"),
        (lambda: Discovery(hull=3), "reward.hull is reference, learned or a file"),
        (lambda: Novelty(formula_cost=math.nan), "reward.novelty.formula_cost must be finite"),
        (lambda: Novelty(pair_cost=math.inf), "reward.novelty.pair_cost must be finite"),
        (lambda: Novelty(history_cost=1.0, history_scale=0.0), "prototype_scale must be positive"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(make: Callable[[], object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make()


def test_hulls_by_name_and_by_file(tmp_path: Path) -> None:
    path = tmp_path / "hull.parquet"
    ReferenceHull(text_to_composition(["Na1 Cl1"]), torch.tensor([-3.0])).write(path)
    reward = Reward(Energies(torch.full((4,), -2.5)), Discovery(beta=1.0, caution=0.0, hull=str(path)))
    assert float(reward(specs()).log_reward[0]) == pytest.approx(-0.5 - 2.5)
    # how many crystals a user's hull rests on is not known, as only the stable ones are in it
    assert set(reward.function.columns(specs())) == {"known_formula", "known_formula_and_group"}
    assert Discovery(hull=str(path)).sparse(specs()) is None
    with pytest.raises(DataError, match="no data at"):
        Discovery(hull=str(tmp_path / "none.parquet"))


def test_sparse_hulls_are_told() -> None:
    names, groups = ("Na4 Cl4", "Li1 Fe1 P1 O4", "Xe1 At1 Fr1"), (225, 62, 1)
    for hull in ("reference", "learned"):
        function = Discovery(hull=hull)
        columns = function.columns(specs(names, groups))
        assert columns["hull_entries"].dtype == torch.int64
        assert int(columns["hull_entries"][1]) > 100
        sparse = function.sparse(specs(names, groups))
        assert sparse is not None
        assert sparse.tolist() == (columns["hull_entries"] < 12).tolist()
        assert sparse.tolist()[1:] == [False, True]
        assert columns["known_formula"].tolist() == [True, True, False]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_known_compounds_come_from_a_users_table(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"known{suffix}"
    frame = pd.DataFrame({"formula": ["NaCa3S2F17"], "space_group": [1]})
    _ = frame.to_csv(path, index=False) if suffix == ".csv" else frame.to_parquet(path)
    plain, extended = Novelty(4.0, 1.0), Novelty(4.0, 1.0, known=str(path))
    difference = extended.cost(specs()) - plain.cost(specs())
    assert difference.tolist() == [0.0, 0.0, 5.0, 0.0]
    with pytest.raises(DataError, match="no data at"):
        Novelty(known=str(tmp_path / "nothing"))


def test_a_history_costs_the_logarithm_of_how_often_it_was_found_and_is_stored() -> None:
    history = History({"formulas": FoundOften.formulas(2.0, scale=4.0)})
    assert history.cost(specs()).tolist() == [0.0] * 4
    history.remember(specs(("Na1 Cl1", "Na2 Cl2", "Ca1 F2"), (225, 225, 225)))
    history.remember(specs(("Na1 Cl1",), (98,)))
    found = specs(("Na3 Cl3", "Ca1 F2", "Mg1 O1"), (1, 1, 1))
    expected = [2.0 * math.log(1.0 + 3.0 / 4.0), 2.0 * math.log(1.0 + 1.0 / 4.0), 0.0]
    assert history.cost(found).tolist() == pytest.approx(expected)
    other = History({"formulas": FoundOften.formulas(2.0, scale=4.0)})
    other.load_state_dict(history.state_dict())
    assert torch.equal(other.cost(found), history.cost(found))
    with pytest.raises(CheckpointError, match="another history"):
        other.load_state_dict({})


def test_prototypes_are_counted_whatever_their_elements() -> None:
    both = Novelty(history_cost=1.0, history_scale=1.0, prototype_cost=2.0, prototype_scale=4.0).history
    assert both is not None
    both.remember(specs(("Na4 Cl4", "Mg4 O4", "Mg1 O1", "Ca4 F8"), (225, 225, 221, 225)))
    found = specs(("Li4 F4", "Na4 Cl4", "F4 Ba8", "Na1 Cl1", "Li1 F1"), (225, 225, 225, 221, 222))
    formula = [0.0, 1.0, 0.0, 1.0, 0.0]
    prototype = [2.0, 2.0, 1.0, 1.0, 0.0]
    expected = [
        math.log1p(here) + 2.0 * math.log1p(there / 4.0)
        for here, there in zip(formula, prototype, strict=True)
    ]
    assert both.cost(found).tolist() == pytest.approx(expected)


def test_a_history_of_an_earlier_version_counts_formulas() -> None:
    history = History({"formulas": FoundOften.formulas(1.0, scale=1.0)})
    history.remember(specs(("Na1 Cl1",), (225,)))
    state = history.state_dict()
    other = History({"formulas": FoundOften.formulas(1.0, scale=1.0)})
    other.load_state_dict({"keys": state["formulas.keys"], "counts": state["formulas.counts"]})
    assert torch.equal(other.cost(specs()), history.cost(specs()))


def test_a_history_flattens_a_distribution_to_a_power() -> None:
    names = ("Na1 Cl1", "Ca1 F2", "Mg1 O1", "Li1 F1")
    share = torch.tensor([0.9, 0.09, 0.009, 0.001], dtype=torch.float64)
    history, generator = (
        History({"formulas": FoundOften.formulas(1.0, scale=1.0)}),
        torch.Generator().manual_seed(0),
    )
    found = specs(names, (1,) * 4)
    for _ in range(400):
        cost = history.cost(found)
        rows = torch.multinomial(share * torch.exp(-cost), 50, replacement=True, generator=generator)
        history.remember(found[rows])
    counts = torch.expm1(history.cost(found))
    expected = share.sqrt() / share.sqrt().sum()
    assert torch.allclose(counts / counts.sum(), expected, atol=0.03)


def test_a_history_that_is_full_keeps_the_most_frequent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gflownet_crystal.proxies.history._CAPACITY", 2)
    history = History({"formulas": FoundOften.formulas(1.0, scale=1.0)})
    names = ("Na1 Cl1", "Na1 Cl1", "Ca1 F2", "Ca1 F2", "Ca1 F2", "Mg1 O1")
    history.remember(specs(names, (1,) * 6))
    cost = history.cost(specs(("Na1 Cl1", "Ca1 F2", "Mg1 O1"), (1,) * 3))
    assert cost.tolist() == pytest.approx([math.log(3.0), math.log(4.0), 0.0])
    assert sorted(history.state_dict()["formulas.counts"].tolist()) == [2, 3]


def test_the_history_counts_in_training_alone() -> None:
    reward = Reward(
        AboveHull(torch.zeros(4)), Discovery(novelty=Novelty(history_cost=2.0, history_scale=1.0))
    )
    assert reward.history is not None
    before = reward(specs()).log_reward
    reward.history.remember(specs())
    assert torch.equal(reward(specs()).log_reward, before)
    cost = 2.0 * torch.log1p(torch.tensor([2.0, 2.0, 1.0, 1.0], dtype=torch.float64))
    assert torch.allclose(reward.in_training(specs()).log_reward, before - cost)


def test_a_reward_function_that_knows_of_values_alone_works_as_before() -> None:
    class Own(RewardFunction):
        def __init__(self, slope: float) -> None:
            self.slope = slope

        def __call__(self, value: Tensor, std: Tensor) -> Tensor:
            return self.slope * value - std

    reward = Reward(Energies(torch.tensor([1.0, 2.0, 3.0, 4.0]), std=0.5), Own(2.0))
    assert reward(specs()).log_reward.tolist() == [1.5, 3.5, 5.5, 7.5]
    assert torch.equal(reward.in_training(specs()).log_reward, reward(specs()).log_reward)
    assert (reward.history, reward.function.columns(specs()), reward.function.describe()) == (None, {}, "")


def test_the_reward_says_what_it_is() -> None:
    config = resolved(compose_config("train_gfn", ["reward=discovery", "reward.novelty.pair_cost=2"]))
    keys = {key: value for key, value in config.reward.items() if key not in ("invalid", "penalty")}
    function = build(type(config)(keys), RewardFunction, "reward")
    told = function.describe()
    for word in (
        "discovery",
        "30 max(e, 0, -0.1 - e)",
        "+ 1 std",
        "reference hull",
        "2.5 for each of",
        "2.8 log(1 + m / 50) for formulas",
        "2 more",
    ):
        assert word in told
    assert len(told.splitlines()) == 2
