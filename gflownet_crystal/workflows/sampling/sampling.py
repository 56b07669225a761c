"""Samples of a trained model: of its whole space, or of a part of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from gflownet_crystal.common.progress import Progress, announced
from gflownet_crystal.common.run_schema import ENERGY, LOG_WEIGHT
from gflownet_crystal.envs.base import Env
from gflownet_crystal.gflownet.model import GFlowNet
from gflownet_crystal.gflownet.objectives import Objective
from gflownet_crystal.proxies.reward import Reward
from gflownet_crystal.training.samplers.settings import TrainerSettings
from gflownet_crystal.workflows.sampling.conditioning import Conditioning, Drawing
from gflownet_crystal.workflows.sampling.objectives import MOST_RANKED, with_fronts
from gflownet_crystal.workflows.sampling.samples import (
    draw_batches,
    draw_samples,
    write_batches,
    write_samples,
)
from gflownet_crystal.workflows.settings.verbs import SampleSettings

BUILDING = "building the environment: tables of the allowed compositions"
"""Told where an environment takes more than a moment to make."""


@dataclass(frozen=True)
class Parts:
    """Objects that a configuration describes.

    Attributes:
        env: the space.
        reward: proxy and reward function.
        model: untrained, on ``device``.
        objective: the loss.
        settings: settings of the trainer.
        device: device of the networks.
    """

    env: Env
    reward: Reward
    model: GFlowNet
    objective: Objective
    settings: TrainerSettings
    device: torch.device


class Sampled(NamedTuple):
    """Summary of a table of samples.

    Attributes:
        n: number of samples.
        energy: median of the proxy's property.
        weighted: whether the samples have weights.
    """

    n: int
    energy: float
    weighted: bool


def sample_model(
    model: GFlowNet,
    reward: Reward,
    n: int,
    seed: int = 0,
    *,
    batch_size: int = 2048,
    restrict: Mapping[str, object] | None = None,
    exact: Conditioning | None = None,
    quiet: bool = False,
    shown: bool = False,
) -> pd.DataFrame:
    """Sample from a trained model.

    Args:
        model: trained.
        reward: scores the objects.
        n: number of objects.
        seed: random seed of the sampling.
        batch_size: number of trajectories at once.
        restrict: keyword arguments of the environment's ``restrict``; empty or None for the whole space.
        exact: method by which samples follow the distribution of the whole space given the restriction; None for the
            sampler under the tighter masks as it is.
        quiet: whether to say nothing while the restricted environment is built.
        shown: whether to show progress, and to tell how exact samples are made, unless ``quiet``.

    Returns:
        See :func:`~gflownet_crystal.workflows.sampling.samples.draw_samples`;
        weighted samples have a column ``log_weight`` too.

    Raises:
        ConfigError: a restriction that the environment does not know.
        EmptySpaceError: nothing is left to sample.
    """
    narrower = _narrower(model, restrict, quiet)
    with Progress(n, 0, "sampling", quiet or not shown) as progress:

        def tell(drawn: int) -> None:
            progress.advance(f"{drawn} of {n} samples", drawn - progress.done)

        if narrower is None or exact is None:
            model = model if narrower is None else model.in_env(narrower)
            return draw_samples(model, reward, n, batch_size, seed, tell)
        drawing = Drawing(model, narrower, reward, n, batch_size, seed, exact, tell, progress.note)
        return with_fronts(drawing.draw())


def sample_to_file(model: GFlowNet, reward: Reward, settings: SampleSettings) -> Sampled:
    """Sample from a trained model into a table; a long one is written batch by batch, and takes no more memory.

    Raises:
        ConfigError: a restriction that the environment does not know.
        DataError: the table cannot be written.
        EmptySpaceError: nothing is left to sample.
    """
    n, seed, batch_size, restrict = settings.n, settings.seed, settings.batch_size, settings.restrict
    if n > MOST_RANKED and not (restrict and settings.exact):
        narrower = _narrower(model, restrict, settings.quiet)
        model = model if narrower is None else model.in_env(narrower)
        energy = write_batches(settings.out, draw_batches(model, reward, n, batch_size, seed))
        return Sampled(n, float(np.nanmedian(energy)), False)
    frame = sample_model(
        model,
        reward,
        n,
        seed,
        batch_size=batch_size,
        restrict=restrict,
        exact=settings.exact,
        quiet=settings.quiet,
        # sampling without conditions takes seconds
        shown=bool(restrict and settings.exact),
    )
    write_samples(settings.out, frame)
    return Sampled(len(frame), float(frame[ENERGY].median()), LOG_WEIGHT in frame)


def _narrower(model: GFlowNet, restrict: Mapping[str, object] | None, quiet: bool) -> Env | None:
    """The restricted environment; None for no restriction."""
    if not restrict:
        return None
    with announced(BUILDING, quiet=quiet):
        return model.env.restrict(**restrict)
