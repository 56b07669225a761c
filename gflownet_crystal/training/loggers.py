"""Loggers of metrics in addition to the run folder: none, or Weights & Biases (offline by default)."""

from __future__ import annotations

import importlib.util
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gflownet_crystal.common.errors import ConfigError

WANDB_MODES = ("offline", "online")


class Logger(ABC):
    """Receives the metrics of each step."""

    def start(self, run_dir: Path, config: Mapping[str, object]) -> None:  # noqa: B027 - not every logger needs it
        """Called once before the first step, with the run folder and the whole configuration."""

    @abstractmethod
    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Record the metrics of one step."""

    def close(self) -> None:  # noqa: B027 - not every logger needs it
        """Called once after the last step, also when the training failed."""


class NoLogger(Logger):
    """Logs nothing; ``metrics.jsonl`` in the run folder is written in any case."""

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        return


class WandbLogger(Logger):
    """Weights & Biases; its files are in ``wandb/`` of the run folder.

    Args:
        project: name of the project.
        mode: ``offline`` (upload later with ``wandb sync``) or ``online``.

    Raises:
        ConfigError: unknown mode, or the package wandb is not installed.
    """

    def __init__(self, project: str = "gflownet_crystal", mode: str = "offline") -> None:
        if mode not in WANDB_MODES:
            raise ConfigError(f"logger.mode is one of {', '.join(WANDB_MODES)}, not {mode!r}")
        # not imported yet: at the import it reads the environment that start sets
        if importlib.util.find_spec("wandb") is None:
            raise ConfigError(
                "logger=wandb needs the package wandb, which is not installed: pip install wandb, or use logger=none"
            )
        self.project, self.mode = project, mode
        self._run: Any = None

    def start(self, run_dir: Path, config: Mapping[str, object]) -> None:
        if self.mode == "offline":
            # its reports of errors look up a host when they are set up, at the import
            os.environ.update(WANDB_ERROR_REPORTING="false", WANDB_MODE="offline")
        import wandb

        settings = wandb.Settings(
            console="off", silent=True, x_disable_stats=True, x_disable_machine_info=True
        )
        self._run = wandb.init(
            project=self.project,
            name=run_dir.name,
            dir=run_dir,
            mode=self.mode,  # type: ignore[arg-type]
            config=dict(config),
            settings=settings,
        )

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        self._run.log(dict(metrics), step=step)

    def close(self) -> None:
        if self._run is not None:
            self._run.finish()
            self._run = None
