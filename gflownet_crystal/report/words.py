"""A run's configuration in words, and its numbers in short."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gflownet_crystal.common.run_schema import FORMULA, HULL_COLUMN
from gflownet_crystal.crystallography.space_groups import N_SPACE_GROUPS
from gflownet_crystal.proxies.hull import FAR_BELOW, NEAR_HULL
from gflownet_crystal.proxies.term import GOALS
from gflownet_crystal.report.card_values import Card
from gflownet_crystal.report.population import Population
from gflownet_crystal.report.run_files import RunFiles

Pairs = list[tuple[str, str]]
_SAID = ("_target_", *GOALS)


def asked(run: RunFiles) -> Pairs:
    """Settings of the run: heading and text of each that the configuration has."""
    config = run.config
    rows = [("Space", _space(_section(config, "env"))), ("Proxy", _proxy(config, run))]
    rows += [
        ("Reward", _reward(_section(config, "reward"))),
        ("Objective", _settings(_section(config, "objective"))),
        ("Prior", _prior(config)),
    ]
    rows += [
        ("Policy", _settings(_section(_section(config, "policy"), "forward"))),
        ("Training", _training(run)),
    ]
    hardware = run.summary.hardware
    if hardware:
        versions = _section(hardware, "versions")
        machine = (
            f"{hardware.get('gpu') or hardware.get('architecture')}, {hardware.get('threads')} CPU thread(s)"
        )
        packages = ", ".join(f"{name} {text}" for name, text in versions.items() if text)
        rows.append(("Machine", f"{machine}; {packages}"))
    command = _section(config, "record").get("command")
    if isinstance(command, Sequence) and not isinstance(command, str):
        rows.append(("Command", f"train_gfn {' '.join(map(str, command))}"))
    return [(heading, text) for heading, text in rows if text]


def _section(config: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = config.get(key)
    return value if isinstance(value, Mapping) else {}


def _listed(section: Mapping[str, Any], key: str) -> Sequence[Any]:
    """The list under a key; empty where there is none."""
    value = section.get(key)
    return value if isinstance(value, Sequence) and not isinstance(value, str) else ()


def _name(section: Mapping[str, Any]) -> str:
    return str(section.get("_target_", "")).rpartition(".")[2]


def _settings(section: Mapping[str, Any]) -> str:
    """The class of a section and its plain values."""
    values = [
        f"{k} = {v}"
        for k, v in section.items()
        if k != "_target_" and not isinstance(v, Mapping) and v is not None
    ]
    return _name(section) + (f": {', '.join(values)}" if values else "")


def _range(value: Any) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 2:
        return f"{value[0]} to {value[1]}"
    return str(value)


def _table(table: Any) -> str:
    if not isinstance(table, Mapping):
        return f"“{table}”"
    if table.get("base") is None:
        return "“own”"
    own = [str(symbol) for symbol in table if symbol != "base"]
    return f"“{table['base']}”" + (f" with other states of {' '.join(own)}" if own else "")


def _space(env: Mapping[str, Any]) -> str:
    elements = _listed(env, "elements")
    if not elements:
        return _settings(env)
    parts = [
        f"Crystals of {_range(env.get('n_elements'))} of {len(elements)} elements ({' '.join(map(str, elements))})"
    ]
    parts.append(f"{_range(env.get('n_atoms'))} atoms in the conventional cell")
    groups = _listed(env, "space_groups")
    parts.append(f"{len(groups)} space groups" if groups else "all space groups")
    table = env.get("oxidation_table")
    if table is not None:
        parts.append(f"charges balanced by the oxidation table {_table(table)}")
    for key, words in (("required_elements", "each with"), ("excluded_elements", "without")):
        if given := env.get(key):
            listed = given if isinstance(given, Sequence) and not isinstance(given, str) else [given]
            parts.append(f"{words} {' '.join(map(str, listed))}")
    return ", ".join(parts) + "."


def _proxy(config: Mapping[str, Any], run: RunFiles) -> str:
    section = _section(config, "proxy")
    if not run.summary.properties:
        return f"{_settings(section)}; predicts {run.property_label}"
    parts = [f"{name} by {_settings(_section(section, name))}" for name in section if name != "_target_"]
    return f"{'; '.join(parts)}; the main one predicts {run.property_label}"


def _reward(reward: Mapping[str, Any]) -> str:
    """The reward in words; of several objectives the settings of each that are not empty."""
    parts = [
        f"{name} ({_settings(part).removeprefix(': ')})"
        for name, part in reward.items()
        if isinstance(part, Mapping)
        and name != "novelty"
        and any(part.get(goal) is not None for goal in _SAID)
    ]
    return "; ".join([_settings(reward), *parts])


def _prior(config: Mapping[str, Any]) -> str:
    prior = _section(config, "prior")
    if not prior:
        return ""
    start = config.get("start")
    starting = (
        ""
        if start is None
        else ", which the training starts from"
        if start == "prior"
        else f"; starts from {start}"
    )
    return f"{prior.get('source')} with weight {prior.get('weight')}{starting}"


def _training(run: RunFiles) -> str:
    summary, trainer = run.summary, _section(run.config, "trainer")
    done, wanted = len(run.metrics), trainer.get("iterations")
    done = done if summary.iterations is None else summary.iterations
    text = f"{done} of {wanted} iterations of {trainer.get('batch_size')} trajectories"
    if summary.training_seconds is not None:
        text += f", {summary.training_seconds:.0f} s"
    return text + f"; seed {run.config.get('seed')}"


def headline(
    run: RunFiles, cards: Sequence[Card], samples: Population | None, energies: Mapping[str, Any]
) -> list[tuple[str, str, str]]:
    """The numbers at the top of the page: value, name, and value to compare it with."""
    tiles: list[tuple[str, str, str]] = []
    if samples is not None:
        tiles += _sample_tiles(run, samples)
    values = {k: v[np.isfinite(v)] for k, v in energies.items()}
    if len(values.get("samples", ())):
        others = [
            f"{name} {np.median(values[kind]):.2f}"
            for kind, name in (
                ("untrained", "untrained"),
                ("prior", "prior alone"),
                ("reference", "reference"),
            )
            if len(values.get(kind, ()))
        ]
        tiles.append(
            (f"{np.median(values['samples']):.2f}", f"median {run.property_label}", "; ".join(others))
        )
    if cards:
        best = [card.energy for card in cards if card.energy is not None]
        tiles.append(
            (f"{len(cards)}", "candidates with atoms", f"lowest prediction {min(best):.2f}" if best else "")
        )
        tiles += _hull_tiles(cards, run.judge)
        marks = [card.evidence.mark for card in cards if card.evidence.mark]
        if marks:
            tiles.append((f"{marks.count('good')} of {len(marks)}", "hold by all their evidence", ""))
    return tiles


def _sample_tiles(run: RunFiles, samples: Population) -> list[tuple[str, str, str]]:
    env = _section(run.config, "env")
    frame = samples.frame
    elements, groups = _listed(env, "elements"), _listed(env, "space_groups") or range(N_SPACE_GROUPS)
    n_elements = int((samples.composition > 0).any(axis=0).sum())
    of_elements = f"of {len(elements)} allowed" if elements else ""
    return [
        (f"{len(frame):,}", "samples", f"{frame[FORMULA].nunique():,} different formulas"),
        (f"{frame['space_group'].nunique()}", "space groups", f"of {len(groups)} allowed"),
        (f"{n_elements}", "elements", of_elements),
    ]


def _hull_tiles(cards: Sequence[Card], judge: str) -> list[tuple[str, str, str]]:
    tiles = []
    predicted = [card for card in cards if card.e_above_hull is not None]
    if predicted:
        near = _near(predicted, HULL_COLUMN)
        below = sum(card.e_above_hull < FAR_BELOW for card in predicted if card.e_above_hull is not None)
        note = f"{below} further below" if below else ""
        tiles.append(
            (f"{near} of {len(predicted)}", f"predicted within {NEAR_HULL} eV/atom of the hull", note)
        )
    judged = [card for card in cards if card.status is not None]
    rested = [c for c in judged if c.judged_above_hull is not None and c.status == "converged"]
    if judged:
        near = _near(rested, "judged_above_hull")
        text = f"judged within {NEAR_HULL} eV/atom of the hull by {judge or 'a potential'}"
        tiles.append((f"{near} of {len(judged)}", text, f"{len(rested)} converged"))
    return tiles


def _near(cards: Sequence[Card], energy: str) -> int:
    """Number near the hull; not those far below it, nor those whose atoms are impossible."""
    return sum(card.evidence.marks[energy] == "good" for card in cards)
