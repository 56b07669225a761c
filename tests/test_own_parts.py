"""Parts of a stranger's own, made of as few files as CONTRIBUTING.md says, in a folder outside the package."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pymatgen.core import Composition, Structure

from gflownet_crystal.common.files import load_tensors, read_json
from gflownet_crystal.structures.distances import shortest_distance_ratio
from gflownet_crystal.structures.frames import frame_to_structures
from tests.cli.commands import run_command
from tests.data.crystals import stored_frame

PROPERTY = {
    "mean_number.py": """
import torch

from gflownet_crystal.proxies import Proxy


class MeanNumber(Proxy):
    property_name = "mean_atomic_number"
    unit = "e"

    def predict(self, batch):
        counts = batch.composition.double()
        return counts @ torch.arange(119, dtype=torch.float64, device=batch.device) / counts.sum(1)
""",
    "conf/proxy/mean_number.yaml": "_target_: mean_number.MeanNumber\n",
}

GENERATOR = {
    "room_training.py": """
from dataclasses import dataclass

import torch
from torch import nn

from gflownet_crystal.structures.distances import shortest_distance_ratio
from gflownet_crystal.training.generators.trained import TrainedGenerator, part_settings
from gflownet_crystal.training.networks import Task


@dataclass(frozen=True)
class RoomSettings:
    start: float = 0.5


class Room(nn.Module):
    def __init__(self, start):
        super().__init__()
        self.room = nn.Parameter(torch.tensor(start))


class RoomTask(Task):
    def __init__(self, model, splits):
        self.model = model
        self.train, self.validation = (
            shortest_distance_ratio(part.structures).float() for part in (splits.train, splits.validation)
        )
        self.sizes = torch.ones(len(self.train), dtype=torch.int64)

    def losses(self, rows, generator):
        return {"room": (self.model.room - self.train[rows]).square().mean()}

    def validate(self):
        return {"room": float((self.model.room - self.validation).square().mean().detach())}


class TrainedRoom(TrainedGenerator):
    kind = "room"
    unit = "square of distance over summed covalent radii"

    def build(self, section, seed):
        settings = part_settings(RoomSettings, section, "network")
        return settings, Room(settings.start)

    def task(self, splits):
        self._task = RoomTask(self.model, splits)
        return self._task

    def figures(self):
        return self._task.validate()

    @staticmethod
    def error(figures):
        return figures["room"]
""",
    "room_sites.py": """
from gflownet_crystal.generators.base import Generator
from gflownet_crystal.generators.quick_placement import QuickPlacement
from gflownet_crystal.weights import load_weights


class RoomSites(Generator):
    def __init__(self, weights):
        tensors, _ = load_weights(weights, "room")
        self.placement = QuickPlacement(target_ratio=float(tensors["room"]))

    def generate(self, specs, seed=0):
        return self.placement.generate(specs, seed)
""",
    "conf/trained_generator/room.yaml": """
defaults:
  - /generator_loop@_global_.loop: default
  - _self_
_target_: room_training.TrainedRoom
name: room
half: false
network:
  start: 0.5
task: {}
""",
    "conf/generator/room.yaml": "_target_: room_sites.RoomSites\nweights: ???\n",
}

SPECS = """space_group,formula,a,b,c,alpha,beta,gamma
225,Mg4 O4,4.212,4.212,4.212,90,90,90
136,Ti2 O4,4.594,4.594,2.959,90,90,90
"""


def write(folder: Path, files: dict[str, str]) -> None:
    """Write files by their names."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def succeed(folder: Path, *words: str) -> str:
    """Standard output of a command that ends well."""
    ended = run_command(folder, *words)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_a_proxy_of_a_new_property_takes_two_files(tmp_path: Path) -> None:
    assert len(PROPERTY) == 2
    write(tmp_path, PROPERTY)
    sizes = ("trainer.batch_size=16", "samples.n=20", "export.k=2", "policy.forward.n_hidden=8")
    target = ("reward=target", "reward.target=12", "reward.width=4", "trainer.iterations=2", "prior=null")
    own = ("--config-dir", "conf", "proxy=mean_number")
    succeed(tmp_path, "train_gfn", *own, *target, *sizes, "run.dir=run", "threads=1", "quiet=true")
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert (summary["property"], summary["unit"]) == ("mean_atomic_number", "e")
    said = succeed(tmp_path, "sample", "run=run", "n=15", "out=samples.csv", "trust=true")
    assert "mean_atomic_number (e)" in said
    frame = pd.read_csv(tmp_path / "samples.csv")
    compositions = [Composition(formula.replace(" ", "")) for formula in frame["formula"]]
    expected = [one.total_electrons / one.num_atoms for one in compositions]
    assert len(frame) == 15 and frame["energy"].tolist() == pytest.approx(expected)
    refused = run_command(tmp_path, "sample", "run=run", "n=15", "out=more.csv")
    assert refused.returncode == 2 and "trust=true" in refused.stderr


def test_a_learned_generator_takes_at_most_six_files(tmp_path: Path) -> None:
    assert len(GENERATOR) <= 6
    write(tmp_path, {**GENERATOR, "specs.csv": SPECS})
    frame = pd.concat([stored_frame()] * 3, ignore_index=True)
    frame["mp20_split"] = ["val" if row % 8 == 3 else "train" for row in range(len(frame))]
    frame.to_parquet(tmp_path / "known.parquet")
    loop = ("loop.epochs=200", "loop.learning_rate=0.02", "loop.ema=0", "loop.half=false")
    own = ("--config-dir", "conf", "generator=room")
    words = ("data=known.parquet", "run.dir=room", *loop, "threads=1", "quiet=true")
    succeed(tmp_path, "train_generator", *own, *words)
    tensors, _ = load_tensors(tmp_path / "room" / "weights.safetensors")
    learned = shortest_distance_ratio(frame_to_structures(frame[frame["mp20_split"] == "train"]))
    assert float(tensors["room"]) == pytest.approx(float(learned.mean()), abs=0.02)
    card = read_json(tmp_path / "room" / "weights.json")
    assert (card["kind"], card["generator"]) == ("room", "room")
    refused = run_command(tmp_path, "train_generator", *own, *words, "resume=true")
    assert refused.returncode == 2 and "trust=true" in refused.stderr
    succeed(tmp_path, "generate", *own, "generator.weights=room/weights.safetensors", "specs=specs.csv",
            "out=made", "threads=1", "quiet=true")  # fmt: skip
    made = [Structure.from_file(path) for path in sorted((tmp_path / "made" / "cif").glob("*.cif"))]
    assert [one.composition.reduced_formula for one in made] == ["MgO", "TiO2"]
    assert np.allclose([one.lattice.a for one in made], [4.212, 4.594], atol=1e-4)
