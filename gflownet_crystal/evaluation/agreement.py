"""Agreement of a sampler with its target: distances between distributions, and log p(x) against log R(x)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gflownet_crystal.common.errors import DataError


def total_variation(first: Tensor, second: Tensor) -> float:
    """Total variation distance of two distributions over the same events, in [0, 1].

    Args:
        first: (k,) weights, not negative; normalised to sum 1.
        second: (k,) weights likewise.

    Raises:
        DataError: shapes differ, or weights are negative or sum to nothing.
    """
    if first.shape != second.shape or first.ndim != 1:
        raise DataError(
            f"weights over the same events are needed, not {tuple(first.shape)} and {tuple(second.shape)}"
        )
    pair = torch.stack([first.double(), second.double()])
    total = pair.sum(dim=1, keepdim=True)
    if bool((pair < 0.0).any()) or not bool((total > 0.0).all()):
        raise DataError("weights must not be negative and must have a positive sum")
    return 0.5 * float((pair[0] / total[0] - pair[1] / total[1]).abs().sum())


def count_variation(first: Tensor, second: Tensor, n_classes: int) -> tuple[float, float]:
    """Total variation between the class frequencies of two samples, and that of sampling noise alone.

    Args:
        first: (n,) int64 classes below ``n_classes``.
        second: (m,) int64 classes.
        n_classes: k.

    Returns:
        The distance, and its expectation were both samples drawn from their pooled frequencies (each class's
        difference is close to normal, so the expectation is a sum of mean absolute deviations).
    """
    counts = torch.stack([torch.bincount(sample, minlength=n_classes) for sample in (first, second)]).double()
    pooled = counts.sum(dim=0) / counts.sum()
    variance = pooled * (1.0 - pooled) * (1.0 / len(first) + 1.0 / len(second))
    noise = 0.5 * float((variance * 2.0 / torch.pi).sqrt().sum())
    return total_variation(counts[0], counts[1]), noise


def wasserstein(first: Tensor, second: Tensor) -> float:
    """Wasserstein-1 distance of two samples of one quantity, (n,) and (m,), in its unit."""
    from scipy.stats import wasserstein_distance

    return float(wasserstein_distance(first.cpu().numpy(), second.cpu().numpy()))


@dataclass(frozen=True)
class LogLogFit:
    """Linear fit of log p(x) to log R(x) over a sample; a perfect sampler has both at 1.

    Attributes:
        spearman: rank correlation.
        slope: slope of the least-squares line of log p on log R.
        slope_error: bootstrap standard error of the slope.
        residual: standard deviation about the line.
    """

    spearman: float
    slope: float
    slope_error: float
    residual: float


def fit_log_log(
    log_prob: Tensor, log_reward: Tensor, generator: torch.Generator, n_bootstrap: int = 500
) -> LogLogFit:
    """Compare log-probabilities with log-rewards of the same objects.

    Args:
        log_prob: (n,) estimates of log p(x).
        log_reward: (n,) log R(x).
        generator: random generator of the bootstrap.
        n_bootstrap: resamples of the objects.

    Raises:
        DataError: fewer than three objects, or all log-rewards are equal.
    """
    if len(log_prob) < 3 or float(log_reward.std()) == 0.0:
        raise DataError(f"a slope needs at least 3 objects with different rewards, not {len(log_prob)}")
    from scipy.stats import spearmanr

    prob, reward = log_prob.double().cpu(), log_reward.double().cpu()
    rows = torch.randint(len(prob), (n_bootstrap, len(prob)), generator=generator)
    slope = _slope(prob[None], reward[None])
    residual = (prob - prob.mean()) - slope * (reward - reward.mean())
    return LogLogFit(
        spearman=float(spearmanr(prob.numpy(), reward.numpy()).statistic),
        slope=float(slope),
        slope_error=float(_slope(prob[rows], reward[rows]).std()),
        residual=float(residual.std()),
    )


def _slope(prob: Tensor, reward: Tensor) -> Tensor:
    centred = reward - reward.mean(dim=1, keepdim=True)
    return (centred * prob).sum(dim=1) / centred.square().sum(dim=1)
