"""Train a proxy's weights on labelled crystals, and write them with a card of what they are.

MP-20's val and a share of all reduced formulas are kept apart; what is trained on holds none of their formulas.
"""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from tqdm import tqdm

from gflownet_crystal.cli.build import build
from gflownet_crystal.cli.compose import resolved
from gflownet_crystal.cli.data_tables import paths_of, read_prepared
from gflownet_crystal.cli.parts import set_threads
from gflownet_crystal.cli.values import check_writable
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.proxies.recipe import Recipe
from gflownet_crystal.weights import save_weights

_SMOOTHING = 0.98


class Bar:
    """A progress bar with the running means of the losses.

    Args:
        quiet: show nothing.
    """

    def __init__(self, quiet: bool) -> None:
        self.bar = tqdm(desc="training", unit="step", disable=quiet, file=sys.stderr)
        self.means: dict[str, float] = {}

    def __call__(self, step: int, steps: int, losses: Mapping[str, float]) -> None:
        for name, value in losses.items():
            self.means[name] = _SMOOTHING * self.means.get(name, value) + (1 - _SMOOTHING) * value
        self.bar.total = steps
        self.bar.set_postfix({name: f"{value:.4f}" for name, value in self.means.items()}, refresh=False)
        self.bar.update(step - self.bar.n)


def run(config: DictConfig) -> None:
    """The verb ``train_proxy``."""
    config = resolved(config)
    paths = paths_of(config.data, "data")
    name = str(config.record.choices.get("proxy", "proxy"))
    out = Path(config.out or f"{name}.safetensors")
    if out.suffix != ".safetensors":
        raise ConfigError(f"out must end in .safetensors, not {out.name!r}")
    check_writable(out)
    set_threads(config.threads)
    recipe = build(config.training, Recipe, "training")
    tests = {path.name: read_prepared([path], config.quiet) for path in _tests(config.test)}
    table = read_prepared(paths, config.quiet)
    trained = recipe.fit(table, Bar(config.quiet))
    card: dict[str, Any] = {
        **trained.card,
        "data": [path.name for path in paths],
        "command": shlex.join(
            ["train_proxy", *(without_folders(str(word)) for word in config.record.command)]
        ),
    }
    if tests:
        card["test"] = recipe.test(trained, tests)
    save_weights(out, trained.tensors, card, half=trained.half)
    print(
        json.dumps(
            {"weights": str(out), "validation": card.get("validation"), "test": card.get("test")}, indent=2
        )
    )


def without_folders(word: str) -> str:
    """A setting with file names for paths: a card travels, the folders of one machine do not."""
    return re.sub(r"[^=\[,]*/", "", word)


def _tests(value: Any) -> list[Path]:
    return [] if value is None else paths_of(value, "test")
