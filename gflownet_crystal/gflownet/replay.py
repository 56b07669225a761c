"""Objects kept for training: a replay buffer of sampled ones and a fixed set of given ones, as arrays."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from gflownet_crystal.common.batch import TensorBatch
from gflownet_crystal.common.errors import CheckpointError, ConfigError
from gflownet_crystal.envs.base import Context, State
from gflownet_crystal.gflownet.fingerprints import fingerprints

KEEP_CHOICES = ("best", "recent")
DRAW_CHOICES = ("rank", "uniform")


@dataclass(frozen=True)
class _Condition(TensorBatch):
    """Conditions (n, c) float64 of rows, kept beside their states."""

    condition: Tensor


def _columns(terminal: Context) -> tuple[TensorBatch, ...]:
    """All that is kept of terminal states."""
    if terminal.condition is None:
        return terminal.states
    return (*terminal.states, _Condition(terminal.condition))


class Terminals:
    """A fixed set of terminal states and their log-rewards, such as the objects of a dataset.

    Args:
        terminal: finished states of all stages, n rows.
        log_reward: (n,) float64.

    Raises:
        ConfigError: there are no rows.
    """

    def __init__(self, terminal: Context, log_reward: Tensor) -> None:
        if terminal.n == 0:
            raise ConfigError(
                "no object of the dataset lies in the environment's space; widen the space or change the data"
            )
        self.terminal, self.log_reward = terminal, log_reward

    def __len__(self) -> int:
        return self.terminal.n

    def draw(self, n: int, generator: torch.Generator) -> tuple[Context, Tensor]:
        """``n`` objects, uniformly with replacement, and their log-rewards."""
        rows = torch.randint(len(self), (n,), generator=generator, device=self.log_reward.device)
        return self.terminal[rows], self.log_reward[rows]


class Replay:
    """Terminal states met in training with their conditions, without repeats, in arrays of fixed size.

    Args:
        template: finished states of all stages, any number of rows; gives types, shapes and device.
        capacity: objects kept.
        keep: entries that stay when the buffer is full: the ``best`` by log-reward, or the most ``recent``.
        draw: ``uniform``, or by ``rank`` of the log-reward with weights ``1 / (0.01 n + rank)`` (Tripp et al. 2020,
            equation 2).
        most_per_kind: most entries that agree in all stages without real numbers, as in the group and composition of a
            crystal: the best of them stay; None for any number. Needs ``keep=best``.

    Raises:
        ConfigError: capacity or ``most_per_kind`` below 1, or an unknown choice.
    """

    def __init__(
        self,
        template: Context,
        capacity: int,
        keep: str = "best",
        draw: str = "rank",
        most_per_kind: int | None = None,
    ) -> None:
        if min(capacity, most_per_kind or 1) < 1:
            raise ConfigError(
                f"replay.capacity and replay.most_per_kind must be at least 1, not {capacity}, {most_per_kind}"
            )
        if most_per_kind is not None and keep != "best":
            raise ConfigError(
                f"replay.most_per_kind keeps the best of those that agree; replay.keep is {keep}"
            )
        if keep not in KEEP_CHOICES or draw not in DRAW_CHOICES:
            raise ConfigError(
                f"replay.keep is one of {', '.join(KEEP_CHOICES)} and replay.draw one of {', '.join(DRAW_CHOICES)}; "
                f"got {keep!r} and {draw!r}"
            )
        self.capacity, self.keep, self.draw_by, self.most_per_kind = capacity, keep, draw, most_per_kind
        self.states = tuple(
            state.map(lambda column: column.new_zeros((capacity, *column.shape[1:])))
            for state in _columns(template)
        )
        self.has_condition = template.condition is not None
        self.log_reward = torch.full((capacity,), float("-inf"), dtype=torch.float64, device=template.device)
        self.fingerprint = torch.zeros(capacity, dtype=torch.int64, device=template.device)
        self.size = self.added = 0

    def __len__(self) -> int:
        return self.size

    def add(self, terminal: Context, log_reward: Tensor) -> None:
        """Offer n objects; those already kept, and repeats among them, are passed over."""
        fingerprint = fingerprints(_columns(terminal))
        fresh = self._fresh(fingerprint)
        terminal, log_reward, fingerprint = terminal[fresh], log_reward[fresh], fingerprint[fresh]
        if self.keep == "best":
            slots, chosen = self._slots_of_best(self._within_kinds(terminal, log_reward))
        else:
            slots, chosen = self._slots_of_recent(len(fresh))
        for mine, theirs in zip(self.states, _columns(terminal), strict=True):
            for field in fields(mine):
                getattr(mine, field.name).index_copy_(0, slots, getattr(theirs, field.name)[chosen])
        self.log_reward.index_copy_(0, slots, log_reward[chosen])
        self.fingerprint.index_copy_(0, slots, fingerprint[chosen])
        self.added += len(fresh)
        self.size = min(self.capacity, self.size + len(fresh))
        if self.most_per_kind is not None:
            self.size = int(torch.isfinite(self.log_reward).sum())

    def draw(self, n: int, generator: torch.Generator) -> tuple[Context, Tensor]:
        """``n`` kept objects with replacement, and their log-rewards.

        Raises:
            ConfigError: nothing is kept yet.
        """
        if not self.size:
            raise ConfigError("the replay buffer is empty; draw from it only after something was added")
        order = torch.sort(self.log_reward, descending=True, stable=True).indices[: self.size]
        if self.draw_by == "uniform":
            place = torch.randint(self.size, (n,), generator=generator, device=order.device)
        else:
            rank = torch.arange(1, self.size + 1, dtype=torch.float64, device=order.device)
            cumulative = (1.0 / (0.01 * self.size + rank)).cumsum(dim=0)
            uniform = torch.rand(n, generator=generator, dtype=torch.float64, device=order.device)
            place = torch.searchsorted(cumulative, uniform * cumulative[-1]).clamp(max=self.size - 1)
        rows = order[place]
        states = tuple(state[rows] for state in self.states)
        condition = None
        if self.has_condition:
            *states_only, last = states
            states, condition = tuple(states_only), last.to_dict()["condition"]
        return Context(n, rows.device, states, condition), self.log_reward[rows]

    def state_dict(self) -> dict[str, Tensor]:
        """Everything kept, as named tensors."""
        columns = {
            f"{index}.{name}": column
            for index, state in enumerate(self.states)
            for name, column in state.to_dict().items()
        }
        counters = torch.tensor([self.size, self.added])
        return columns | {
            "log_reward": self.log_reward,
            "fingerprint": self.fingerprint,
            "counters": counters,
        }

    def load_state_dict(self, tensors: dict[str, Tensor]) -> None:
        """Restore a state of :meth:`state_dict`.

        Raises:
            CheckpointError: the tensors are those of a buffer of another shape.
        """
        mine = self.state_dict()
        if mine.keys() != tensors.keys() or any(mine[name].shape != tensors[name].shape for name in mine):
            raise CheckpointError(
                "the checkpoint's replay buffer has another shape; keep trainer.replay as it was"
            )
        for name, column in mine.items():
            column.copy_(tensors[name])
        self.size, self.added = (int(count) for count in tensors["counters"])

    def _fresh(self, fingerprint: Tensor) -> Tensor:
        """Rows whose fingerprint is not kept and occurs in no earlier row, ascending."""
        kept = self.fingerprint[torch.isfinite(self.log_reward)]
        order = torch.sort(fingerprint, stable=True)
        first = torch.ones_like(order.values, dtype=torch.bool)
        first[1:] = order.values[1:] != order.values[:-1]
        new = torch.zeros_like(first).index_put((order.indices,), first)
        return (new & ~torch.isin(fingerprint, kept)).nonzero().squeeze(1)

    def _within_kinds(self, terminal: Context, log_reward: Tensor) -> Tensor:
        """Log-rewards of new rows, -inf where enough of their kind are better; kept entries that are worse give way."""
        if self.most_per_kind is None:
            return log_reward
        everything = torch.cat([self.log_reward, log_reward])
        kinds = [fingerprints(_discrete(states)) for states in (self.states, terminal.states)]
        best_first = torch.sort(everything, descending=True, stable=True).indices
        by_kind = torch.sort(torch.cat(kinds)[best_first], stable=True)
        _, sizes = torch.unique_consecutive(by_kind.values, return_counts=True)
        starts = (sizes.cumsum(0) - sizes).repeat_interleave(sizes)
        place = torch.arange(len(starts), device=starts.device) - starts
        gone = best_first[by_kind.indices[place >= self.most_per_kind]]
        everything[gone] = float("-inf")
        self.log_reward.copy_(everything[: self.capacity])
        return everything[self.capacity :]

    def _slots_of_best(self, log_reward: Tensor) -> tuple[Tensor, Tensor]:
        """Slots to overwrite and the new rows that go there, such that the best of all stay."""
        everything = torch.cat([self.log_reward, log_reward])
        best = torch.sort(everything, descending=True, stable=True).indices[: self.capacity]
        stays = torch.zeros_like(everything, dtype=torch.bool).index_fill(0, best, True)
        return (~stays[: self.capacity]).nonzero().squeeze(1), stays[self.capacity :].nonzero().squeeze(1)

    def _slots_of_recent(self, n: int) -> tuple[Tensor, Tensor]:
        chosen = torch.arange(max(0, n - self.capacity), n, device=self.log_reward.device)
        return (self.added + chosen) % self.capacity, chosen


def _discrete(states: tuple[State, ...]) -> tuple[State, ...]:
    """States without real numbers: all of them where each has some."""
    chosen = [
        state
        for state in states
        if not any(column.dtype.is_floating_point for column in state.to_dict().values())
    ]
    return tuple(chosen) or states
