"""The steps of a proxy's training in a run folder: every one recorded, checkpoints now and then, exact resume."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from gflownet_crystal.common.checkpoint import Checkpoint, TrainingStopped, save_checkpoint
from gflownet_crystal.common.errors import CheckpointError
from gflownet_crystal.common.metrics import MetricsFile, settled_length
from gflownet_crystal.common.progress import Progress
from gflownet_crystal.training.loop import METRICS
from gflownet_crystal.training.stepwise import Stepwise


def take_steps(
    training: Stepwise,
    run_dir: Path,
    checkpoint: Checkpoint | None = None,
    checkpoint_every: int | None = None,
    quiet: bool = False,
    should_stop: Callable[[], bool] = lambda: False,
) -> None:
    """Take the steps that are left.

    Args:
        training: before its first step.
        run_dir: folder of ``metrics.jsonl`` and ``checkpoints/``.
        checkpoint: checkpoint to resume from.
        checkpoint_every: steps; None for a hundredth of all.
        quiet: show no progress.
        should_stop: asked after each step; if it says yes, a checkpoint is written and the training ends.

    Raises:
        CheckpointError: the checkpoint belongs to another configuration.
        TrainingStopped: ``should_stop`` said yes.
    """
    offset = 0 if checkpoint is None else _restore(training, checkpoint, run_dir)
    every = max(1, training.steps // 100) if checkpoint_every is None else checkpoint_every
    with (
        closing(MetricsFile(run_dir / METRICS, offset)) as metrics,
        Progress(training.steps, training.done, quiet=quiet) as progress,
    ):
        while not training.is_finished:
            losses = training.advance()
            metrics.write({"step": training.done, **losses})
            progress.advance(", ".join(f"{name} {value:.4g}" for name, value in losses.items()))
            stop = should_stop()
            if stop or training.is_finished or training.done % every == 0:
                parts, values = training.state()
                save_checkpoint(run_dir, training.done, parts, metrics_offset=metrics.settle(), **values)
            if stop:
                raise TrainingStopped(f"stopped after step {training.done}")


def _restore(training: Stepwise, checkpoint: Checkpoint, run_dir: Path) -> int:
    """Go on from a checkpoint; bytes of the metrics up to it."""
    try:
        training.restore(checkpoint)
        return settled_length(run_dir / METRICS, int(checkpoint.metadata["metrics_offset"]))
    except CheckpointError:
        raise
    except (KeyError, RuntimeError, ValueError) as error:
        raise CheckpointError.of_other_settings(checkpoint.path, error) from error
