"""Damaged files of crystals, specs and weights, given to the readers and to the verbs that call them."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from benchmarks.fuzzing.cases import INPUTS, Case
from benchmarks.fuzzing.material import QUICK
from benchmarks.fuzzing.mutations import (
    TOKENS,
    damage_bytes,
    damage_frame,
    damage_json,
    damage_text,
    damage_value,
    write_table,
)
from gflownet_crystal.data.prepare import load_prepared
from gflownet_crystal.evaluation.structure_sets import read_set
from gflownet_crystal.relaxation.inputs import read_items
from gflownet_crystal.structures.spec_io import frame_to_specs, read_specs
from gflownet_crystal.training.energies.labelled import read_labelled

CIFS = tuple(f"cif/{name}.cif" for name in ("NaCl", "CsCl", "ZnS", "TiO2", "ZnO", "Al2O3", "CaTiO3", "ZrO2"))
TEXTS = ("POSCAR", "NaCl.vasp", "pymatgen.json", "matbench.json", "mp20.csv", "set.extxyz", "specs.csv")
TABLES = ("crystals.parquet", "compositions.parquet", "prepared.parquet", "specs.parquet", "specs.csv", "mp20.csv",
          "hull.parquet")  # fmt: skip
WEIGHTS = ("energy.safetensors", "wyckoff.safetensors")

_SPEC_FILES = {"specs.csv", "specs.parquet", "prepared.parquet"}
_NUMBERS = (float("nan"), float("inf"), -1.0, 0.0, 1e308, 1e8, 119.0, 180.0, 200.0, 0.5, 2.0**62)


def make(rng: random.Random, valid: Path, here: Path) -> Case:
    """A damaged file and its reader."""
    kinds = {"cif": 8, "text": 6, "table": 6, "tensors": 2, "weights": 2, "folder": 1}
    kind = rng.choices(list(kinds), list(kinds.values()))[0]
    if kind == "weights":
        return _weights(rng, valid, here)
    if kind == "folder":
        return _folder(rng, valid, here)
    names = {"cif": CIFS, "text": TEXTS, "table": TABLES, "tensors": ("set.pt",)}[kind]
    name = rng.choice(names)
    path = here / INPUTS / Path(name).name
    if kind == "tensors" and rng.random() < 0.7:
        torch.save(_damaged_tensors(torch.load(valid / name, weights_only=True), rng), path)
    elif kind == "table" and rng.random() < 0.8:
        _write_table(valid / name, path, rng)
    else:
        path.write_bytes(damaged(valid / name, rng))
    if rng.random() < 0.03:
        path = path.rename(
            path.with_suffix(rng.choice((".CIF", ".json", ".csv", ".parquet", ".xyz", ".txt", "")))
        )
    return _read(path, rng) if rng.random() < 0.85 else _command(path, rng)


def damaged(path: Path, rng: random.Random) -> bytes:
    """The contents of a valid file, damaged as bytes, as text or as JSON."""
    data = path.read_bytes()
    if path.suffix in (".parquet", ".pt", ".safetensors") or rng.random() < 0.2:
        return damage_bytes(data, rng)
    if path.suffix == ".json" and rng.random() < 0.6:
        return damage_json(data.decode(), rng)
    return damage_text(data.decode(), rng)


def _write_table(source: Path, path: Path, rng: random.Random) -> None:
    frame = pd.read_parquet(source) if source.suffix == ".parquet" else pd.read_csv(source)
    for _ in range(rng.choice((1, 1, 2))):
        if len(frame) and len(frame.columns):
            frame = damage_frame(frame, rng)
    write_table(path, frame)


def _damaged_tensors(stored: dict[str, Any], rng: random.Random) -> Any:
    if rng.random() < 0.1:
        return rng.choice((list(stored.values()), stored["lengths"], {}, [], None, 1, {"frac_coords": 1}))
    name = rng.choice(list(stored))
    tensor = stored[name]
    flat = tensor.flatten().to(torch.float64)
    flat[rng.randrange(len(flat))] = rng.choice(_NUMBERS)
    ways: tuple[Callable[[], Any], ...] = (
        lambda: flat.reshape(tensor.shape),
        lambda: tensor[: rng.randrange(len(tensor))],
        lambda: tensor.flatten()[:-1],
        lambda: tensor.to(rng.choice((torch.bool, torch.int8, torch.float16, torch.complex64, torch.uint8))),
        lambda: tensor[None],
        lambda: tensor.to_sparse(),
        lambda: torch.empty(0),
        lambda: rng.choice((None, "x", 1, [1, 2], {}, np.float64(1).item())),
    )
    stored[name] = rng.choices(ways, (8, 2, 2, 2, 2, 1, 1, 2))[0]()
    if rng.random() < 0.1:
        del stored[rng.choice(list(stored))]
    return stored


def _read(path: Path, rng: random.Random) -> Case:
    readers: dict[str, Callable[[], Any]] = {
        "read_set": lambda: read_set(path).structures,
        "read_items": lambda: [item.structure for item in read_items(path) if item.structure is not None],
        "load_prepared": lambda: load_prepared([path], atoms=True),
        "read_labelled": lambda: read_labelled([path]).structures,
        "read_specs": lambda: frame_to_specs(read_specs(path)),
    }
    fitting = {"read_specs", "load_prepared"} if path.name in _SPEC_FILES else set(readers) - {"read_specs"}
    name = rng.choice(sorted(fitting) if rng.random() < 0.95 else sorted(readers))
    # close atoms are judged where generated structures are read, and fail where structures are to be relaxed
    close = name in ("read_set", "read_items")
    return Case((name, f"{INPUTS}/{path.name}"), read=readers[name], close_atoms=close)


def _command(path: Path, rng: random.Random) -> Case:
    file = f"{INPUTS}/{path.name}"
    commands: tuple[tuple[str, ...], ...] = (
        ("prepare_data", f"source={file}", "out=out/prepared.parquet", "quiet=true"),
        ("prepare_data", f"source={file}", "hull=out/hull.parquet", "quiet=true"),
        ("generate", f"specs={file}", "out=out", "n=2", "threads=1", *QUICK),
        ("evaluate", f"structures={file}", "metrics=[validity]", "cache=null", "network=null", "out=out"),
        ("evaluate_proxy", "proxy=mlp", f"data={file}", "threads=1"),
    )
    words = rng.choice(commands)
    return Case(words, close_atoms=words[0] == "evaluate")


def _folder(rng: random.Random, valid: Path, here: Path) -> Case:
    """Several files in one folder, some of them damaged."""
    folder = here / INPUTS / "folder"
    folder.mkdir()
    for name in rng.sample((*CIFS, *TEXTS), rng.randrange(1, 4)):
        data = damaged(valid / name, rng) if rng.random() < 0.5 else (valid / name).read_bytes()
        (folder / Path(name).name).write_bytes(data)
    if rng.random() < 0.2:
        (folder / rng.choice(("x.cif", "x.parquet", "x.csv", "x.json"))).mkdir()
    return _read(folder, rng) if rng.random() < 0.7 else _command(folder, rng)


def _weights(rng: random.Random, valid: Path, here: Path) -> Case:
    """Damaged weights or their card; the digest on the card often fits, so that later checks are reached."""
    name = rng.choice(WEIGHTS)
    path, card_path = here / INPUTS / name, (here / INPUTS / name).with_suffix(".json")
    tensors, card = (valid / name).read_bytes(), (valid / card_path.name).read_text(encoding="utf-8")
    way = rng.choices(("card", "value", "bytes", "header"), (3, 5, 3, 2))[0]
    if way in ("bytes", "header"):
        tensors = damage_bytes(tensors, rng) if way == "bytes" else _damaged_header(tensors, rng)
    path.write_bytes(tensors)
    stored = json.loads(card)
    if way == "value":
        stored = damage_value(stored, rng)
    if isinstance(stored, dict) and rng.random() < 0.8:
        stored["sha256"] = sha256(tensors).hexdigest()
    card_path.write_bytes(damage_text(card, rng) if way == "card" else json.dumps(stored).encode())
    file = f"{INPUTS}/{name}"
    generate = ("generate", f"specs={valid}/specs.parquet", "n=1", "out=out", "threads=1", "quiet=true")
    if name == "wyckoff.safetensors":
        return Case((*generate, "generator=wyckoff", "generator.steps=2", f"generator.weights={file}"))
    return Case((*generate, *QUICK, f"judge={file}"))


def _damaged_header(data: bytes, rng: random.Random) -> bytes:
    """Tensors under other names, of other shapes or types."""
    (size,) = struct.unpack("<Q", data[:8])
    header = damage_value(json.loads(data[8 : 8 + size]), rng)
    text = json.dumps(header).encode() if rng.random() < 0.7 else rng.choice(TOKENS).encode()
    return struct.pack("<Q", len(text)) + text + data[8 + size :]
