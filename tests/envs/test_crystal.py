"""The crystal environment as a whole: objects, encoding, restriction, measure and refusals."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from benchmarks import masks
from gflownet_crystal.common.errors import ConfigError, EmptySpaceError
from gflownet_crystal.crystallography.lattice import is_closed
from gflownet_crystal.envs.base import Context
from gflownet_crystal.envs.crystal import Crystal
from gflownet_crystal.structures.spec import CrystalSpec
from gflownet_crystal.testing import check_env

SMALL: dict[str, Any] = {"elements": ("Na", "Mg", "O", "Cl", "Fe"), "max_count": 8, "n_atoms": (1, 24)}
PAPER = ("H", "Li", "C", "N", "O", "F", "Mg", "Si", "P", "S", "Cl", "Fe")


def random_terminals(env: Crystal, n: int, seed: int = 0) -> Context:
    generator = torch.Generator().manual_seed(seed)
    context = env.empty_context(n, torch.device("cpu"))
    for stage in env.stages:
        state = terminal = stage.source(context)
        row = torch.arange(n)
        while len(row):
            here = context[row]
            state = stage.step(
                state, stage.random_action(stage.forward_support(state, here), generator), here
            )
            done = stage.finished(state)
            terminal = terminal.put(row[done], state[done])
            row, state = row[~done], state[~done]
        context = context.extended(terminal)
    return context


@pytest.mark.parametrize(
    "changes", [{}, {"coordinates": "raw"}, {"metallic": True, "lattice": {"canonical": False}}]
)
def test_the_contract_holds(changes: dict[str, Any]) -> None:
    check_env(Crystal(**SMALL, **changes), n=128)


def test_objects_obey_the_constraints_and_encode_to_the_same_states() -> None:
    env = Crystal(PAPER, oxidation_table="icsd", mixed_valence=False)
    terminal = random_terminals(env, 500)
    specs = env.objects(terminal)
    assert is_closed(specs.angles).all()
    assert (specs.n_atoms <= 50).all() and (specs.composition <= 16).all()
    again, inside = env.encode(specs)
    assert inside.all()
    assert torch.equal(again.states[1].counts, terminal.states[1].counts)
    torch.testing.assert_close(again.states[2].position, terminal.states[2].position, atol=1e-6, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["crystal_paper", "crystal_89", "crystal"])
def test_no_random_trajectory_of_a_packaged_space_ends_badly(name: str) -> None:
    env = masks.build(name)
    figures = masks.sample_all(env, 20_000)
    assert (figures["dead_ends"], figures["open_cells"]) == (0, 0)
    assert masks.count_invalid(env, figures["pairs"]) == 0


def test_encoding_refuses_what_lies_outside() -> None:
    env = Crystal(SMALL["elements"], space_groups=[225, 62], n_atoms=(1, 24), max_count=8)
    rock_salt = CrystalSpec(
        torch.tensor([225]),
        torch.zeros(1, 119, dtype=torch.int64).index_fill(1, torch.tensor([11, 17]), 4),
        torch.full((1, 3), 5.64, dtype=torch.float64),
        torch.full((1, 3), 90.0, dtype=torch.float64),
    )
    potassium = rock_salt.composition.clone()
    potassium[0, 11], potassium[0, 19] = 0, 4
    charged = rock_salt.composition.clone()
    charged[0, 17] = 8
    others = [
        CrystalSpec(torch.tensor([221]), rock_salt.composition, rock_salt.lengths, rock_salt.angles),
        CrystalSpec(rock_salt.space_group, potassium, rock_salt.lengths, rock_salt.angles),
        CrystalSpec(rock_salt.space_group, charged, rock_salt.lengths, rock_salt.angles),
        CrystalSpec(rock_salt.space_group, rock_salt.composition, 2 * rock_salt.lengths, rock_salt.angles),
        CrystalSpec(
            rock_salt.space_group,
            rock_salt.composition,
            torch.tensor([[5.0, 6, 7]]).double(),
            rock_salt.angles,
        ),
    ]
    terminal, inside = env.encode(CrystalSpec.cat([rock_salt, *others]))
    assert inside.tolist() == [True, False, False, False, False, False]
    back = env.objects(terminal)
    assert back.formulas() == ["Na4 Cl4"]
    torch.testing.assert_close(back.lengths, rock_salt.lengths)


def test_equivalent_settings_encode_equally() -> None:
    env = Crystal(("Na", "Cl"), max_count=8)
    composition = torch.zeros(2, 119, dtype=torch.int64).index_fill(1, torch.tensor([11, 17]), 4)
    lengths = torch.tensor([[5.0, 6.0, 7.0], [7.0, 5.0, 6.0]], dtype=torch.float64)
    specs = CrystalSpec(
        torch.tensor([47, 47]), composition, lengths, torch.full((2, 3), 90.0, dtype=torch.float64)
    )
    terminal, inside = env.encode(specs)
    assert inside.all()
    torch.testing.assert_close(terminal.states[2].position[0], terminal.states[2].position[1])


def layout_features(env: Crystal, index: int, terminal: Context) -> Tensor:
    """Policy inputs of a stage in the layout that all crystal environments share."""
    context = Context(terminal.n, terminal.device, terminal.states[:index])
    features, places = env.features(index, terminal.states[index], context), env.feature_places(index)
    wide = torch.zeros(terminal.n, env.layout_sizes()[index])
    return features if places is None else wide.index_copy(1, places, features)


def test_a_restricted_environment_keeps_its_layout_and_samples_within_the_restriction() -> None:
    env = Crystal(PAPER, oxidation_table="icsd", mixed_valence=False)
    narrow = env.restrict(
        space_groups=[62, 225],
        elements=["Li", "O", "F", "Mg"],
        required_elements=["Li"],
        n_elements=[2, 3],
        n_atoms=[4, 24],
    )
    assert narrow.layout_sizes() == env.layout_sizes()
    assert [stage.layout and stage.layout.sizes for stage in narrow.stages] == [
        stage.layout and stage.layout.sizes for stage in env.stages
    ]
    terminal = random_terminals(narrow, 300)
    specs = narrow.objects(terminal)
    present = specs.composition > 0
    assert set(specs.space_group.tolist()) <= {62, 225}
    assert present[:, 3].all() and set(present.nonzero()[:, 1].tolist()) <= {3, 8, 9, 12}
    assert (present.sum(1) <= 3).all() and (specs.n_atoms <= 24).all() and (specs.n_atoms >= 4).all()
    # the same object has the same features in both, or the trained policy would be fed something else
    wide, inside = env.encode(specs)
    assert inside.all()
    for index in range(3):
        torch.testing.assert_close(
            layout_features(env, index, wide), layout_features(narrow, index, terminal)
        )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"elements": ["Li", "Mg"]}, "no composition of Li, Mg is neutral.*positive"),
        ({"space_groups": [230]}, "space group 230.*smallest orbit has 16"),
        ({"n_elements": (6, 6)}, "6 elements"),
        ({"excluded_elements": SMALL["elements"]}, "excluded: no element may be used"),
        ({"space_groups": []}, r"space_groups is empty; give at least one, as \[225\] or \[Fm-3m\]"),
        (
            {"n_elements": (2, 2), "n_atoms": (2, 2), "space_groups": [14]},
            "space group 14.*fills the Wyckoff positions",
        ),
    ],
)
def test_empty_spaces_are_refused_with_the_reason(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(EmptySpaceError, match=words):
        Crystal(**{**SMALL, **changes})


def test_groups_may_be_given_by_symbol() -> None:
    by_number, by_symbol = (
        Crystal(**{**SMALL, "space_groups": groups})
        for groups in ([14, 225], ["Fm-3m", "P2_1/c", 225.0, "14"])
    )
    assert torch.equal(by_number.space_group.allowed, by_symbol.space_group.allowed)
    narrow = by_number.restrict(space_groups=["F m -3 m"])
    assert narrow.space_group.allowed.nonzero().squeeze(1).tolist() == [225]


def test_a_table_of_whole_floats_is_one_of_whole_numbers() -> None:
    tables = [{"Na": [1], "Cl": [-1]}, {"Na": [1.0], "Cl": [-1.0]}]
    masks = [
        Crystal(["Na", "Cl"], [225], max_count=8, oxidation_table=table).composition.masks.first
        for table in tables
    ]
    assert torch.equal(*masks)


def test_groups_that_nothing_fits_are_left_out_and_named() -> None:
    env = Crystal(**SMALL, space_groups=[225, 230])
    assert env.unfillable_groups == (230,)
    assert env.space_group.allowed.nonzero().flatten().tolist() == [225]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"coordinates": "polar"}, "polar.*shape, raw"),
        ({"lattice": {"colour": 1}}, "colour"),
        ({"space_groups": [0]}, "space group 0"),
        ({"space_groups": ["Fm3k"]}, "Fm3k.*near ones are.*Fm-3m"),
        ({"lattice": {"canonical": 3}}, "lattice.canonical must be bool, not 3"),
        ({"lattice": {"log_volume": [float("nan"), 1.0]}}, "lattice.log_volume .*finite"),
        ({"oxidation_table": {"Xx": [1]}}, "oxidation_table names Xx"),
        (
            {"oxidation_table": {symbol: ["1+"] for symbol in SMALL["elements"]}},
            r"state '1\+'; states are whole numbers",
        ),
        (
            {"oxidation_table": {symbol: [0.5] for symbol in SMALL["elements"]}},
            "state 0.5; states are whole numbers",
        ),
        ({"oxidation_table": dict.fromkeys(SMALL["elements"], 1)}, "give a list"),
        ({"oxidation_table": {symbol: [100] for symbol in SMALL["elements"]}}, "none is above 10"),
        ({"count_ranges": {SMALL["elements"][0]: [1, 1000]}}, "above max_count"),
        ({"count_ranges": {SMALL["elements"][0]: [1.5, 3]}}, "count_ranges"),
        ({"oxidation_table": "mine"}, "mine"),
        ({"elements": "NaCl"}, "list of symbols"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Crystal(**{**SMALL, **changes})


def test_restrictions_that_make_no_sense_are_refused() -> None:
    env = Crystal(**SMALL)
    for changes, words in [
        ({"elements": ["K"]}, "K not in"),
        ({"n_atoms": [30, 40]}, "overlap"),
        ({"space_groups": [231]}, "231"),
        ({"colour": 1}, "colour"),
        ({"elements": []}, "elements is empty"),
        ({"space_groups": []}, "space_groups is empty"),
        ({"space_groups": ["Fm3k"]}, "near ones are"),
        ({"excluded_elements": SMALL["elements"]}, "no element may be used"),
    ]:
        with pytest.raises((ConfigError, EmptySpaceError), match=words):
            env.restrict(**changes)


def test_states_of_a_restricted_environment_are_found_in_the_whole_one_and_back() -> None:
    env = Crystal(**SMALL)
    narrow = env.restrict(elements=SMALL["elements"][1:], n_elements=[2, 3])
    terminal = random_terminals(narrow, 300)
    wide, inside = env.translate(terminal, narrow)
    expected, encoded = env.encode(narrow.objects(terminal))
    assert torch.equal(inside, encoded)
    assert torch.equal(wide.states[1].counts, expected.states[1].counts)
    assert torch.equal(wide.states[0].group, expected.states[0].group)
    assert torch.equal(wide.states[2].position, terminal.states[2].position[inside])
    back, kept = narrow.translate(wide, env)
    assert bool(kept.all()) and torch.equal(back.states[1].counts, terminal.states[1].counts[inside])
    other = Crystal(**SMALL, minimum_increment=0.2)
    assert not other.lattice.same_rules(env.lattice) and not env.composition.same_rules(other.composition)


def test_specs_outside_a_restriction_are_told_by_its_words() -> None:
    env = Crystal(**SMALL)
    first, second = SMALL["elements"][:2]
    narrow = env.restrict(
        excluded_elements=[first], required_elements=[second], n_atoms=[3, 12], count_ranges={second: [2, 4]}
    )
    specs = env.objects(random_terminals(env, 2000))
    counts = dict(zip(SMALL["elements"], specs.composition[:, env.atomic_numbers].T, strict=True))
    expected = (counts[first] == 0) & (counts[second] >= 2) & (counts[second] <= 4)
    expected &= (specs.n_atoms >= 3) & (specs.n_atoms <= 12)
    assert 0 < int(expected.sum()) < 2000
    assert torch.equal(narrow.admits(specs), expected)
    group = specs.space_group[0]
    of_group = env.restrict(space_groups=[int(group)])
    assert torch.equal(of_group.admits(specs), specs.space_group == group)


def test_the_log_reference_is_the_log_volume_element_of_the_lattice_coordinates() -> None:
    env = Crystal(("Na", "Cl"), space_groups=[225], max_count=8)
    terminal = random_terminals(env, 10)
    # cubic: log volume per atom alone, over an interval of length 1.3
    torch.testing.assert_close(env.log_reference(terminal), torch.full((10,), 1.3).double().log())
