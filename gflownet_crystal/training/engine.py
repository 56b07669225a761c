"""The one training loop: every step recorded in a run folder, checkpoints now and then, stop and exact resume."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Generic, TypeVar

from gflownet_crystal.common.checkpoint import Checkpoint, TrainingStopped, save_checkpoint
from gflownet_crystal.common.errors import CheckpointError
from gflownet_crystal.common.metrics import MetricsFile, note_on_steps, read_metrics, settled_length
from gflownet_crystal.common.progress import Progress
from gflownet_crystal.training.base import Training
from gflownet_crystal.training.loggers import Logger, NoLogger

METRICS = "metrics.jsonl"
SomeTraining = TypeVar("SomeTraining", bound=Training)


class Engine(Generic[SomeTraining]):
    """Runs a training in a run folder.

    Args:
        training: training before its first step.
        run_dir: folder of ``metrics.jsonl`` and ``checkpoints/``.
        checkpoint_every: steps between checkpoints; None for a hundredth of all steps.
        quiet: show no progress.
        logger: receives the record of each step too.
        config: configuration for the logger.
    """

    def __init__(
        self,
        training: SomeTraining,
        run_dir: Path,
        checkpoint_every: int | None = None,
        quiet: bool = False,
        logger: Logger | None = None,
        config: Mapping[str, object] | None = None,
    ) -> None:
        self.training, self.run_dir = training, run_dir
        self.logger, self.config = logger or NoLogger(), config or {}
        self.checkpoint_every = checkpoint_every or max(1, training.steps // 100)
        self.quiet = quiet or not training.world.is_main
        self.metrics_offset = 0

    def train(self, should_stop: Callable[[], bool] = lambda: False) -> None:
        """Take the steps that are left.

        Args:
            should_stop: asked after each step; if it says yes, a checkpoint is written and the training ends.

        Raises:
            TrainingError: the loss or its gradient is not finite; the checkpoints before it stay.
            TrainingStopped: ``should_stop`` said yes.
        """
        training, world = self.training, self.training.world
        with (
            self._metrics() as metrics,
            Progress(training.steps, training.done, quiet=self.quiet) as progress,
        ):
            while not training.is_finished:
                record = training.take_step()
                if metrics is not None:
                    metrics.write(record)
                    self.logger.log(training.done, record)
                progress.advance(training.words(record))
                figures = training.validate()
                if metrics is not None and figures is not None:
                    metrics.write({"step": training.done, "validation": figures})
                    progress.note(f"validation after step {training.done}: {training.words(figures)}")
                stop = world.any(should_stop(), training.device)
                due = training.done % self.checkpoint_every == 0 or figures is not None
                if stop or due or training.is_finished:
                    self._save(metrics)
                if stop:
                    raise TrainingStopped(f"stopped after step {training.done}")

    @contextmanager
    def _metrics(self) -> Iterator[MetricsFile | None]:
        """Hold the logger and the file of the records, in the process that writes."""
        if not self.training.world.is_main:
            yield None
            return
        self.logger.start(self.run_dir, self.config)
        try:
            with closing(MetricsFile(self.run_dir / METRICS, self.metrics_offset)) as metrics:
                yield metrics
        finally:
            self.logger.close()

    def _save(self, metrics: MetricsFile | None) -> None:
        parts, values = self.training.state()
        if metrics is not None:
            offset = metrics.settle()
            save_checkpoint(self.run_dir, self.training.done, parts, metrics_offset=offset, **values)

    def restore(self, checkpoint: Checkpoint | None) -> str | None:
        """Go on from a checkpoint, if there is one.

        Returns:
            Warning of a new stream of random numbers, see :meth:`Training.restore`, or of damaged records; or None.

        Raises:
            CheckpointError: it belongs to another configuration, or the records of the steps so far are damaged.
        """
        if checkpoint is None:
            return None
        if not checkpoint.part("model"):
            raise CheckpointError(
                f"checkpoint {checkpoint.path} was written by an earlier version, whose trainings of proxies this one "
                "does not resume; start a new one in another run.dir"
            )
        try:
            note = self.training.restore(checkpoint)
            offset = int(checkpoint.metadata["metrics_offset"])
            path = self.run_dir / METRICS
            self.metrics_offset = settled_length(path, offset)
            notes = [note, note_on_steps(path, read_metrics(path)) if self.metrics_offset else None]
        except CheckpointError:
            raise
        except (KeyError, RuntimeError, ValueError) as error:
            raise CheckpointError.of_other_settings(checkpoint.path, error) from error
        return "; ".join(filter(None, notes)) or None
