"""Settings of the training of a sampler, checked when they are read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from gflownet_crystal.common.annotations import CheckedFields
from gflownet_crystal.common.bounds import Count, InnerShare, Positive, Share, ShareBelowOne
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.gflownet.local_search import Acceptance
from gflownet_crystal.policies.distributions import Behaviour
from gflownet_crystal.training.schedule import ScheduleSettings


@dataclass(frozen=True)
class ReplaySettings(CheckedFields):
    """Settings of the replay buffer; see :class:`gflownet_crystal.gflownet.replay.Replay`."""

    place = "trainer.replay"

    capacity: Count = 10_000
    keep: Literal["best", "recent"] = "best"
    draw: Literal["rank", "uniform"] = "rank"
    most_per_kind: Count | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.most_per_kind is not None and self.keep == "recent":
            raise ConfigError(
                "trainer.replay.most_per_kind keeps the best: it needs trainer.replay.keep=best"
            )


@dataclass(frozen=True)
class LocalSearchSettings(CheckedFields):
    """Settings of the local search; see :class:`gflownet_crystal.gflownet.local_search.LocalSearch`.

    Attributes:
        fraction: share of the batch that it finds; 0 for none.
        back: most transitions that are taken back.
        rounds: number of times that each object is changed.
        accept: changed objects that replace those before: ``better`` or ``always``.
    """

    place = "trainer.local_search"

    fraction: ShareBelowOne = 0.0
    back: Count = 8
    rounds: Count = 1
    accept: Acceptance = "better"


@dataclass(frozen=True)
class TrainerSettings(CheckedFields):
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
        init_log_z: whether log Z starts at the mean of the log-target less ``log P_F`` of the first batch, as a
            function of the conditions where there are any.
        checkpoint_every: number of iterations between checkpoints.
        replay: settings of the replay buffer.
        local_search: settings of the search near objects of the replay buffer.
    """

    place = "trainer"

    iterations: Count = 1000
    batch_size: Count = 256
    replay_fraction: Share = 0.0
    dataset_fraction: Share = 0.0
    learning_rate: Positive = 1e-3
    learning_rate_log_z: Positive = 1e-1
    schedule: ScheduleSettings = field(default_factory=ScheduleSettings)
    clip_norm: Positive | None = 10.0
    ema: InnerShare | None = None
    exploration: float = 0.1
    exploration_final: float = 0.0
    temperature: float = 1.0
    temperature_final: float = 1.0
    behaviour_iterations: Count | None = None
    init_log_z: bool = True
    checkpoint_every: Count = 25
    replay: ReplaySettings = field(default_factory=ReplaySettings)
    local_search: LocalSearchSettings = field(default_factory=LocalSearchSettings)

    def __post_init__(self) -> None:
        super().__post_init__()
        # both ends are checked now, so that a long training does not fail on its last iteration
        Behaviour(self.exploration, self.temperature)
        Behaviour(self.exploration_final, self.temperature_final)
        shares = self.replay_fraction, self.dataset_fraction, self.local_search.fraction
        if sum(shares) > 1.0 or self.n_policy < 1:
            raise ConfigError(
                "replay_fraction, dataset_fraction and local_search.fraction are shares that leave some of the batch "
                f"to the policy; got {', '.join(map(str, shares))}"
            )

    @property
    def n_replay(self) -> int:
        """Trajectories an iteration from the replay buffer."""
        return round(self.replay_fraction * self.batch_size)

    @property
    def n_local(self) -> int:
        """Trajectories an iteration from the local search."""
        return round(self.local_search.fraction * self.batch_size)

    @property
    def n_dataset(self) -> int:
        """Trajectories an iteration from the dataset."""
        return round(self.dataset_fraction * self.batch_size)

    @property
    def n_policy(self) -> int:
        """Trajectories an iteration from the policy."""
        return self.batch_size - self.n_replay - self.n_local - self.n_dataset

    def behaviour(self, iteration: int) -> Behaviour:
        """Behaviour policy at an iteration, counted from 0; exploration and temperature are linear, then constant."""
        progress = min(1.0, iteration / (self.behaviour_iterations or self.iterations))
        return Behaviour(
            self.exploration + progress * (self.exploration_final - self.exploration),
            self.temperature + progress * (self.temperature_final - self.temperature),
        )
