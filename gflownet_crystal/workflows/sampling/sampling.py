"""Samples of a trained model: of its whole space, or of a part of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
import torch

from gflownet_crystal.common.progress import Progress, announced
from gflownet_crystal.envs.base import Env
from gflownet_crystal.gflownet.model import GFlowNet
from gflownet_crystal.gflownet.objectives import Objective
from gflownet_crystal.proxies.reward import Reward
from gflownet_crystal.training.samplers.settings import TrainerSettings
from gflownet_crystal.workflows.sampling.conditioning import Conditioning, Drawing
from gflownet_crystal.workflows.sampling.objectives import with_fronts
from gflownet_crystal.workflows.sampling.samples import draw_samples

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
    narrower = None
    if restrict:
        with announced(BUILDING, quiet=quiet):
            narrower = model.env.restrict(**restrict)
    with Progress(n, 0, "sampling", quiet or not shown) as progress:

        def tell(drawn: int) -> None:
            progress.advance(f"{drawn} of {n} samples", drawn - progress.done)

        if narrower is None or exact is None:
            model = model if narrower is None else model.in_env(narrower)
            return draw_samples(model, reward, n, batch_size, seed, tell)
        drawing = Drawing(model, narrower, reward, n, batch_size, seed, exact, tell, progress.note)
        return with_fronts(drawing.draw())
