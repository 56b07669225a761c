"""Random trajectories by the million: no dead ends, no open cells, nothing invalid by an independent slow check.

    OMP_NUM_THREADS=1 python -m benchmarks.masks [env=crystal_paper|crystal_89] [n=10000] [pyxtal=0]

Draws ``n`` trajectories with uniformly random allowed actions and judges every distinct (group, composition) in plain
Python (:mod:`tests.envs.slow_rules`), and those of the first ``pyxtal`` trajectories by pyxtal too; where pyxtal
differs, both answers are printed and the Wyckoff table decides. Prints one JSON object.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import numpy as np
import torch
from omegaconf import OmegaConf
from torch import Tensor

from benchmarks.options import read_options, run
from gflownet_crystal.crystallography.charge import ChargeModel
from gflownet_crystal.crystallography.lattice import is_closed
from gflownet_crystal.envs.base import Context
from gflownet_crystal.envs.crystal import Crystal
from tests.envs.slow_rules import SlowRules, fits_positions

_DEFAULTS = {"env": "crystal_paper", "n": "10000", "pyxtal": "0"}


def build(name: str, **changes: Any) -> Crystal:
    """The environment of a packaged config, with changed settings."""
    path = files("gflownet_crystal.config").joinpath(f"env/{name}.yaml")
    settings: dict[str, Any] = OmegaConf.to_container(OmegaConf.create(path.read_text(encoding="utf-8")))  # type: ignore[assignment]
    settings.pop("_target_")
    return Crystal(**{**settings, **changes})


def random_terminals(env: Crystal, n: int, generator: torch.Generator) -> tuple[Context, int]:
    """Terminal states of ``n`` random trajectories, and how many ran into a dead end and are left out."""
    context = env.empty_context(n, torch.device("cpu"))
    stuck = torch.zeros(n, dtype=torch.bool)
    for stage in env.stages:
        state = terminal = stage.source(context)
        row = (~stuck).nonzero().squeeze(1)
        state = state[row]
        while len(row):
            support = stage.forward_support(state, context[row])
            alive = (
                support.any(dim=1) if isinstance(support, Tensor) else torch.ones_like(row, dtype=torch.bool)
            )
            stuck[row[~alive]] = True
            row, state, support = row[alive], state[alive], support[alive]
            state = stage.step(state, stage.random_action(support, generator), context[row])
            done = stage.finished(state)
            terminal = terminal.put(row[done], state[done])
            row, state = row[~done], state[~done]
        context = context.extended(terminal)
    return context[(~stuck).nonzero().squeeze(1)], int(stuck.sum())


def sample_all(env: Crystal, n: int, batch: int = 2048, seed: int = 0) -> dict[str, Any]:
    """Walk ``n`` random trajectories and check each lattice; collect the distinct (group, composition) pairs."""
    generator = torch.Generator().manual_seed(seed)
    pairs, dead_ends, open_cells, seconds = [], 0, 0, time.process_time()
    for start in range(0, n, batch):
        terminal, stuck = random_terminals(env, min(batch, n - start), generator)
        dead_ends += stuck
        specs = env.objects(terminal)
        closed = is_closed(specs.angles) & specs.volume.isfinite() & (specs.lengths > 0).all(dim=1)
        open_cells += int((~closed).sum())
        counts = specs.composition[:, env.atomic_numbers].to(torch.int16)
        pairs.append(torch.cat([specs.space_group[:, None].to(torch.int16), counts], dim=1))
    seconds = time.process_time() - seconds
    figures = {"dead_ends": dead_ends, "open_cells": open_cells, "cpu_seconds": round(seconds, 1)}
    return {"pairs": torch.cat(pairs).numpy(), **figures}


def count_invalid(env: Crystal, pairs: np.ndarray) -> int:
    """Number of (group, counts) rows that the slow check refuses."""
    metals = ChargeModel(env.rules.elements, metallic=True, max_count=1)
    names = [
        symbol for symbol, metal in zip(env.rules.elements, metals.is_metal.tolist(), strict=True) if metal
    ]
    slow = SlowRules(env.rules, names)
    allowed = set(env.space_group.allowed.nonzero().squeeze(1).tolist())
    return sum(row[0] not in allowed or not slow.valid(row[0], row[1:]) for row in map(list, pairs.tolist()))


def pyxtal_disagreements(pairs: np.ndarray) -> Iterator[tuple[int, list[int], bool, bool]]:
    """(group, counts, pyxtal's answer, the table's answer) where the two differ."""
    from pyxtal.symmetry import Group

    groups: dict[int, Any] = {}
    for group, *counts in pairs.tolist():
        present = [count for count in counts if count]
        symmetry = groups.setdefault(group, Group(group))
        theirs, ours = bool(symmetry.check_compatible(present)[0]), fits_positions(group, present)
        if theirs != ours:
            yield group, present, theirs, ours


def report_walks(name: str, n: int, n_pyxtal: int) -> None:
    """Sample, check and print one JSON object."""
    begin = time.process_time()
    env = build(name)
    setup = time.process_time() - begin
    result = sample_all(env, n)
    pairs = result.pop("pairs")
    summary = {"env": name, "trajectories": n, "setup_seconds": round(setup, 2), **result}
    summary["distinct"] = len(np.unique(pairs, axis=0))
    summary["space_groups"] = len(np.unique(pairs[:, 0]))
    summary["invalid"] = count_invalid(env, pairs)
    differing = list(pyxtal_disagreements(pairs[:n_pyxtal]))
    summary |= {"pyxtal_checked": n_pyxtal, "pyxtal_differs": len(differing), "differing": differing[:20]}
    print(json.dumps(summary))


def main(arguments: list[str]) -> None:
    """Read the arguments and report."""
    options = read_options(__doc__, _DEFAULTS, arguments)
    torch.set_num_threads(1)
    report_walks(options["env"], int(options["n"]), int(options["pyxtal"]))


if __name__ == "__main__":
    run(main)
