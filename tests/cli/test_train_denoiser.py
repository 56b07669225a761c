"""The verb train_denoiser: weights with a card, both tasks, resume, errors in one line; presets as configs."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch

from gflownet_crystal.cli.main import main
from gflownet_crystal.common.arguments import settings_from
from gflownet_crystal.common.files import load_tensors, read_json
from gflownet_crystal.common.metrics import read_metrics
from gflownet_crystal.config.build import plain
from gflownet_crystal.config.compose import compose_config
from gflownet_crystal.models.denoiser import Denoiser
from gflownet_crystal.models.egnn.layers import EGNNSettings
from gflownet_crystal.models.gemsnet.settings import GemsNetSettings
from gflownet_crystal.models.registry import network_entry
from gflownet_crystal.training.energies.denoising_task import Puzzles, reconstruction_figures
from gflownet_crystal.training.energies.labelled import read_labelled
from gflownet_crystal.weights import load_weights, save_weights
from gflownet_crystal.workflows.data import standard_cells
from tests.data.crystals import stored_frame

LOOP = ("loop.epochs=2", "loop.atoms=20", "threads=1", "quiet=true")
GEMSNET = ("model.settings.n_blocks=1", "model.settings.n_radial=8", "model.settings.widths.circular=4",
           "model.settings.widths.bilinear=8", *LOOP)  # fmt: skip
EGNN = ("model=egnn", "model.settings.features=16", "model.settings.hidden=16", "model.settings.n_layers=2",
        "model.settings.n_message_layers=1", *LOOP)  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    frame = pd.concat([stored_frame()] * 3, ignore_index=True)
    frame["mp20_split"] = ["val" if row % 8 == 3 else "train" for row in range(len(frame))]
    path = tmp_path_factory.mktemp("data") / "known.parquet"
    frame.to_parquet(path)
    return path


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard cells are kept in a folder of the test."""
    monkeypatch.setattr(standard_cells, "user_cache", lambda: tmp_path / "cache")


@pytest.mark.parametrize(
    ("task", "words"), [("denoise", GEMSNET), ("lattice", GEMSNET), ("denoise", EGNN), ("lattice", EGNN)]
)
def test_weights_and_card_say_what_was_trained(
    tmp_path: Path, data: Path, task: str, words: tuple[str, ...]
) -> None:
    run = [f"run.dir={tmp_path / 'run'}", f"test={data}", f"task={task}"]
    assert main(["train_denoiser", f"data={data}", *run, *words]) == 0
    path = tmp_path / "run" / "weights.safetensors"
    card = read_json(path.with_suffix(".json"))
    assert (card["kind"], card["task"]) == ("denoiser", task)
    assert card["samples_seen"] == 2 * card["structures"] == 2 * 21
    assert len(card["validation_curve"]) == 2 and card["test"]["known.parquet"]["n"] == 24
    assert card["network"]["settings"].get("displacement", True) == (
        task == "denoise" or "model=egnn" in words
    )
    assert str(tmp_path) not in str(card)
    labelled = read_labelled([data])
    validation = labelled.take(labelled.split == "val")
    model = Denoiser.from_weights(path)
    puzzles = Puzzles.of(validation.structures, 0.05 if task == "denoise" else 0.0)
    figures = reconstruction_figures(model, puzzles)
    from_clean = reconstruction_figures(model, Puzzles.of(validation.structures, 0.0))
    assert set(from_clean) == {"lengths", "angles"}
    if task == "denoise":
        assert card["validation"]["from_clean_positions"] == pytest.approx(from_clean, rel=2e-2)
    assert set(figures) == {"lengths", "angles"} | (
        {"pos", "pos_angstrom", "pos_centred"} if task == "denoise" else set()
    )
    for name, value in figures.items():
        # weights are stored in half precision
        assert value == pytest.approx(card["validation"][name], rel=2e-2, abs=1e-3)


