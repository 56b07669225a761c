"""Settings of the training of a sampler, checked when they are read."""

from __future__ import annotations

from dataclasses import dataclass, field

from gflownet_crystal.common.annotations import fit_fields
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.gflownet.replay import DRAW_CHOICES, KEEP_CHOICES
from gflownet_crystal.policies.distributions import Behaviour
from gflownet_crystal.training.schedule import ScheduleSettings


@dataclass(frozen=True)
class ReplaySettings:
    """Settings of the replay buffer; see :class:`gflownet_crystal.gflownet.replay.Replay`."""

    capacity: int = 10_000
    keep: str = "best"
    draw: str = "rank"

    def __post_init__(self) -> None:
        fit_fields(self, "trainer.replay")
        if self.capacity < 1:
            raise ConfigError(f"trainer.replay.capacity must be at least 1, not {self.capacity}")
        if self.keep not in KEEP_CHOICES or self.draw not in DRAW_CHOICES:
            raise ConfigError(
                f"trainer.replay.keep is one of {', '.join(KEEP_CHOICES)} and trainer.replay.draw one of "
                f"{', '.join(DRAW_CHOICES)}; got {self.keep!r} and {self.draw!r}"
            )


@dataclass(frozen=True)
class TrainerSettings:
    """Settings of the training loop.

    Attributes:
        iterations: number of parameter updates.
        batch_size: number of trajectories per iteration, in each process.
        replay_fraction: share of the batch that is sampled backward from the replay buffer.
        dataset_fraction: share that is sampled backward from the dataset.
        learning_rate: Adam learning rate of both policies.
        learning_rate_log_z: Adam learning rate of the weights of log Z.
        schedule: schedule of both learning rates.
        clip_norm: largest gradient norm of the policies, or None.
        ema: decay of the averaged weights that are used for sampling, or None to sample with the last weights.
        exploration, exploration_final: probability of a uniform action, at the start and end of the slope.
        temperature, temperature_final: temperature of the behaviour policy, at the start and end of the slope.
        behaviour_iterations: length of that slope; None for all iterations.
        init_log_z: whether log Z starts at the first batch's mean of the log-target less ``log P_F``.
        checkpoint_every: number of iterations between checkpoints.
        replay: settings of the replay buffer.
    """

    iterations: int = 1000
    batch_size: int = 256
    replay_fraction: float = 0.0
    dataset_fraction: float = 0.0
    learning_rate: float = 1e-3
    learning_rate_log_z: float = 1e-1
    schedule: ScheduleSettings = field(default_factory=ScheduleSettings)
    clip_norm: float | None = 10.0
    ema: float | None = None
    exploration: float = 0.1
    exploration_final: float = 0.0
    temperature: float = 1.0
    temperature_final: float = 1.0
    behaviour_iterations: int | None = None
    init_log_z: bool = True
    checkpoint_every: int = 25
    replay: ReplaySettings = field(default_factory=ReplaySettings)

    def __post_init__(self) -> None:
        fit_fields(self, "trainer")
        self._check_counts()
        if not (self.learning_rate > 0.0 and self.learning_rate_log_z > 0.0):
            raise ConfigError(
                f"learning rates must be positive, not {self.learning_rate} and {self.learning_rate_log_z}"
            )
        if self.clip_norm is not None and not self.clip_norm > 0.0:
            raise ConfigError(f"trainer.clip_norm must be positive or null, not {self.clip_norm}")
        if self.ema is not None and not 0.0 < self.ema < 1.0:
            raise ConfigError(f"trainer.ema is a decay in (0, 1) or null, not {self.ema}")
        # both ends are checked now, so that a long training does not fail on its last iteration
        Behaviour(self.exploration, self.temperature)
        Behaviour(self.exploration_final, self.temperature_final)
        # the sum first: the shares of a batch are whole numbers, and no infinite number is one
        shares = self.replay_fraction, self.dataset_fraction
        if min(shares) < 0.0 or sum(shares) > 1.0 or self.n_policy < 1:
            raise ConfigError(
                "replay_fraction and dataset_fraction are shares that leave some of the batch to the policy; got "
                f"{self.replay_fraction} and {self.dataset_fraction}"
            )

    def _check_counts(self) -> None:
        for name in ("iterations", "batch_size", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise ConfigError(f"trainer.{name} must be at least 1, not {getattr(self, name)}")
        if self.behaviour_iterations is not None and self.behaviour_iterations < 1:
            raise ConfigError(
                f"trainer.behaviour_iterations must be at least 1 or null, not {self.behaviour_iterations}"
            )

    @property
    def n_replay(self) -> int:
        """Trajectories an iteration from the replay buffer."""
        return round(self.replay_fraction * self.batch_size)

    @property
    def n_dataset(self) -> int:
        """Trajectories an iteration from the dataset."""
        return round(self.dataset_fraction * self.batch_size)

    @property
    def n_policy(self) -> int:
        """Trajectories an iteration from the policy."""
        return self.batch_size - self.n_replay - self.n_dataset

    def behaviour(self, iteration: int) -> Behaviour:
        """Behaviour policy at an iteration, counted from 0; exploration and temperature are linear, then constant."""
        progress = min(1.0, iteration / (self.behaviour_iterations or self.iterations))
        return Behaviour(
            self.exploration + progress * (self.exploration_final - self.exploration),
            self.temperature + progress * (self.temperature_final - self.temperature),
        )
