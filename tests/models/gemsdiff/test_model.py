"""The model: what it does not depend on, its losses, its weights, and sampling without a word to the host."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from gflownet_crystal.common.errors import ConfigError, WeightsError
from gflownet_crystal.models.gemsdiff.graph import AtomTable
from gflownet_crystal.models.gemsdiff.lattice_diffusion import exp_cell, log_cell
from gflownet_crystal.models.gemsdiff.model import KIND, Draws, GemsDiffModel
from gflownet_crystal.models.gemsdiff.network import Answer
from gflownet_crystal.models.gemsdiff.sampling import free_crystals, levels
from gflownet_crystal.models.gemsdiff.settings import GemsDiffSettings
from gflownet_crystal.models.gemsdiff.torus_diffusion import shortest_path
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.weights import save_weights
from tests.models.host_guard import HostGuard
from tests.models.small_gemsdiff import crystals, small_model, small_settings

RECIPES = ("corrected", "paper")


def ask(model: GemsDiffModel, given: StructureBatch) -> Answer:
    table = AtomTable.of_structures(given, model.settings.neighbours)
    step = torch.full((len(given),), 40)
    volume = model.reference_volume(given.atomic_numbers, given.structure_index, len(given))
    with torch.no_grad():
        return model(table, given.cell, given.fractional, (step, step), volume)


def moved(given: StructureBatch, **changes: Tensor) -> StructureBatch:
    return StructureBatch(**{**vars(given), **changes})


@pytest.mark.parametrize("recipe", RECIPES)
def test_rotations_turn_the_action_on_the_cell_at_most(recipe: str) -> None:
    model, given = small_model(recipe), crystals()
    generator = torch.Generator().manual_seed(1)
    turn = torch.linalg.qr(torch.randn(6, 3, 3, generator=generator).double()).Q
    shift = torch.rand(6, 3, generator=generator).double()[given.structure_index]
    first = ask(model, given)
    second = ask(model, moved(given, cell=given.cell @ turn, fractional=given.fractional + shift))
    torch.testing.assert_close(second.displacement, first.displacement, atol=1e-4, rtol=1e-3)
    # the noisy cell is what is acted on; a cube stands still
    expected = first.action
    if recipe == "corrected":
        expected = turn.float().mT @ expected @ turn.float()
    torch.testing.assert_close(second.action, expected, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("recipe", RECIPES)
def test_axes_may_be_named_otherwise(recipe: str) -> None:
    model, given = small_model(recipe), crystals()
    order, symmetric = [2, 0, 1], exp_cell(log_cell(given.cell))
    first = ask(model, moved(given, cell=symmetric))
    turned = symmetric[:, order][:, :, order]
    second = ask(model, moved(given, cell=turned, fractional=given.fractional[:, order]))
    torch.testing.assert_close(second.displacement, first.displacement[:, order], atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(second.action, first.action[:, order][:, :, order], atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("recipe", RECIPES)
def test_structures_do_not_see_their_batch(recipe: str) -> None:
    model, given = small_model(recipe), crystals()
    whole, part = ask(model, given), ask(model, given[torch.tensor([4, 2])])
    torch.testing.assert_close(part.action, whole.action[[4, 2]], atol=1e-5, rtol=1e-4)
    atoms = torch.cat([(given.structure_index == row).nonzero()[:, 0] for row in (4, 2)])
    torch.testing.assert_close(part.displacement, whole.displacement[atoms], atol=1e-5, rtol=1e-4)


def draws(given: StructureBatch, position_step: int, lattice_step: int) -> Draws:
    generator = torch.Generator().manual_seed(2)
    n = len(given)
    return Draws(
        torch.full((n,), position_step),
        torch.full((n,), lattice_step),
        torch.randn(given.fractional.shape, generator=generator).double(),
        torch.randn((n, 6), generator=generator).double(),
    )


def test_losses_vanish_for_a_network_that_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    """A paper network that says the shortest way and the true cell."""
    model, given = small_model("paper"), crystals()
    seen: dict[str, Tensor] = {}

    def knowing(*arguments: object) -> Answer:
        seen["fractional"] = arguments[2]  # type: ignore[assignment]
        return Answer(shortest_path(seen["fractional"], given.fractional), given.cell)

    monkeypatch.setattr(model, "forward", knowing)
    losses = model.losses(given, draws(given, 60, 60))
    assert float(losses["position"]) < 1e-12 and float(losses["lattice"]) < 1e-5
    assert not torch.allclose(seen["fractional"], given.fractional)


def test_paper_lattice_loss_does_not_see_rotations() -> None:
    model, given = small_model("paper"), crystals()
    turn = torch.linalg.qr(torch.randn(6, 3, 3, generator=torch.Generator().manual_seed(4)).double()).Q
    first = model.losses(given, draws(given, 30, 30))
    second = model.losses(moved(given, cell=given.cell @ turn), draws(given, 30, 30))
    torch.testing.assert_close(first["lattice"], second["lattice"], atol=1e-4, rtol=1e-3)


def test_held_lattices_have_no_loss() -> None:
    model, given = small_model(), crystals()
    with torch.no_grad():
        assert float(model.losses(given, draws(given, 60, 0))["lattice"]) == 0.0
        assert float(model.losses(given, draws(given, 60, 10))["lattice"]) > 0.0


def test_lattices_are_centred_on_the_training_set() -> None:
    model = small_model()
    coordinates = model.lattice_coordinates(crystals())
    torch.testing.assert_close(coordinates.mean(0), torch.zeros(6).double(), atol=1e-9, rtol=0)
    # so few volumes are fitted all but exactly
    torch.testing.assert_close(coordinates[:, :5].std(0, correction=0), torch.ones(5).double())
    assert coordinates[:, 5].std() < 1.0


class FixedNoise:
    """The same numbers at every step."""

    def __init__(self, given: StructureBatch) -> None:
        drawn = draws(given, 1, 1)
        self.of_positions, self.of_lattices = drawn.position_noise, drawn.lattice_noise

    def positions(self, step: int) -> Tensor:
        return self.of_positions

    def lattices(self, step: int) -> Tensor:
        return self.of_lattices


@pytest.mark.parametrize("recipe", RECIPES)
def test_sampling_never_asks_the_host(recipe: str) -> None:
    model, given = small_model(recipe), crystals()
    table = AtomTable.of_structures(given, model.settings.neighbours)
    noise = FixedNoise(given)
    with HostGuard():
        cell, fractional = free_crystals(model, table, given.fractional, noise, 3)
    assert cell.isfinite().all() and (fractional >= 0.0).all() and (fractional < 1.0).all()


def test_guard_does_guard() -> None:
    with HostGuard(), pytest.raises(AssertionError, match="waits"):
        float(torch.ones(3).sum())


def test_levels_go_down_to_zero() -> None:
    assert levels(5, None) == [5, 4, 3, 2, 1, 0]
    assert levels(100, 4) == [100, 75, 50, 25, 0]
    with pytest.raises(ConfigError, match="steps"):
        levels(5, 6)


def test_weights_come_back(tmp_path: Path) -> None:
    model = small_model()
    card = {"kind": KIND, "network": {"settings": plain(model.settings)}}
    save_weights(tmp_path / "w.safetensors", dict(model.state_dict()), card)
    again = GemsDiffModel.from_weights(tmp_path / "w.safetensors")
    torch.testing.assert_close(ask(again, crystals()).action, ask(model, crystals()).action)
    wrong = {**card, "network": {"settings": {**card["network"]["settings"], "global_features": 12}}}
    save_weights(tmp_path / "x.safetensors", dict(model.state_dict()), wrong)
    with pytest.raises(WeightsError, match="fit"):
        GemsDiffModel.from_weights(tmp_path / "x.safetensors")
    # the old name of the recipe
    earlier = {**card, "network": {"settings": {**card["network"]["settings"], "recipe": "mended"}}}
    save_weights(tmp_path / "y.safetensors", dict(model.state_dict()), earlier)
    assert GemsDiffModel.from_weights(tmp_path / "y.safetensors").settings == model.settings


def plain(settings: object) -> dict[str, object]:
    return {
        name: plain(value) if hasattr(value, "__dataclass_fields__") else value
        for name, value in vars(settings).items()
    }


@pytest.mark.parametrize(
    "wrong",
    [
        {"recipe": "other"},
        {"recipe": "paper"},
        {"decoder_cell": "other"},
        {"steps": 1},
        {"held": 1.0},
        {"time_features": 7},
        {"position_last": 1e-9},
    ],
)
def test_settings_are_checked(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        GemsDiffSettings.fast(**wrong)


def test_presets_differ_in_their_recipe() -> None:
    assert GemsDiffSettings.paper().recipe == "paper" and GemsDiffSettings.fast().is_corrected
    assert not small_settings("paper").encoder_network.displacement
