"""Making crystals again: the losses, what is learned, and the figures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pymatgen.core import Lattice
from torch import Tensor

from gflownet_crystal.common.checkpoint import TrainingStopped, newest_checkpoint
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.common.metrics import read_metrics
from gflownet_crystal.models.denoiser import Denoiser, DenoiserSettings, in_unit_cubes
from gflownet_crystal.models.gemsnet.network import GemsNet
from gflownet_crystal.structures.convert import to_pymatgen
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.training.energies.denoising_noise import noisy_cubes, way_back
from gflownet_crystal.training.energies.denoising_task import (
    DenoisingSettings,
    DenoisingTask,
    Puzzles,
    reconstruction_figures,
)
from gflownet_crystal.training.energies.labelled import LabelledStructures, Splits
from gflownet_crystal.training.engine import METRICS, Engine
from gflownet_crystal.training.networks import NetworkTraining
from gflownet_crystal.training.settings import LoopSettings
from tests.models.denoisers import GEMSNET, crystals, denoiser
from tests.models.equivalents import random_crystals


def splits_of(structures: StructureBatch) -> Splits:
    names = np.array([""] * len(structures))
    data = LabelledStructures(structures, torch.zeros(len(structures)).double(), names, names, names)
    return Splits(data, data, data)


def task_of(model: Denoiser, structures: StructureBatch, **settings: object) -> DenoisingTask:
    return DenoisingTask(model, splits_of(structures), DenoisingSettings(**settings))  # type: ignore[arg-type]


def noise(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("task", ["denoise", "lattice"])
@pytest.mark.parametrize("name", ["gemsnet", "egnn"])
def test_every_weight_learns(name: str, task: str) -> None:
    model = denoiser(name)
    if name == "gemsnet" and task == "lattice":
        model = Denoiser(GemsNet(replace(GEMSNET, displacement=False), seed=1))
    losses = task_of(model, crystals()[:4], task=task).losses(torch.arange(4), noise())
    assert set(losses) == ({"lattice", "position"} if task == "denoise" else {"lattice"})
    torch.stack(list(losses.values())).sum().backward()
    idle = [name for name, weight in model.named_parameters() if weight.grad is None or not weight.grad.any()]
    # without positions to find, nobody asks where the last layer would move the atoms
    last = "network.actions.1.position."
    assert [name for name in idle if task == "denoise" or not name.startswith(last)] == []


class Oracle(Denoiser):
    """A denoiser whose first pass moves the atoms by half of the way back to given positions."""

    def passed(self, structures: StructureBatch, passes: int) -> tuple[StructureBatch, Tensor]:
        moved = way_back(structures.fractional, self.clean) * 0.5 * passes
        return replace(structures, fractional=structures.fractional + moved), moved


def test_a_second_pass_is_asked_for_the_rest_of_the_way() -> None:
    batch = crystals()[torch.tensor([0, 3, 4])]
    model = Oracle(GemsNet(GEMSNET, seed=1), DenoiserSettings(passes=2)).double()
    model.clean = batch.fractional
    model.fit_volumes(batch)
    # displacements of 0, so that the loss is the mean way that is left
    for head in model.network.displacements:
        for weight in head.parameters():
            torch.nn.init.zeros_(weight)
    task = task_of(model, batch, centred=False, position_weight=1.0)
    losses = [task.losses(torch.arange(3), noise(seed))["position"].item() for seed in range(12)]
    ways = [float(noisy_cubes(batch, 0.05, noise(seed))[1].abs().mean()) for seed in range(12)]
    shares = np.array(losses) / np.array(ways)
    assert np.allclose(np.minimum(abs(shares - 1.0), abs(shares - 0.5)), 0.0, atol=1e-9)
    assert {round(share, 3) for share in shares} == {0.5, 1.0}


def test_a_share_of_the_structures_is_shown_without_noise() -> None:
    model = Denoiser(GemsNet(GEMSNET, seed=1)).double()
    # displacements of 0, so that the loss is the mean way: 0 for a clean crystal
    for head in model.network.displacements:
        for weight in head.parameters():
            torch.nn.init.zeros_(weight)
    for share in (0.0, 0.25):
        task = task_of(model, crystals()[:1], clean_share=share, centred=False)
        losses = [task.losses(torch.arange(1), noise(seed))["position"].item() for seed in range(80)]
        assert np.mean(np.array(losses) == 0.0) == pytest.approx(share, abs=0.1)
    with pytest.raises(ConfigError, match=r"denoising\.clean_share"):
        DenoisingSettings(clean_share=1.0)


@pytest.mark.parametrize("weight", [0.0, 1.0, 3.0])
def test_the_loss_of_lattices_weighs_lengths_against_angles(weight: float) -> None:
    batch, model = crystals()[torch.tensor([0, 3, 4])], denoiser("egnn").double()
    found = task_of(model, batch, task="lattice", length_weight=weight).losses(torch.arange(3), noise())
    made = model.actions(in_unit_cubes(batch)).cell
    true, given = (np.array([Lattice(c).parameters for c in cell.numpy()]) for cell in (batch.cell, made))
    deviation = np.maximum(true.std(0), 1e-2)
    errors = np.abs(given - true) / deviation * np.array([weight] * 3 + [1.0] * 3)
    assert found["lattice"].item() == pytest.approx(errors.mean(), rel=1e-6)


def test_losses_do_not_depend_on_where_a_crystal_stands_nor_on_its_images() -> None:
    model = denoiser("gemsnet", torch.float64)
    batch = crystals()[torch.tensor([0, 3, 4])]
    images = torch.randint(-2, 3, batch.fractional.shape, generator=noise(7)).double()
    shifts = torch.rand(len(batch), 3, generator=noise(8), dtype=torch.float64)[batch.structure_index]
    losses = [
        task_of(model, replace(batch, fractional=fractional), centred=centred).losses(
            torch.arange(3), noise()
        )
        for centred in (False, True)
        for fractional in (batch.fractional, batch.fractional + images, batch.fractional + shifts)
    ]
    for at, one in ((1, 0), (2, 0), (4, 3), (5, 3)):
        for name, value in losses[one].items():
            assert losses[at][name].item() == pytest.approx(value.item(), abs=1e-10)


def test_figures_equal_a_slow_recomputation() -> None:
    model = denoiser("egnn", torch.float64)
    puzzles = Puzzles.of(random_crystals(9, seed=11), 0.05, seed=3)
    figures = reconstruction_figures(model, puzzles)
    lengths, angles, ways, paths = [], [], [], []
    for row, structure in enumerate(to_pymatgen(puzzles.clean)):
        atoms = puzzles.clean.structure_index == row
        action = model.actions(in_unit_cubes(puzzles.shown[torch.tensor([row])]))
        made = Lattice(action.cell[0].numpy()).parameters
        errors = np.abs(np.array(made) - structure.lattice.parameters)
        lengths += errors[:3].tolist()
        angles += errors[3:].tolist()
        ends = puzzles.shown.fractional[atoms].numpy() + action.displacement.numpy()
        for end, clean, start in zip(
            ends, structure.frac_coords, puzzles.shown.fractional[atoms].numpy(), strict=True
        ):
            best = clean - start
            best -= np.round(best)
            ways.append(np.linalg.norm(end - start - best))
            paths.append(np.linalg.norm(structure.lattice.get_cartesian_coords(end - start - best)))
    assert figures["lengths"] == pytest.approx(np.mean(lengths), rel=1e-9)
    assert figures["angles"] == pytest.approx(np.mean(angles), rel=1e-9)
    assert figures["pos"] == pytest.approx(np.mean(ways), rel=1e-9)
    assert figures["pos_angstrom"] == pytest.approx(np.mean(paths), rel=1e-9)


def test_without_a_network_figures_are_those_of_their_definition() -> None:
    batch = StructureBatch.cat([random_crystals(30, seed=2)] * 20)
    task = task_of(denoiser("egnn"), batch)
    found = task.baselines(Puzzles.of(batch, 0.05))
    parameters = np.array([structure.lattice.parameters for structure in to_pymatgen(batch)])
    spread = np.abs(parameters - parameters.mean(0)).mean(0)
    assert found["mean_lattice"]["lengths"] == pytest.approx(spread[:3].mean(), rel=1e-9)
    assert found["mean_lattice"]["angles"] == pytest.approx(spread[3:].mean(), rel=1e-9)
    # mean length of a normal vector, and of its mean over n atoms
    mean_length = 0.05 * np.sqrt(8.0 / np.pi)
    sizes = batch.n_atoms.numpy()
    of_means = mean_length * np.sum(sizes / np.sqrt(sizes)) / sizes.sum()
    assert found["unmoved"]["pos"] == pytest.approx(mean_length, rel=0.05)
    assert found["perfect_but_translation"]["pos"] == pytest.approx(of_means, rel=0.05)


@pytest.mark.parametrize(("name", "epochs"), [("gemsnet", 18), ("egnn", 28)])
def test_eight_crystals_are_learned(name: str, epochs: int, tmp_path: Path) -> None:
    structures = StructureBatch.cat([crystals()] * 8)
    task = task_of(denoiser(name), structures)
    settings = LoopSettings(
        epochs=epochs, atoms=60, learning_rate=1e-2, weight_decay=0.0, half=False, ema=0.9, validate_every=99
    )
    training = NetworkTraining(task, settings)
    Engine(training, tmp_path, quiet=True).train()
    training.finish()
    # with noise that it has not seen
    puzzles = Puzzles.of(crystals(), 0.05, seed=5)
    figures, without = reconstruction_figures(task.model, puzzles), task.baselines(puzzles)
    for name in ("lengths", "angles"):
        assert figures[name] < 0.75 * without["volume_cube"][name]
        assert figures[name] < 0.6 * without["mean_lattice"][name]
    for name in ("pos", "pos_centred"):
        assert figures[name] < 0.8 * without["unmoved"][name]


def test_a_resumed_training_is_the_undisturbed_one_bit_for_bit(tmp_path: Path) -> None:
    def engine(folder: str) -> Engine[NetworkTraining]:
        settings = LoopSettings(epochs=2, atoms=24, checkpoint_every=99)
        training = NetworkTraining(task_of(denoiser("egnn"), crystals()), settings, seed=3)
        return Engine(training, tmp_path / folder, settings.checkpoint_every, quiet=True)

    whole, cut, resumed = engine("whole"), engine("cut"), engine("cut")
    whole.train()
    with pytest.raises(TrainingStopped):
        cut.train(lambda: cut.training.done == 3)
    checkpoint, _ = newest_checkpoint(tmp_path / "cut")
    assert checkpoint is not None
    resumed.restore(checkpoint)
    resumed.train()
    assert resumed.training.done == whole.training.done > 4
    mine, theirs = (one.training.optimizer.average.weights for one in (whole, resumed))
    assert all(torch.equal(value, theirs[name]) for name, value in mine.items())
    mine, theirs = (read_metrics(tmp_path / name / METRICS)[-1] for name in ("whole", "cut"))
    assert mine["validation"] == theirs["validation"]


def test_what_is_validated_on_keeps_its_noise_when_there_is_less_of_it() -> None:
    puzzles = Puzzles.of(random_crystals(9, seed=11), 0.05)
    part = puzzles.first(3)
    assert len(part.clean) == 3
    rows = [0, 4, 8]
    assert torch.equal(part.shown.fractional, puzzles.shown[torch.tensor(rows)].fractional)
    torch.testing.assert_close(part.way, way_back(part.shown.fractional, part.clean.fractional))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [({"task": "generate"}, "denoise or lattice"), ({"noise": 0.6}, "noise"), ({"validated": 0}, "validated"),
     ({"position_weight": -1.0}, "position_weight"),
     ({"length_weight": -1.0}, "length_weight")],
)  # fmt: skip
def test_settings_are_checked(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        DenoisingSettings(**wrong)  # type: ignore[arg-type]
