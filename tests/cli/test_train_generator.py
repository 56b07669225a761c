"""The verb train_generator: weights that generators load and keep specs with, cards, resume, errors in one line."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from omegaconf import OmegaConf

import gflownet_crystal.config
from gflownet_crystal import weights
from gflownet_crystal.cli.main import main
from gflownet_crystal.common.files import load_tensors, read_json
from gflownet_crystal.common.metrics import read_metrics
from gflownet_crystal.config.build import to_settings
from gflownet_crystal.config.compose import compose_config
from gflownet_crystal.crystallography.wyckoff import wyckoff_table
from gflownet_crystal.generators.assignments.ranked import RankedAssignments
from gflownet_crystal.models.gemsdiff.settings import GemsDiffSettings
from gflownet_crystal.models.langevin.dimenet_settings import DimeNetSettings
from gflownet_crystal.models.langevin.model import NoiseLevels
from gflownet_crystal.models.sites.settings import SiteSettings
from gflownet_crystal.structures.convert import from_pymatgen
from gflownet_crystal.structures.frames import frame_to_structures
from gflownet_crystal.structures.symmetry import conventional_structures, symmetry_error
from gflownet_crystal.training.generators.assignment_task import AssignmentSettings, RankerSettings
from gflownet_crystal.training.generators.gemsdiff_task import DiffusionSettings
from gflownet_crystal.training.generators.langevin_task import LangevinTaskSettings
from gflownet_crystal.training.generators.site_task import SiteTaskSettings
from gflownet_crystal.training.settings import LoopSettings
from tests.data.crystals import conventional_structures as known_crystals
from tests.data.crystals import stored_frame

CONFIGS = Path(str(gflownet_crystal.config.__file__)).parent
LOOP = ("loop.epochs=2", "loop.checkpoint_every=2", "threads=1", "quiet=true")
GENERATORS = ("wyckoff", "gemsdiff", "gemsdiff_paper", "langevin", "langevin_paper")
CHOICES = (*GENERATORS, "assignments")
EXACT = ("wyckoff", "gemsdiff", "langevin")


def _gemsdiff() -> tuple[str, ...]:
    sizes = (
        "{atom:32,edge:32,triplet:8,radial:8,circular:4,bilinear:8,after_skip:1,atom_residuals:1,edge_head:1}"
    )
    parts = [f"generator.network.{part}" for part in ("encoder", "decoder")]
    own = [f"{part}.{size}" for part in parts for size in ("n_blocks=1", "n_radial=8", "n_orders=3")]
    return (*own, *(f"+{part}.widths={sizes}" for part in parts), "generator.network.neighbours=8",
            "generator.network.time_features=8", "generator.network.global_features=8", "loop.atoms=40")  # fmt: skip


_LANGEVIN = ("generator.network.width=16", "generator.network.output=8", "generator.network.interaction=8",
             "generator.network.n_blocks=1", "generator.network.cutoff=4.0", "generator.levels.number=3",
             "loop.atoms=12")  # fmt: skip
SMALL = {
    "wyckoff": ("generator.network.width=16", "generator.network.vectors=4", "generator.network.n_layers=1",
                "loop.atoms=150"),
    "gemsdiff": _gemsdiff(), "gemsdiff_paper": _gemsdiff(), "langevin": _LANGEVIN, "langevin_paper": _LANGEVIN,
    "assignments": ("generator.network.width=8", "generator.network.embedding=4", "generator.task.listed=20",
                    "generator.task.folds=3", "loop.atoms=100"),
}  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight known crystals three times; one of them, and so its formula, is MP-20's val."""
    frame = pd.concat([stored_frame()] * 3, ignore_index=True)
    frame["mp20_split"] = ["val" if row % 8 == 3 else "train" for row in range(len(frame))]
    path = tmp_path_factory.mktemp("data") / "known.parquet"
    frame.to_parquet(path)
    return path


