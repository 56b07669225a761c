"""Samples from a part of a sampler's space, distributed as the whole sampler's objects that lie there.

The two ways to sample are described in :mod:`gflownet_crystal.gflownet.conditional`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import torch

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.common.run_schema import LOG_WEIGHT
from gflownet_crystal.envs.base import Env
from gflownet_crystal.evaluation.samplers import effective_sample_size
from gflownet_crystal.gflownet.conditional import resample, sample_weighted
from gflownet_crystal.gflownet.model import GFlowNet
from gflownet_crystal.gflownet.rollout import sample_terminal
from gflownet_crystal.proxies.reward import Reward
from gflownet_crystal.workflows.sampling.samples import sampled_frame

REJECTION, WEIGHTS = "rejection", "weights"
METHODS = {True: None, REJECTION: REJECTION, WEIGHTS: WEIGHTS}
"""Values of the setting ``exact`` and the method that each stands for; None for whichever is workable."""
_FIRST_DRAWS = 4096
"""Draws after which the share that lies in the restricted space decides between the two ways."""
_FEW = 0.01
"""Effective samples a row below which weighted samples say little."""
_OTHERWISE = (
    "fine-tune in the smaller space (train_gfn start=RUN env.elements=[...]), or loosen the restriction"
)


@dataclass(frozen=True)
class Conditioning:
    """Conditioning of the sampler's distribution on a restriction.

    Attributes:
        method: ``rejection`` or ``weights``; None for rejection where it is workable, else weights.
        attempts: most objects to draw for rejection.
        trajectories: K, trajectories an object behind its weight, in each of the two spaces.
        resample: draws under the tighter masks for each of the equally weighted rows that are made of them; None keeps
            all draws with their weights.
    """

    method: str | None = None
    attempts: int = 200_000
    trajectories: int = 16
    resample: int | None = None


def draw_conditional(
    model: GFlowNet,
    env: Env,
    reward: Reward,
    n: int,
    batch_size: int,
    seed: int,
    how: Conditioning,
    after_batch: Callable[[int], None] = lambda drawn: None,
    announce: Callable[[str], None] = lambda line: None,
) -> pd.DataFrame:
    """Sample objects of a smaller space in the sampler's own proportions.

    Args:
        model: trained, in the whole space.
        env: the smaller space.
        reward: scores the objects.
        n: objects.
        batch_size: trajectories at once.
        seed: random seed of the sampling.
        how: the settings.
        after_batch: told the number of objects so far.
        announce: told in a line how the samples are made.

    Returns:
        See :func:`~gflownet_crystal.workflows.sampling.samples.draw_samples`;
        weighted samples have a column ``log_weight`` too.

    Raises:
        ConfigError: the environment cannot be asked which objects a restriction admits, or too few of the draws lie in
            the space.
    """
    generator = torch.Generator(model.device).manual_seed(seed)
    if how.method != WEIGHTS:
        kept = _rejection(model, env, reward, n, batch_size, how, generator, after_batch)
        if kept.rows >= n:
            announce(f"rejection: {kept.share} of the sampler's objects lie in the restricted space")
            return kept.table(n)
        announce(
            f"rejection: {kept.share} of the sampler's objects lie in the restricted space; using weights"
        )
    return _weighted(model, env, reward, n, batch_size, how, generator, after_batch, announce)


@dataclass
class _Kept:
    """Kept rows of the drawn objects."""

    frames: list[pd.DataFrame] = field(default_factory=list)
    rows: int = 0
    draws: int = 0

    def fill(
        self,
        draw: Callable[[int], pd.DataFrame | None],
        n: int,
        most: int,
        batch_size: int,
        after_batch: Callable[[int], None],
    ) -> None:
        """Draw until n rows are kept, or so many are drawn at most."""
        while self.rows < n and self.draws < most:
            size = min(batch_size, most - self.draws)
            frame = draw(size)
            self.draws += size
            if frame is not None:
                self.frames.append(frame)
                self.rows += len(frame)
            after_batch(min(self.rows, n))

    @property
    def share(self) -> str:
        """Share of the draws that was kept, in words."""
        return f"{self.rows / self.draws:.2g} ({self.rows} of {self.draws})"

    def table(self, n: int) -> pd.DataFrame:
        """The first n rows."""
        return pd.concat(self.frames, ignore_index=True).head(n)


def _rejection(
    model: GFlowNet,
    env: Env,
    reward: Reward,
    n: int,
    batch_size: int,
    how: Conditioning,
    generator: torch.Generator,
    after_batch: Callable[[int], None],
) -> _Kept:
    """The sampler's objects that lie in the smaller space; fewer than n where weights are to be used."""

    def draw(size: int) -> pd.DataFrame | None:
        terminal = sample_terminal(model, size, generator)
        inside = env.admits(model.env.objects(terminal))
        return sampled_frame(model, reward, terminal[inside]) if bool(inside.any()) else None

    kept = _Kept()
    kept.fill(draw, n, min(_FIRST_DRAWS, how.attempts), batch_size, lambda rows: None)
    # fewer than n in all, at this share
    if how.method is None and kept.rows * how.attempts < n * kept.draws:
        return kept
    after_batch(min(kept.rows, n))
    kept.fill(draw, n, how.attempts, batch_size, after_batch)
    if kept.rows < n:
        raise ConfigError(
            f"{kept.share} of the sampler's objects lie in the restricted space, too few for n={n} in "
            f"restrict.attempts={how.attempts}; raise that, give restrict.exact=weights, or {_OTHERWISE}"
        )
    return kept


def _weighted(
    model: GFlowNet,
    env: Env,
    reward: Reward,
    n: int,
    batch_size: int,
    how: Conditioning,
    generator: torch.Generator,
    after_batch: Callable[[int], None],
    announce: Callable[[str], None],
) -> pd.DataFrame:
    """Objects made under the tighter masks with their log-weights, or resampled by them."""
    narrow = model.in_env(env)

    def draw(size: int) -> pd.DataFrame | None:
        terminal, log_weight = sample_weighted(model, narrow, size, how.trajectories, generator)
        made = log_weight > -math.inf
        if not bool(made.any()):
            return None
        return sampled_frame(narrow, reward, terminal[made], **{LOG_WEIGHT: log_weight[made]})

    wanted = n * (how.resample or 1)
    batch_size = min(batch_size, wanted)
    kept = _Kept()
    kept.fill(
        draw, wanted, 10 * wanted + batch_size, batch_size, lambda rows: after_batch(rows * n // wanted)
    )
    if kept.rows < wanted:
        raise ConfigError(
            f"the sampler can make only {kept.share} of the objects drawn in the restricted space, which its masks "
            f"reach too rarely; {_OTHERWISE}"
        )
    frame = kept.table(wanted)
    log_weight = torch.from_numpy(frame[LOG_WEIGHT].to_numpy(dtype=np.float64).copy())
    effective = effective_sample_size(log_weight)
    share = math.exp(float(torch.logsumexp(log_weight, 0))) / len(frame) * kept.rows / kept.draws
    line = (
        f"weights: effective sample size {effective:.1f} of {wanted}; about {share:.2g} of the sampler's objects lie "
        "in the restricted space"
    )
    announce(line if effective >= max(2.0, _FEW * wanted) else f"{line}; few: {_OTHERWISE}")
    if how.resample is None:
        return frame
    rows = resample(log_weight, n, torch.Generator().manual_seed(generator.initial_seed()))
    return frame.drop(columns=LOG_WEIGHT).iloc[rows.numpy()].reset_index(drop=True)
