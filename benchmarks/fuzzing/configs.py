"""Damaged configurations: YAML files of users, and the stored configuration of a run."""

from __future__ import annotations

import random
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from benchmarks.fuzzing.cases import INPUTS, OUT, Case
from benchmarks.fuzzing.folders import KEPT, READING
from benchmarks.fuzzing.material import (
    CRYSTAL_RUN,
    DENOISER_RUN,
    ENERGY_RUN,
    GENERATOR_RUN,
    GRID_RUN,
    SPACE,
)
from benchmarks.fuzzing.mutations import TOKENS, damage_bytes, damage_text, damage_value
from gflownet_crystal.config.groups import PACKAGE_CONFIG

TARGETS = (
    "os.system", "builtins.eval", "subprocess.Popen", "gflownet_crystal.cli.main.main", "nowhere.Nothing", "x", ".", "",
    "gflownet_crystal.envs.hypergrid.Hypergrid", "gflownet_crystal.proxies.mlp.MLPProxy", "pathlib.Path", "a..b",
)  # fmt: skip
"""Classes and other things that a configuration has no business to name."""

_LEAN = [word for word in CRYSTAL_RUN if word not in SPACE]
_GRID = [word for word in GRID_RUN if not word.startswith(("env", "proxy", "policy"))]
USERS: Mapping[str, tuple[str, ...]] = {
    "env/hypergrid": (*_GRID, "proxy=grid_corners", "env=mine"),
    "env/box": (*_GRID, "proxy=box_corners", "env=mine"),
    "env/crystal": (*_LEAN, "env=mine", "env.space_groups=[225]", "env.elements=[Na,Cl]", "env.n_atoms=[2,8]"),
    "proxy/mlp": (*_LEAN, *SPACE, "proxy=mine"),
    "proxy/grid_corners": (*_GRID, "env=hypergrid", "env.length=4", "proxy=mine"),
    "proxy/e_above_hull": (*_LEAN, *SPACE, "proxy=mine"),
    "reward/boltzmann": (*GRID_RUN, "reward=mine"), "reward/target": (*GRID_RUN, "reward=mine"),
    "policy/mlp": (*_GRID, "env=hypergrid", "env.length=4", "proxy=grid_corners", "policy=mine"),
    "objective/log_variance": (*GRID_RUN, "objective=mine"),
    "objective/trajectory_balance": (*GRID_RUN, "objective=mine"),
    "objective/subtrajectory_balance": (*GRID_RUN, "objective=mine"),
    "objective/policy_gradient": (*GRID_RUN, "objective=mine", "trainer.exploration=0"),
    "trainer/default": (*GRID_RUN, "trainer=mine"), "logger/none": (*GRID_RUN, "logger=mine"),
    "experiment/hypergrid": (*_GRID, "experiment=mine"),
    "generator/quick": ("generate", "specs=specs.parquet", "n=1", "generator=mine", "quiet=true", "threads=1"),
    "generator/placement": ("generate", "specs=specs.parquet", "n=1", "generator=mine", "generator.tries=20",
                            "quiet=true", "threads=1"),
    "model/alignn": (*(word for word in ENERGY_RUN if not word.startswith("model=")), "model=mine"),
    "denoiser/egnn": (*(word for word in DENOISER_RUN if not word.startswith("model=")), "model=mine"),
    "trained_generator/wyckoff": (*(w for w in GENERATOR_RUN if not w.startswith("generator=")), "generator=mine"),
}  # fmt: skip
"""Commands that use a config of the user's, made from one of the package's."""

_PATHS = ("data=", "specs=")


def make(rng: random.Random, valid: Path, here: Path) -> Case:
    """A damaged configuration, and a verb that reads it."""
    return _of_user(rng, valid, here) if rng.random() < 0.6 else _of_run(rng, valid, here)


def _of_user(rng: random.Random, valid: Path, here: Path) -> Case:
    name = rng.choice(list(USERS))
    words = [w if not w.startswith(_PATHS) else w.replace("=", f"={valid}/") for w in USERS[name]]
    group, _, _ = name.partition("/")
    path = here / INPUTS / group / "mine.yaml"
    path.parent.mkdir()
    path.write_bytes(damaged_yaml((PACKAGE_CONFIG / f"{name}.yaml").read_text(encoding="utf-8"), rng))
    verb, *settings = words
    key = "out" if verb == "generate" else "run.dir"
    return Case((verb, f"--config-dir={INPUTS}", *settings, f"{key}={OUT}"))


def _of_run(rng: random.Random, valid: Path, here: Path) -> Case:
    run = here / INPUTS / "run"
    grid = rng.random() < 0.3
    shutil.copytree(valid / ("run_grid" if grid else "run_crystal"), run)
    path = run / "config.yaml"
    path.write_bytes(damaged_yaml(path.read_text(encoding="utf-8"), rng))
    verb = rng.choices(("sample", "export", "report", "evaluate", "resume"), (4, 3, 2, 1, 2))[0]
    if verb == "resume":
        words = (
            *(GRID_RUN if grid else CRYSTAL_RUN)[:1],
            f"run.dir={INPUTS}/run",
            "resume=true",
            "quiet=true",
        )
        return Case(words, outputs=(OUT, f"{INPUTS}/run"))
    return Case(READING[verb], outputs=(OUT, KEPT))


def damaged_yaml(text: str, rng: random.Random) -> bytes:
    """YAML damaged as bytes, as text, or in one of its values; names of classes replaced too."""
    way = rng.choices(("value", "text", "bytes", "class", "nest"), (10, 5, 2, 2, 1))[0]
    if way == "bytes":
        return damage_bytes(text.encode(), rng)
    if way == "text":
        return damage_text(text, rng)
    if way == "nest":
        return _nested(rng)
    values = yaml.safe_load(text) or {}
    if way == "class":
        _set_class(values, rng)
    else:
        values = damage_value(values, rng)
    return yaml.safe_dump(values, allow_unicode=True, sort_keys=False).encode("utf-8", "surrogatepass")


def _set_class(values: Any, rng: random.Random) -> None:
    holders = [values, *(inner for inner in values.values() if isinstance(inner, dict))]
    rng.choice(holders)["_target_"] = rng.choice(TARGETS)


def _nested(rng: random.Random) -> bytes:
    """YAML that is deep, that multiplies itself, or that refers to itself or to the surroundings."""
    lines = [f"a{row}: &a{row} [{', '.join([f'*a{row - 1}'] * 9) if row else 'x'}]" for row in range(9)]
    texts = ("[" * 5000, "a: &a [*a]", "\n".join(lines), "a: ${a}", "a: ${b}\nb: ${a}", "a: ${oc.env:HOME}",
             "- 1\n- 2", "a: !!python/object/apply:os.system [ls]", "? [a, b]\n: 1", rng.choice(TOKENS))  # fmt: skip
    return rng.choice(texts).encode()
