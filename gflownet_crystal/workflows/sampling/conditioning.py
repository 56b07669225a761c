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


@dataclass(frozen=True)
class Drawing:
    """Samples of a smaller space in the sampler's own proportions.

    Attributes:
        model: trained, in the whole space.
        env: the smaller space.
        reward: scores the objects.
        n: number of objects.
        batch_size: number of trajectories at once.
        seed: random seed of the sampling.
        how: method.
        after_batch: function called with the number of objects so far.
        announce: function called with a line on how the samples are made.
    """

    model: GFlowNet
    env: Env
    reward: Reward
    n: int
    batch_size: int
    seed: int
    how: Conditioning
    after_batch: Callable[[int], None]
    announce: Callable[[str], None]

    def draw(self) -> pd.DataFrame:
        """Samples as :func:`~gflownet_crystal.workflows.sampling.samples.draw_samples` makes them.

        Returns:
            One row an object; weighted samples have a column ``log_weight`` too.

        Raises:
            ConfigError: the environment cannot be asked which objects a restriction admits, or too few of the draws
                lie in the space.
        """
        generator = torch.Generator(self.model.device).manual_seed(self.seed)
        if self.how.method != WEIGHTS:
            kept = self._rejection(generator)
            line = f"rejection: {kept.share} of the sampler's objects lie in the restricted space"
            if kept.rows >= self.n:
                self.announce(line)
                return kept.table(self.n)
            self.announce(f"{line}; using weights")
        return self._weighted(generator)

    def _rejection(self, generator: torch.Generator) -> _Kept:
        """The sampler's objects that lie in the smaller space; fewer than n where weights are to be used."""
        model, n, attempts = self.model, self.n, self.how.attempts

        def draw(size: int) -> pd.DataFrame | None:
            terminal = sample_terminal(model, size, generator)
            inside = self.env.admits(model.env.objects(terminal))
            return sampled_frame(model, self.reward, terminal[inside]) if bool(inside.any()) else None

        kept = _Kept()
        kept.fill(draw, n, min(_FIRST_DRAWS, attempts), self.batch_size, lambda rows: None)
        # fewer than n in all, at this share
        if self.how.method is None and kept.rows * attempts < n * kept.draws:
            return kept
        self.after_batch(min(kept.rows, n))
        kept.fill(draw, n, attempts, self.batch_size, self.after_batch)
        if kept.rows < n:
            raise ConfigError(
                f"{kept.share} of the sampler's objects lie in the restricted space, too few for n={n} in "
                f"restrict.attempts={attempts}; raise that, give restrict.exact=weights, or {_OTHERWISE}"
            )
        return kept

    def _weighted(self, generator: torch.Generator) -> pd.DataFrame:
        """Objects made under the tighter masks with their log-weights, or resampled by them."""
        model, n, factor = self.model, self.n, self.how.resample
        narrow = model.in_env(self.env)

        def draw(size: int) -> pd.DataFrame | None:
            terminal, log_weight = sample_weighted(model, narrow, size, self.how.trajectories, generator)
            made = log_weight > -math.inf
            if not bool(made.any()):
                return None
            return sampled_frame(narrow, self.reward, terminal[made], **{LOG_WEIGHT: log_weight[made]})

        wanted = n * (factor or 1)
        size, kept = min(self.batch_size, wanted), _Kept()
        kept.fill(draw, wanted, 10 * wanted + size, size, lambda rows: self.after_batch(rows * n // wanted))
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
            f"weights: effective sample size {effective:.1f} of {wanted}; about {share:.2g} of the sampler's objects "
            "lie in the restricted space"
        )
        self.announce(line if effective >= max(2.0, _FEW * wanted) else f"{line}; few: {_OTHERWISE}")
        if factor is None:
            return frame
        rows = resample(log_weight, n, torch.Generator().manual_seed(self.seed))
        return frame.drop(columns=LOG_WEIGHT).iloc[rows.numpy()].reset_index(drop=True)
