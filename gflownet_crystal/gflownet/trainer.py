"""The training loop: sample, score, evaluate, step; every iteration recorded, every few written to disk."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from gflownet_crystal.common.checkpoint import Checkpoint, TrainingStopped, save_checkpoint
from gflownet_crystal.common.errors import CheckpointError, GFlowNetCrystalError
from gflownet_crystal.common.metrics import MetricsFile, settled_length
from gflownet_crystal.common.progress import Progress
from gflownet_crystal.gflownet.batch import Batch, Source, draw_batch
from gflownet_crystal.gflownet.distributed import World
from gflownet_crystal.gflownet.loggers import Logger, NoLogger
from gflownet_crystal.gflownet.model import GFlowNet
from gflownet_crystal.gflownet.objectives import Objective
from gflownet_crystal.gflownet.optimizer import Optimizer
from gflownet_crystal.gflownet.prior import Prior, PriorTerms, check_prior
from gflownet_crystal.gflownet.random_states import restore_generator, state_name
from gflownet_crystal.gflownet.replay import Replay, Terminals
from gflownet_crystal.gflownet.rollout import evaluate, sample_forward
from gflownet_crystal.gflownet.settings import TrainerSettings
from gflownet_crystal.proxies.reward import Reward

# seeds of the processes lie this far apart
_SEED_STEP = 1_000_003


class TrainingError(GFlowNetCrystalError):
    """The training cannot go on: the loss or its gradient is not finite."""


class Trainer:
    """Trains a model in a run folder.

    Args:
        model: environment, policies and log Z, on its device.
        reward: scores objects.
        objective: the loss.
        settings: settings of the loop.
        run_dir: folder of ``metrics.jsonl`` and ``checkpoints/``.
        seed: random seed of sampling.
        dataset: objects for backward-sampled trajectories; needed where ``dataset_fraction`` is above 0.
        logger: receives the metrics of each step too.
        quiet: show no progress.
        world: the processes that train together; this one alone if None.
        prior: takes part in the target, and is neither trained nor saved; put in the model's environment, so that
            both have the same masks.

    Raises:
        ConfigError: the objective does not go with the prior or with the lack of one, or the prior is of another
            layout or the model itself.
    """

    def __init__(
        self,
        model: GFlowNet,
        reward: Reward,
        objective: Objective,
        settings: TrainerSettings,
        run_dir: Path,
        seed: int = 0,
        dataset: Terminals | None = None,
        logger: Logger | None = None,
        quiet: bool = False,
        world: World | None = None,
        prior: Prior | None = None,
    ) -> None:
        check_prior(model, objective, prior)
        self.world, self.prior = world or World(), prior
        self.model, self.reward, self.objective, self.settings = model, reward, objective, settings
        self.run_dir, self.dataset, self.logger = run_dir, dataset, logger or NoLogger()
        self.quiet = quiet or not self.world.is_main
        self.generator = torch.Generator(model.device).manual_seed(seed + _SEED_STEP * self.world.rank)
        self.behaviours = settings.behaviour_schedule()
        self.optimizer = Optimizer(model, settings, self.world)
        self.replay = self._empty_replay() if settings.n_replay else None
        self.iteration = 0
        self.seconds = 0.0
        self.metrics_offset = 0

    def train(self, should_stop: Callable[[], bool] = lambda: False) -> None:
        """Run the iterations that are left.

        Args:
            should_stop: asked after each iteration; if it says yes, a checkpoint is written and the training ends.

        Raises:
            TrainingError: the loss or its gradient is not finite; the checkpoints before it stay.
            TrainingStopped: ``should_stop`` said yes.
        """
        is_main = self.world.is_main
        metrics = MetricsFile(self.run_dir / "metrics.jsonl", self.metrics_offset) if is_main else None
        try:
            with Progress(self.settings.iterations, self.iteration, quiet=self.quiet) as progress:
                while self.iteration < self.settings.iterations:
                    record = self._timed_iteration()
                    if metrics is not None:
                        metrics.write(record)
                        self.logger.log(self.iteration, record)
                    progress.advance(f"loss {record['loss']:.4g}, log Z {record['log_z']:.4g}")
                    stop = self.world.any(should_stop(), self.model.device)
                    if stop or self._checkpoint_is_due():
                        self._save(metrics)
                    if stop:
                        raise TrainingStopped(f"stopped after iteration {self.iteration}")
        finally:
            if metrics is not None:
                metrics.close()

    def _timed_iteration(self) -> dict[str, float]:
        start = time.perf_counter()
        record = self._iterate()
        seconds = time.perf_counter() - start
        self.seconds += seconds
        self.iteration += 1
        rate = self.world.size * self.settings.batch_size / seconds
        return {"step": self.iteration, **record, "trajectories_per_second": round(rate, 1)}

    def _iterate(self) -> dict[str, float]:
        """One parameter update and what is worth knowing of it."""
        batch = self._draw()
        log_pf, log_pb = evaluate(self.model, batch.trajectories)
        # the reward is with respect to the reference measure, the policies' densities to the stages' coordinates
        log_reference = self.model.env.log_reference(batch.trajectories.terminal)
        if self.prior is None:
            terms, log_target = None, batch.log_reward + log_reference + log_pb
        else:
            terms = self.prior.terms(batch.trajectories, self.generator)
            log_target = self.prior.log_target(terms, log_pb, batch.log_reward, log_reference)
        if self.iteration == 0 and self.settings.init_log_z:
            self._initialise_log_z(self.world.mean((log_target - log_pf).detach().mean()))
        loss = self.objective(self.model.log_z, log_pf, log_target)
        norm = self.optimizer.backward(loss + self._backward_loss(log_pb[: batch.new.n]))
        figures = self._figures(batch, loss, norm, _prior_figures(batch, log_pf, terms))
        self._require_finite(figures)
        self.optimizer.step(self.iteration)
        self._remember(batch)
        return figures

    def _backward_loss(self, log_pb: Tensor) -> Tensor | float:
        """Fits a learned backward policy to the policy's own trajectories where the target leaves it free."""
        if self.prior is None or not self.prior.by_trajectory or not log_pb.requires_grad:
            return 0.0
        return -log_pb.mean()

    def _remember(self, batch: Batch) -> None:
        """Record this iteration's objects, of all processes, for later iterations."""
        history = self.reward.history
        if self.replay is None and history is None:
            return
        found = self.world.gather_context(batch.new)
        if self.replay is not None:
            self.replay.add(found, self.world.gather(batch.scored.log_reward))
        if history is not None:
            history.remember(self.model.env.objects(found))

    def _draw(self) -> Batch:
        chosen = self.settings
        sources: list[tuple[Source, int]] = []
        if self.replay is not None and len(self.replay):
            sources.append((self.replay, chosen.n_replay))
        if self.dataset is not None and chosen.n_dataset:
            sources.append((self.dataset, chosen.n_dataset))
        n_policy = chosen.batch_size - sum(count for _, count in sources)
        behaviour = self.behaviours.behaviour(self.iteration)
        return draw_batch(self.model, self.reward, n_policy, sources, behaviour, self.generator)

    @torch.no_grad()
    def _initialise_log_z(self, estimate: Tensor) -> None:
        self.model.log_z_weights.fill_(1.0).mul_(estimate / len(self.model.log_z_weights))

    def _figures(
        self, batch: Batch, loss: Tensor, norm: Tensor, further: dict[str, Tensor]
    ) -> dict[str, float]:
        scored = batch.scored
        columns = {
            "loss": loss,
            "log_z": self.model.log_z,
            "mean_log_reward": scored.log_reward.mean(),
            "max_log_reward": self.world.gather(scored.log_reward).max(),
            "mean_energy": scored.prediction.value[scored.prediction.valid].mean(),
            "gradient_norm": norm,
            **further,
        }
        counts = torch.tensor([batch.trajectories.n_transitions, scored.n_invalid], device=self.model.device)
        values = torch.stack([column.detach().double() for column in columns.values()])
        total = self.world.gather(counts[None]).sum(dim=0).tolist()
        # one transfer from the device for all figures
        figures = dict(zip(columns, self.world.mean(values).tolist(), strict=True))
        learning_rate = self.optimizer.learning_rate(self.iteration)
        return figures | {"learning_rate": learning_rate, "n_transitions": total[0], "n_invalid": total[1]}

    def _require_finite(self, figures: dict[str, float]) -> None:
        if not (math.isfinite(figures["loss"]) and math.isfinite(figures["gradient_norm"])):
            raise TrainingError(
                f"iteration {self.iteration + 1}: loss {figures['loss']}, gradient norm {figures['gradient_norm']}; "
                "the last checkpoint is kept; lower trainer.learning_rate or set objective.huber"
            )

    def _checkpoint_is_due(self) -> bool:
        return (
            self.iteration % self.settings.checkpoint_every == 0 or self.iteration == self.settings.iterations
        )

    def _save(self, metrics: MetricsFile | None) -> None:
        states = self.world.gather(self.generator.get_state()[None])
        if metrics is None:
            return
        parts: dict[str, dict[str, Tensor]] = {
            "model": dict(self.model.state_dict()),
            "random": {state_name(self.model.device): states},
            **self.optimizer.state(),
        }
        if self.replay is not None:
            parts["replay"] = self.replay.state_dict()
        if self.reward.history is not None:
            parts["history"] = self.reward.history.state_dict()
        offset = metrics.settle()
        save_checkpoint(self.run_dir, self.iteration, parts, metrics_offset=offset, seconds=self.seconds)

    def restore(self, checkpoint: Checkpoint) -> str | None:
        """Resume from a checkpoint: bit-exact on the kind of device that it was trained on.

        Returns:
            None, or words on the new stream of random numbers that a device of another kind starts.

        Raises:
            CheckpointError: it belongs to another configuration, or the records of the steps so far are damaged.
        """
        load_weights(self.model, checkpoint, averaged=False)
        try:
            self.optimizer.load_state(checkpoint)
            if self.replay is not None:
                self.replay.load_state_dict(checkpoint.part("replay"))
            load_history(self.reward, checkpoint)
            self.iteration = int(checkpoint.metadata["iteration"])
            self.seconds = float(checkpoint.metadata["seconds"])
            self.metrics_offset = settled_length(
                self.run_dir / "metrics.jsonl", int(checkpoint.metadata["metrics_offset"])
            )
            return restore_generator(
                self.generator, checkpoint.part("random"), self.world.rank, self.world.size, self.iteration
            )
        except CheckpointError:
            raise
        except (KeyError, ValueError, RuntimeError) as error:
            raise CheckpointError(
                f"checkpoint {checkpoint.path} does not fit this training: {error}"
            ) from error

    def _empty_replay(self) -> Replay:
        # one trajectory from a generator of its own shows what terminal states look like
        example = sample_forward(self.model, 1, torch.Generator(self.model.device).manual_seed(0))
        chosen = self.settings.replay
        return Replay(example.terminal, chosen.capacity, chosen.keep, chosen.draw)