def test_a_training_starts_from_earlier_weights_of_the_same_network(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train_denoiser", f"data={data}", *EGNN, "loop.epochs=1"]
    first = tmp_path / "first.safetensors"
    assert main([*words, f"out={first}", f"run.dir={tmp_path / 'first'}"]) == 0
    again = [*words, f"start={first}", "seed=1", "loop.learning_rate=1e-12", "loop.weight_decay=0.0"]
    assert main([*again, f"run.dir={tmp_path / 'second'}"]) == 0
    # at a rate of nothing it ends where it began, whatever its own seed would have given
    begun, _ = load_weights(first, "denoiser")
    ended, card = load_weights(tmp_path / "second" / "weights.safetensors", "denoiser")
    assert all(torch.allclose(value, ended[name], rtol=0, atol=1e-6) for name, value in begun.items())
    assert card["start"]["sha256"] == read_json(first.with_suffix(".json"))["sha256"]
    assert main([*again, "model.settings.features=8", f"run.dir={tmp_path / 'third'}"]) == 2
    assert "holds a network egnn of other settings" in capsys.readouterr().err
    tensors, _ = load_tensors(first)
    name = next(name for name in tensors if name.startswith("network."))
    save_weights(first, {key: value for key, value in tensors.items() if key != name}, card)
    assert main([*again, f"run.dir={tmp_path / 'fourth'}"]) == 2
    assert "does not fit its card" in capsys.readouterr().err


def test_a_denoiser_of_atoms_starts_one_of_lattices(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train_denoiser", f"data={data}", *GEMSNET, "loop.epochs=1", "model.passes=1"]
    first = tmp_path / "first.safetensors"
    assert main([*words, f"out={first}", f"run.dir={tmp_path / 'first'}"]) == 0
    again = [*words, f"start={first}", "loop.learning_rate=1e-12", "loop.weight_decay=0.0"]
    assert main([*again, "task=lattice", f"run.dir={tmp_path / 'second'}"]) == 0
    ended = tmp_path / "second" / "weights.safetensors"
    # the heads that move atoms have no part in the lattice of a single pass
    crystals = read_labelled([data]).structures
    cells = [Denoiser.from_weights(path).denoised(crystals).cell for path in (first, ended)]
    torch.testing.assert_close(*cells, rtol=1e-4, atol=1e-4)
    assert set(load_tensors(ended)[0]) < set(load_tensors(first)[0])
    assert main([*words, f"start={ended}", f"run.dir={tmp_path / 'third'}"]) == 2
    assert "holds a network gemsnet of other settings" in capsys.readouterr().err


def test_standard_cells_are_learned_whatever_the_file_stores(tmp_path: Path) -> None:
    tables = {"large": stored_frame(primitive=False), "small": stored_frame()}
    found = {}
    for name, frame in tables.items():
        frame.assign(mp20_split=["train"] * 7 + ["val"]).to_parquet(tmp_path / f"{name}.parquet")
        for cells in ("standard", "stored"):
            run = tmp_path / f"{name}_{cells}"
            words = [
                f"data={tmp_path / name}.parquet",
                f"cells={cells}",
                "max_atoms=4",
                f"run.dir={run}",
                *EGNN,
            ]
            assert main(["train_denoiser", *words]) == 0
            card = read_json(run / "weights.json")
            assert card["cells"] == cells
            found[name, cells] = card["structures"]
    # of NaCl, CsCl, ZnS and ZnO only CsCl and ZnO have conventional cells of four atoms at most
    assert found == {
        ("large", "standard"): 4,
        ("large", "stored"): 2,
        ("small", "standard"): 4,
        ("small", "stored"): 4,
    }


def test_it_goes_on_where_it_stood(tmp_path: Path, data: Path) -> None:
    assert main(["train_denoiser", f"data={data}", f"run.dir={tmp_path / 'whole'}", *EGNN]) == 0
    first = [
        "train_denoiser",
        f"data={data}",
        f"run.dir={tmp_path / 'cut'}",
        "loop.checkpoint_every=2",
        *EGNN,
    ]
    assert main(first) == 0
    newest = max((tmp_path / "cut" / "checkpoints").glob("*.safetensors"))
    newest.unlink()
    assert main([*first, "resume=true"]) == 0
    tensors = [
        load_weights(tmp_path / name / "weights.safetensors", "denoiser")[0] for name in ("whole", "cut")
    ]
    assert all(torch.equal(value, tensors[1][name]) for name, value in tensors[0].items())
    steps = [r["step"] for r in read_metrics(tmp_path / "cut" / "metrics.jsonl") if "lattice" in r]
    assert steps == list(range(1, len(steps) + 1))


def test_a_run_folder_of_before_goes_on_with_stored_cells(tmp_path: Path, data: Path) -> None:
    run = tmp_path / "run"
    words = ["train_denoiser", f"data={data}", f"run.dir={run}", "loop.checkpoint_every=2", *EGNN]
    assert main([*words, "cells=stored"]) == 0
    whole, _ = load_weights(run / "weights.safetensors", "denoiser")
    max((run / "checkpoints").glob("*.safetensors")).unlink()
    config = (run / "config.yaml").read_text()
    assert config.count("cells: stored\n") == 1
    (run / "config.yaml").write_text(config.replace("cells: stored\n", ""))
    assert main([*words, "resume=true"]) == 0
    again, card = load_weights(run / "weights.safetensors", "denoiser")
    assert card["cells"] == "stored"
    assert all(torch.equal(value, again[name]) for name, value in whole.items())


@pytest.mark.parametrize(
    ("choice", "preset", "passing"),
    [("gemsnet", GemsNetSettings.denoising(), (True, 3)),
     ("gemsnet_paper", GemsNetSettings.paper(energy=False), (False, 1)),
     ("egnn", EGNNSettings.denoising(), (True, 3)), ("egnn_paper", EGNNSettings.paper(), (False, 1))],
)  # fmt: skip
def test_configs_are_the_presets(choice: str, preset: object, passing: tuple[bool, int]) -> None:
    config = compose_config("train_denoiser", [f"model={choice}"])
    entry = network_entry(config.model.name)
    assert settings_from(entry.settings, plain(config.model.settings)) == preset
    assert (config.model.volumes, config.model.passes) == passing


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["model.settings.widht=3"], "width"),
        (["model=alignn"], "gemsnet_paper"),
        (["task=generate"], "denoise or lattice"),
        (["denoising.noise=2.0"], "denoising.noise"),
        (["denoising.validated=many"], "denoising.validated"),
        (["model.volumes=some"], "model.volumes"),
        (["model.passes=0"], "model.passes"),
        (["model.settings.lattice=false"], "lattice heads"),
        (["out=weights.pt"], ".safetensors"),
    ],
)
def test_errors_are_one_line(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    given = [f"data={data}", f"run.dir={tmp_path / 'run'}", *GEMSNET, *words]
    assert main(["train_denoiser", *given]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and said in err
