"""Refinements that end right after a stage, and what their files hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gflownet_crystal.common.files import load_tensors
from gflownet_crystal.common.tables import read_parquet
from gflownet_crystal.config.refine_engines import VerbEngines
from gflownet_crystal.weights import save_weights
from gflownet_crystal.workflows.refining import models as refining_models
from gflownet_crystal.workflows.refining import refining


class Killed(BaseException):
    """A process that ends at once."""


def kill_after_a_stage(monkeypatch: pytest.MonkeyPatch, ended: set[tuple[str, tuple[Path, ...]]]) -> None:
    """Let the process end right after the next stage, once for each."""

    def ending(work: Any) -> Any:
        def and_end(*given: Any, **named: Any) -> Any:
            done = work(*given, **named)
            stage = (work.__name__, tuple(value for value in given if isinstance(value, Path)))
            if stage not in ended:
                ended.add(stage)
                raise Killed
            return done

        return and_end

    for name in ("write_specs", "write_parquet", "write_json"):
        monkeypatch.setattr(refining, name, ending(getattr(refining, name)))
    monkeypatch.setattr("gflownet_crystal.training.proxies.recipe.save_weights", ending(save_weights))
    monkeypatch.setattr(refining_models, "write_parquet", ending(refining_models.write_parquet))
    for name in ("place", "relax", "train_generator", "train_sampler"):
        monkeypatch.setattr(VerbEngines, name, ending(getattr(VerbEngines, name)))


def contents(path: Path) -> Any:
    """The contents of a file that do not depend on folder, command or time."""
    if path.suffix == ".parquet":
        return read_parquet(path).to_json()
    if path.suffix == ".safetensors":
        return {
            name: tensor.tolist() for name, tensor in load_tensors(path)[0].items() if tensor.numel() < 1e5
        }
    return json.loads(path.read_text())