def _prior_figures(batch: Batch, log_pf: Tensor, terms: PriorTerms | None) -> dict[str, Tensor]:
    """Means over the trajectories that the policy sampled: divergence from the prior, and the prior's log-density."""
    if terms is None:
        return {}
    n = batch.new.n
    return {
        "kl_from_prior": (log_pf.detach() - terms.log_pf)[:n].mean(),
        "mean_log_prior": terms.log_prior[:n].mean(),
    }


def load_history(reward: Reward, checkpoint: Checkpoint) -> None:
    """Give a reward the history that the training of a checkpoint kept, where it kept one.

    Raises:
        CheckpointError: the checkpoint's part is damaged.
    """
    if reward.history is not None:
        reward.history.load_state_dict(checkpoint.part("history"))


def load_weights(model: nn.Module, checkpoint: Checkpoint, averaged: bool = True) -> None:
    """Put a checkpoint's weights in a model.

    Args:
        model: model of the checkpoint's configuration.
        checkpoint: loaded checkpoint.
        averaged: take the moving average where the training kept one, as sampling does.

    Raises:
        CheckpointError: names or shapes differ.
    """
    weights = checkpoint.part("model") | (checkpoint.part("average") if averaged else {})
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise CheckpointError.of_other_settings(checkpoint.path, error) from error
