"""Measures of a sampler from its samples: coverage of its space, diversity, proportion to the reward.

Distances between samples and the fit of log p to log R are in :mod:`~gflownet_crystal.evaluation.agreement`, estimates
of log p in :mod:`~gflownet_crystal.gflownet.likelihood`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.crystallography.space_groups import first_hand_of_group
from gflownet_crystal.evaluation.agreement import total_variation
from gflownet_crystal.evaluation.exact import terminal_distribution
from gflownet_crystal.gflownet.model import GFlowNet
from gflownet_crystal.proxies.reward import Reward
from gflownet_crystal.structures.spec import CrystalSpec


@dataclass(frozen=True)
class Occurrence:
    """Coverage of the space by the samples.

    Attributes:
        n_admitted: classes that the space admits.
        n_seen: number of admitted classes that occur.
        share: share of the admitted that occur.
        effective: number of equally frequent classes with the same entropy, the Hill number of order 1 (M. O. Hill,
            Ecology 54, 427, 1973).
    """

    n_admitted: int
    n_seen: int
    share: float
    effective: float


def occurrence(count: Tensor, admitted: Tensor) -> Occurrence:
    """Classes that occur among those admitted.

    Args:
        count: (k,) how often each class occurs.
        admitted: (k,) bool, classes that can occur.

    Raises:
        DataError: no class is admitted, or one that is not occurs.
    """
    if not bool(admitted.any()) or bool((count[~admitted] > 0).any()):
        raise DataError(
            "every class must be among the allowed ones, and there must be at least one allowed class"
        )
    frequency = count.double() / count.sum().clamp(min=1)
    entropy = -torch.special.xlogy(frequency, frequency).sum()
    n_seen, n_admitted = int((count > 0).sum()), int(admitted.sum())
    return Occurrence(n_admitted, n_seen, n_seen / n_admitted, math.exp(float(entropy)) if n_seen else 0.0)


@dataclass(frozen=True)
class Diversity:
    """Diversity of the best samples.

    Attributes:
        n: samples looked at.
        n_formulas: different reduced formulas.
        n_space_groups: different groups.
        n_elements: different elements.
        composition_distance: mean over pairs of half the sum of absolute differences of element fractions: 0 for one
            composition, 1 for no shared element; NaN for one sample.
        volume_spread: standard deviation of the log of the volume per atom.
    """

    n: int
    n_formulas: int
    n_space_groups: int
    n_elements: int
    composition_distance: float
    volume_spread: float


def top_diversity(specs: CrystalSpec, log_reward: Tensor, k: int = 100) -> Diversity:
    """Diversity of the k samples of highest reward, repeats of a formula, group and volume left out.

    Args:
        specs: n samples.
        log_reward: (n,).
        k: samples at most.

    Raises:
        DataError: no samples.
    """
    if not len(specs):
        raise DataError("diversity needs at least one sample")
    order = log_reward.argsort(descending=True, stable=True)
    chosen: list[int] = []
    seen: set[tuple[str, int, float]] = set()
    formulas = specs.reduced_formulas()
    # two decimals of the log volume: equal within one per cent
    volumes = specs.volume_per_atom.log().mul(100).round().tolist()
    # mirror images are one crystal
    groups = first_hand_of_group[specs.space_group.cpu().numpy()].tolist()
    for row in order.tolist():
        key = formulas[row], groups[row], volumes[row]
        if key not in seen and len(chosen) < k:
            seen.add(key)
            chosen.append(row)
    best = specs[torch.tensor(chosen, device=specs.device)]
    fractions = best.fractions
    apart = 0.5 * torch.cdist(fractions, fractions, p=1.0)
    n = len(chosen)
    return Diversity(
        n=n,
        n_formulas=len({formulas[row] for row in chosen}),
        n_space_groups=len({groups[row] for row in chosen}),
        n_elements=int((best.composition > 0).any(0).sum()),
        composition_distance=float(apart.sum()) / (n * (n - 1)) if n > 1 else math.nan,
        volume_spread=float(best.volume_per_atom.log().std(correction=0)),
    )


def effective_sample_size(log_weight: Tensor) -> float:
    """Number of unweighted samples of the same precision as weighted ones, ``(sum w)^2 / sum w^2`` (L. Kish, 1965).

    With weights R / p it says how well the sampler's objects stand for the target: n for a perfect sampler.

    Args:
        log_weight: (n,) log of weights, up to a constant.

    Raises:
        DataError: no weights, or one that is not a number.
    """
    if not len(log_weight) or bool(log_weight.isnan().any()):
        raise DataError("an effective sample size needs weights that are numbers")
    weight = log_weight.double()
    return math.exp(float(2.0 * torch.logsumexp(weight, 0) - torch.logsumexp(2.0 * weight, 0)))


def spearman_error(
    first: Tensor, second: Tensor, generator: torch.Generator, n_bootstrap: int = 200
) -> float:
    """Bootstrap standard error of the rank correlation of two quantities (n,) of the same objects."""
    from scipy.stats import spearmanr

    rows = torch.randint(len(first), (n_bootstrap, len(first)), generator=generator)
    pairs = zip(first.cpu()[rows], second.cpu()[rows], strict=True)
    return float(torch.tensor([spearmanr(x.numpy(), y.numpy()).statistic for x, y in pairs]).std())


@dataclass(frozen=True)
class Exactness:
    """A sampler against its target, over all objects of an enumerable space.

    Attributes:
        n_objects: that the sampler can make.
        total_variation: between the sampler's distribution and R / Z, in [0, 1].
        kl: Kullback-Leibler divergence of R / Z from the sampler's distribution, in nats.
        log_z: true log Z.
        log_z_error: the model's log Z minus the true one.
    """

    n_objects: int
    total_variation: float
    kl: float
    log_z: float
    log_z_error: float


@torch.no_grad()
def distance_to_exact(model: GFlowNet, reward: Reward, batch_size: int = 16_384) -> Exactness:
    """Compare a sampler of discrete objects with R / Z by enumeration.

    Args:
        model: all of whose stages are discrete, with a space that fits into memory.
        reward: reward of the objects.
        batch_size: objects and states evaluated at once.

    Raises:
        ConfigError: a stage is continuous.
    """
    terminal, probability = terminal_distribution(model, batch_size)
    rows = torch.arange(len(probability), device=probability.device).split(batch_size)
    log_reward = torch.cat(
        [reward(model.env.objects(terminal[chosen])).log_reward for chosen in rows]
    ).double()
    log_z = torch.logsumexp(log_reward, 0)
    target = (log_reward - log_z).exp()
    kl = torch.special.xlogy(target, target).sum() - torch.special.xlogy(target, probability).sum()
    return Exactness(
        n_objects=len(probability),
        total_variation=total_variation(probability, target),
        kl=float(kl),
        log_z=float(log_z),
        log_z_error=float(model.log_z.detach()) - float(log_z),
    )
