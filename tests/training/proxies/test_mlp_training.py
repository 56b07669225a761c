"""Training of the ensemble: which layers of a member learn from which crystals."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from gflownet_crystal.common.errors import ConfigError, DataError
from gflownet_crystal.data.prepare import prepare
from gflownet_crystal.training.proxies.hull_recipe import HullRecipe
from gflownet_crystal.training.proxies.mlp_data import TrainingData, build_training_data
from gflownet_crystal.training.proxies.mlp_losses import Losses, batch_losses
from gflownet_crystal.training.proxies.mlp_paper_recipe import PaperRecipe
from gflownet_crystal.training.proxies.mlp_recipe import MLPRecipe, pack
from gflownet_crystal.training.proxies.mlp_training import EnsembleTraining, Shuffled, TrainingSettings
from gflownet_crystal.training.proxies.recipe import Parts
from tests.data.crystals import stored_frame

SETTINGS = TrainingSettings(
    members=2, width=16, token_width=8, embedding=8, batch_size=16, composition_batch=4, prototype_dropout=0.0,
    bfloat16=False,
)  # fmt: skip
LATTICE_LAYERS = (
    "lattice_in",
    "energy_in",
    "energy_hidden",
    "energy_out",
    "energy_head",
    "shape_",
    "well_head",
)


@pytest.fixture(scope="module")
def data() -> TrainingData:
    """Of true cells alone."""
    return build_training_data(prepare(stored_frame()), n_random=2)


def gradients(data: TrainingData) -> dict[str, Tensor]:
    """Of the sum of a first batch's losses, by parameter."""
    training = EnsembleTraining(data, SETTINGS)
    losses = batch_losses(training.model, data, training.draw(), strain_scale=0.1, prototype_dropout=0.0)
    torch.stack(losses).sum().backward()
    return {
        name: value.grad.clone()
        for name, value in training.model.named_parameters()
        if value.grad is not None
    }


def test_members_learn_compositions_from_other_folds_and_true_cells_from_their_own(
    data: TrainingData,
) -> None:
    before = gradients(data)
    in_first = data.formula_key % 2 == 0
    assert bool(in_first.any()) and not bool(in_first.all())
    # other labels in fold 0 change what member 0's lattice layers and member 1's composition layers learn
    after = gradients(
        replace(data, energy=data.energy + in_first * torch.linspace(3.0, -2.0, len(data.energy)))
    )
    for (name, gradient), member in itertools.product(before.items(), (0, 1)):
        is_lattice = name.startswith(LATTICE_LAYERS)
        if is_lattice != (member == 0):
            assert torch.equal(gradient[member], after[name][member]), (name, member)
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert any(name.startswith(LATTICE_LAYERS) for name in moved)
    assert any(not name.startswith(LATTICE_LAYERS) for name in moved)


def test_cells_that_are_no_minima_teach_energies_alone(data: TrainingData) -> None:
    moved = replace(data.true, log_volume=data.true.log_volume + 0.3, shape=data.true.shape + 0.2)
    training = EnsembleTraining(data, SETTINGS)
    batch = training.draw()

    def losses(given: TrainingData) -> Losses:
        with torch.no_grad():
            return batch_losses(training.model, given, batch, strain_scale=0.1, prototype_dropout=0.0)

    substituted = replace(data, relaxed=torch.zeros_like(data.relaxed))
    none, all_of_them = losses(substituted), losses(data)
    assert float(none.volume) == float(none.shape) == float(none.strained) == 0.0
    assert min(float(all_of_them.volume), float(all_of_them.strained)) > 0.0
    assert torch.equal(none.true, all_of_them.true) and torch.equal(none.composition, all_of_them.composition)
    # of half of them the other half's cells count: moving those of the first changes nothing
    half = replace(data, relaxed=(torch.arange(len(data.relaxed)) % 2).float())
    where = (half.relaxed == 0.0)[:, None]
    other = replace(
        data.true,
        log_volume=torch.where(where[:, 0], moved.log_volume, data.true.log_volume),
        shape=torch.where(where, moved.shape, data.true.shape),
    )
    first, second = losses(half), losses(replace(half, true=other))
    assert torch.equal(first.volume, second.volume) and torch.equal(first.shape, second.shape)


def test_substituted_rows_are_learned_by_the_ensemble_and_by_no_other_recipe() -> None:
    table = prepare(stored_frame())
    table["structure_source"] = "substituted"
    table.loc[0, "structure_source"] = "sampled"
    table.loc[1, "structure_source"] = "someone"
    assert len(MLPRecipe().rows(table)) == len(table) - 1
    for recipe in (PaperRecipe(), HullRecipe()):
        assert len(recipe.rows(table)) == 1
    data = build_training_data(MLPRecipe().rows(table), n_random=2)
    assert float(data.relaxed.sum()) <= 1.0 < len(data.relaxed)


def test_rows_are_drawn_equally_often() -> None:
    rows = Shuffled(torch.arange(10, 17))
    generator = torch.Generator().manual_seed(0)
    drawn = torch.cat([rows.take(3, generator) for _ in range(7)])
    assert torch.equal(torch.bincount(drawn)[10:], torch.full((7,), 3))
    assert sorted(Shuffled(torch.arange(3)).take(9, generator).tolist()) == sorted([0, 1, 2] * 3)


def test_too_little_to_train_on_is_refused() -> None:
    with pytest.raises(DataError, match="fewer different formulas than members"):
        Shuffled(torch.empty(0, dtype=torch.int64))
    with pytest.raises(ConfigError, match="members must be at least 2"):
        TrainingSettings(members=1)


@pytest.mark.parametrize("rate", [-1.0, 0.0])
def test_learning_rates_that_are_not_above_0_are_refused(rate: float) -> None:
    with pytest.raises(ConfigError, match=r"training\.learning_rate must be above 0"):
        TrainingSettings(learning_rate=rate)


def test_a_training_that_goes_on_knows_the_cells_of_the_first(data: TrainingData) -> None:
    parts = Parts(*[prepare(stored_frame())] * 3)
    network = EnsembleTraining(data, SETTINGS).model.eval()
    alone = pack(network, data, parts, {}).tensors["shape_range"]
    wide = torch.stack([alone[0].double() - 1.0, alone[1].double() + 1.0])
    mixed = torch.stack([wide[0], alone[1].double() - 1.0])
    assert pack(network, data, parts, {}, wide).tensors["shape_range"].equal(wide.float())
    assert (
        pack(network, data, parts, {}, mixed)
        .tensors["shape_range"]
        .equal(torch.stack([wide[0].float(), alone[1]]))
    )
