"""Damaged run folders, and folders that verbs filled, given to the verbs that go on with them or read them."""

from __future__ import annotations

import random
import shutil
from collections.abc import Mapping
from pathlib import Path

from benchmarks.fuzzing.cases import INPUTS, OUT, Case
from benchmarks.fuzzing.material import (
    CRYSTAL_RUN,
    DENOISER_RUN,
    ENERGY_RUN,
    EVALUATE,
    GENERATE,
    GENERATOR_RUN,
    GRID_RUN,
    PIPELINE,
    PROXY_RUN,
    QUICK,
    RELAX,
)
from benchmarks.fuzzing.mutations import damage_bytes, damage_json, damage_text

_RUN = f"{INPUTS}/run"
_FEW = ("sampler.n=6", "sampler.untrained=4", "sampler.objects=2", "sampler.trajectories=2", "threads=1")
READING: Mapping[str, tuple[str, ...]] = {
    "sample": ("sample", f"run={_RUN}", "n=4", "out=out/samples.csv", "threads=1"),
    "export": ("export", f"run={_RUN}", "k=2", "out=out", *QUICK),
    "report": ("report", f"run={_RUN}", "compare=4", "k=2", "out=out/report.html", "threads=1"),
    "evaluate": ("evaluate", f"run={_RUN}", "out=out", *_FEW),
    "generate": ("generate", f"run={_RUN}", "n=2", "out=out", *QUICK, "threads=1"),
    "pipeline": ("pipeline", f"run={_RUN}", "k=1", "n=4", "tries=1", "energies=null", "out=out", *QUICK, "threads=1"),
}  # fmt: skip
"""Commands that read a run folder."""

KEPT = f"{_RUN}/untrained.parquet"
"""File that a report adds to the folder of its run, for the next report; all else there stays as it is."""

RESUMING: Mapping[str, tuple[tuple[str, ...], str]] = {
    "run_crystal": ((*CRYSTAL_RUN, "trainer.iterations=3"), "run.dir"),
    "run_grid": ((*GRID_RUN, "trainer.iterations=3"), "run.dir"),
    "run_proxy": ((*PROXY_RUN, "out=out/proxy.safetensors"), "run.dir"),
    "run_energy": (ENERGY_RUN, "run.dir"), "run_denoiser": (DENOISER_RUN, "run.dir"),
    "run_generator": (GENERATOR_RUN, "run.dir"), "out_generate": (GENERATE, "out"), "out_relax": (RELAX, "out"),
    "out_evaluate": (EVALUATE, "out"), "out_pipeline": (PIPELINE, "out"),
}  # fmt: skip
"""Commands that go on with a folder, and the key that names it."""

_PATHS = ("data=", "specs=", "structures=", "model=energy", "energies=energy", "run=run_crystal")
_LIKELY = (
    "config.yaml",
    "metrics.jsonl",
    "samples.parquet",
    "summary.json",
    "settings.json",
    "records.jsonl",
)


def make(rng: random.Random, valid: Path, here: Path) -> Case:
    """A damaged copy of a folder, and a verb for it."""
    if rng.random() < 0.6:
        shutil.copytree(valid / rng.choices(("run_crystal", "run_grid"), (5, 1))[0], here / _RUN)
        damage_folder(here / _RUN, rng)
        return Case(READING[rng.choices(list(READING), (3, 3, 2, 1, 1, 1))[0]], outputs=(OUT, KEPT))
    name = rng.choice(list(RESUMING))
    words, key = RESUMING[name]
    shutil.copytree(valid / name, here / _RUN)
    damage_folder(here / _RUN, rng)
    given = [_absolute(word, valid) for word in words]
    # other settings than those of the folder, which are refused at once, are asked for seldom
    if rng.random() < 0.1:
        given = [words[0], "quiet=true"]
    return Case((*given, f"{key}={_RUN}", "resume=true"), outputs=(OUT, _RUN))


def _absolute(word: str, valid: Path) -> str:
    name, equals, value = word.partition("=")
    return f"{name}{equals}{valid}/{value}" if word.startswith(_PATHS) else word


def damage_folder(folder: Path, rng: random.Random) -> None:
    """Damage one to three files of a folder: gone, cut short, changed, emptied, moved, or a folder in their place."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        if not files:
            return
        likely = [path for path in files if path.name in _LIKELY or path.parent.name == "checkpoints"]
        path = rng.choice(likely if likely and rng.random() < 0.85 else files)
        way = rng.choices(("change", "remove", "folder", "swap", "empty"), (12, 3, 1, 1, 1))[0]
        if way == "change":
            path.write_bytes(_changed(path, rng))
        elif way == "swap":
            path.write_bytes(rng.choice(files).read_bytes())
        elif way == "empty":
            path.write_bytes(b"")
        else:
            path.unlink()
            if way == "folder":
                path.mkdir()


def _changed(path: Path, rng: random.Random) -> bytes:
    data = path.read_bytes()
    if path.suffix in (".parquet", ".safetensors", ".png") or rng.random() < 0.3:
        return damage_bytes(data, rng)
    try:
        if path.suffix == ".json":
            return damage_json(data.decode(), rng)
        return damage_text(data.decode(), rng)
    except ValueError:
        return damage_bytes(data, rng)