def train(data: Path, folder: Path, choice: str, *words: str) -> int:
    given = [f"generator={choice}", f"data={data}", f"run.dir={folder}", *LOOP, *SMALL[choice], *words]
    return main(["train_generator", *given])


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Run folders of all choices."""
    folders = {choice: tmp_path_factory.mktemp("runs") / choice for choice in CHOICES}
    assert [train(data, folder, choice) for choice, folder in folders.items()] == [0] * len(CHOICES)
    return folders


@pytest.mark.parametrize("choice", GENERATORS)
def test_weights_are_those_of_a_generator(trained: dict[str, Path], tmp_path: Path, choice: str) -> None:
    stored_frame().to_parquet(tmp_path / "crystals.parquet")
    words = [f"specs={tmp_path / 'crystals.parquet'}", f"out={tmp_path / 'out'}", "quiet=true", "threads=1"]
    words += [
        f"generator={choice}",
        f"generator.weights={trained[choice] / 'weights.safetensors'}",
    ]
    words += ["generator.steps=3", "format=null"]
    if choice != "langevin_paper":
        words.append(f"generator.ranking={trained['assignments'] / 'weights.safetensors'}")
    assert main(["generate", *words]) == 0
    table = pd.read_parquet(tmp_path / "out" / "structures.parquet")
    structures = frame_to_structures(table)
    rows = torch.tensor(table["row"])
    asked = conventional_structures(from_pymatgen(known_crystals())).specs()[rows]
    made = structures.specs()
    assert len(table) == 8 if choice != "langevin_paper" else len(table) > 0
    if choice == "gemsdiff_paper":
        primitive = from_pymatgen([crystal.get_primitive_structure() for crystal in known_crystals()])
        assert torch.equal(structures.composition, primitive.composition[rows])
    elif choice != "langevin_paper":
        assert torch.equal(made.composition, asked.composition)
    if choice != "gemsdiff_paper":
        assert torch.equal(made.space_group, asked.space_group)
        assert float(symmetry_error(structures).max()) < 1e-6
    if choice in EXACT:
        torch.testing.assert_close(made.lengths, asked.lengths, rtol=0, atol=1e-4)
        torch.testing.assert_close(made.angles, asked.angles, rtol=0, atol=1e-4)


def test_ranked_assignments_have_the_counts_of_their_specs(trained: dict[str, Path]) -> None:
    specs = conventional_structures(from_pymatgen(known_crystals())).specs()
    ranked = RankedAssignments.load(trained["assignments"] / "weights.safetensors").best(specs, 3)
    orbits, spec = ranked.assigned.orbits, ranked.assigned.spec
    counts = torch.zeros(len(spec), 119, dtype=torch.int64)
    multiplicity = torch.from_numpy(wyckoff_table().multiplicity.astype("int64"))[orbits.position]
    counts.index_put_((orbits.candidate, orbits.atomic_number), multiplicity, accumulate=True)
    assert torch.equal(counts, specs.composition[spec])
    assert spec.unique().tolist() == list(range(len(specs)))
    # seven of the eight are learned from, three times each
    card = read_json(trained["assignments"] / "weights.json")
    assert card["table"] == {"keys": 7, "crystals": 21}


@pytest.mark.parametrize("choice", CHOICES)
def test_cards_say_what_was_trained(trained: dict[str, Path], choice: str) -> None:
    folder = trained[choice]
    card = read_json(folder / "weights.json")
    assert {"kind", "unit", "data", "command", "validation", "sha256", "settings", "samples_seen"} <= set(
        card
    )
    assert card["samples_seen"] == 2 * card["structures"] > 0
    assert card["data"] == ["known.parquet"] and str(folder.parent) not in str(card)
    assert card["command"].startswith(f"train_generator generator={choice} data=known.parquet")
    loop = card["loop" if choice == "assignments" else "settings"]
    assert (loop["epochs"], card["seed"], card["max_atoms"]) == (2, 0, 20)
    recorded = [r["validation"] for r in read_metrics(folder / "metrics.jsonl") if "validation" in r]
    assert card["validation_curve"] == recorded and len(recorded) == 2
    assert isinstance(card["curve_still_falling"], bool)
    # what is on the card is what was validated last, but for weights that are stored in half precision
    for name, value in recorded[-1].items():
        assert card["validation"][name] == pytest.approx(value, rel=2e-2 if card["half"] else 1e-9)
    # the held-out crystal is the only one with its formula
    assert card["validation"]["n"] == 3
    # four of the seven others have free coordinates
    n_free = {"wyckoff": 12, "langevin": 12}
    assert card["structures"] == n_free.get(choice, 21)


@pytest.mark.parametrize("choice", ["wyckoff", "gemsdiff", "langevin_paper", "assignments"])
def test_it_goes_on_where_it_stood(data: Path, trained: dict[str, Path], tmp_path: Path, choice: str) -> None:
    folder = tmp_path / "cut"
    assert train(data, folder, choice) == 0
    # as if it had been killed before the last checkpoint
    max((folder / "checkpoints").glob("*.safetensors")).unlink()
    config = folder / "config.yaml"
    # as an earlier version named the recipe
    config.write_text(config.read_text().replace("corrected", "mended").replace("start: null\n", ""))
    assert main(["train_generator", f"data={data}", f"run.dir={folder}", "resume=true"]) == 0
    whole, cut = (load_tensors(path / "weights.safetensors")[0] for path in (trained[choice], folder))
    assert set(whole) == set(cut) and all(torch.equal(value, cut[name]) for name, value in whole.items())
    steps = [r["step"] for r in read_metrics(folder / "metrics.jsonl") if "learning_rate" in r]
    assert steps == list(range(1, len(steps) + 1)) and len(steps) > 2
    curves = [read_json(path / "weights.json")["validation_curve"] for path in (trained[choice], folder)]
    assert curves[0] == curves[1]


@pytest.mark.parametrize("choice", ["wyckoff", "gemsdiff", "assignments"])
def test_a_training_begins_with_the_weights_of_start(
    data: Path, trained: dict[str, Path], tmp_path: Path, choice: str
) -> None:
    # other crystals than those that the weights have learned from
    fewer, start = tmp_path / "fewer.parquet", trained[choice] / "weights.safetensors"
    pd.read_parquet(data).iloc[2:].to_parquet(fewer)
    for epochs in (0, 1):
        words = (f"start={start}", f"loop.epochs={epochs}", "seed=5")
        assert train(fewer, tmp_path / str(epochs), choice, *words) == 0
    before, same, more = (
        load_tensors(path)[0] for path in (start, *(tmp_path / one / "weights.safetensors" for one in "01"))
    )
    assert set(before) == set(same) and all(torch.equal(value, same[name]) for name, value in before.items())
    assert not all(torch.equal(value, more[name]) for name, value in before.items())
    cards = [
        read_json(folder / "weights.json") for folder in (trained[choice], tmp_path / "0", tmp_path / "1")
    ]
    assert cards[1]["start"]["validation"] == cards[1]["validation"]
    assert cards[2]["start"]["validation"] == cards[1]["validation"]
    assert cards[2]["start"]["sha256"] == cards[0]["sha256"]
    words = (f"start={tmp_path / '1' / 'weights.safetensors'}", "loop.epochs=0")
    assert train(fewer, tmp_path / "2", choice, *words) == 0
    assert read_json(tmp_path / "2" / "weights.json")["start"]["start"] == cards[2]["start"]


PRESETS: dict[str, dict[str, Any]] = {
    "wyckoff": {"network": SiteSettings(), "task": SiteTaskSettings()},
    "gemsdiff": {"network": GemsDiffSettings.fast(), "task": DiffusionSettings()},
    "gemsdiff_paper": {"network": GemsDiffSettings.paper(), "task": DiffusionSettings()},
    "langevin": {
        "network": DimeNetSettings(), "levels": NoiseLevels(), "task": LangevinTaskSettings()},
    "langevin_paper": {
        "network": DimeNetSettings.paper(), "levels": NoiseLevels(), "task": LangevinTaskSettings("paper", 1.0)},
    "assignments": {"network": RankerSettings(), "task": AssignmentSettings()},
}  # fmt: skip


@pytest.mark.parametrize("choice", CHOICES)
def test_configs_are_the_presets_and_leave_nothing_out(choice: str) -> None:
    config = compose_config("train_generator", [f"generator={choice}"])
    for part, preset in PRESETS[choice].items():
        section = config.generator[part]
        assert to_settings(type(preset), section, part) == preset
        assert set(map(str, section)) == {field.name for field in fields(preset)}
    assert set(map(str, config.loop)) == {field.name for field in fields(LoopSettings)}
    to_settings(LoopSettings, config.loop, "loop")


def test_every_choice_is_tried() -> None:
    assert {path.stem for path in (CONFIGS / "trained_generator").iterdir()} == set(CHOICES)


@pytest.mark.parametrize("choice", GENERATORS)
def test_a_generator_without_weights_says_how_to_train_them(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, choice: str
) -> None:
    monkeypatch.setattr(weights, "FOLDER", tmp_path)
    words = [f"generator={choice}", f"specs={data}", f"out={tmp_path / 'out'}", "threads=1"]
    assert main(["generate", *words]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and f"train_generator generator={choice} " in err
    assert not (tmp_path / "out").exists()
    section = OmegaConf.load(CONFIGS / "generator" / f"{choice}.yaml")
    assert section.weights == choice


@pytest.mark.parametrize(
    ("choice", "words", "said"),
    [
        ("wyckoff", ["generator=dice"], "gemsdiff_paper"),
        ("wyckoff", ["generator.network.widht=3"], "generator.network.width"),
        ("wyckoff", ["+generator.network.widht=3"], "widht"),
        ("wyckoff", ["+generator.noise=3"], "generator.task"),
        ("wyckoff", ["generator.name=dice"], "langevin"),
        ("wyckoff", ["generator.network.width=0"], "generator.network.width"),
        ("wyckoff", ["generator.task.nearest=1"], "generator.task.nearest"),
        ("wyckoff", ["generator.half=maybe"], "generator.half"),
        ("wyckoff", ["loop.epochs=0"], "loop.epochs"),
        (
            "wyckoff",
            ["start=wyckoff"],
            "start=wyckoff has generator.network.width=96, not 16: give generator.netw",
        ),
        ("wyckoff", ["start=nowhere.safetensors"], "no weights 'nowhere.safetensors'"),
        ("wyckoff", ["start=mlp"], "'wyckoff_sampler' is needed"),
        ("gemsdiff", ["start=gemsdiff"], "start=gemsdiff has generator.network."),
        ("langevin", ["start=langevin_paper"], "langevin_paper has generator."),
        ("assignments", ["start=assignments"], "start=assignments has generator.network.width=64, not 8"),
        ("wyckoff", ["+loop.momentum=0.9"], "momentum"),
        ("wyckoff", ["max_atoms=0"], "max_atoms"),
        ("wyckoff", ["holdout=1.5"], "holdout"),
        ("wyckoff", ["device=abacus"], "abacus"),
        ("wyckoff", ["out=weights.pt"], ".safetensors"),
        ("wyckoff", ["data=nowhere.parquet"], "nowhere.parquet"),
        (
            "gemsdiff",
            ["generator.network.recipe=cake"],
            "generator.network.recipe must be corrected or paper",
        ),
        ("gemsdiff", ["generator.network.steps=1"], "steps"),
        ("gemsdiff", ["generator.task.position_weight=-1"], "generator.task.position_weight"),
        ("langevin", ["generator.task.mode=both"], "spec or paper"),
        ("langevin", ["generator.levels.last=7.0"], "levels"),
        ("langevin", ["generator.network.n_blocks=0"], "generator.network.n_blocks"),
        ("assignments", ["generator.network.width=0"], "generator.network.width"),
        ("assignments", ["generator.task.folds=1"], "generator.task.folds"),
        ("assignments", ["generator.half=false"], "generator.half"),
    ],
)
def test_errors_are_one_line(
    data: Path, tmp_path: Path, capsys: Any, choice: str, words: list[str], said: str
) -> None:
    assert train(data, tmp_path / "run", choice, *words) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and said in err
