"""Sequential Monte Carlo: an estimate of the target R/Z, independent of the tested sampler.

Particles spread uniformly over the space are led to the target through ``pi_b(x) ~ R(x)^b``, b from 0 to 1: each stage
reweights, resamples, and moves the particles by Metropolis steps that leave ``pi_b`` invariant (Del Moral, Doucet and
Jasra 2006, "Sequential Monte Carlo samplers", section 3; the next b keeps a set share of effective particles).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gflownet_crystal.common.batch import TensorBatch
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.proxies.reward import Reward

Objects = Any
"""A batch of objects as the proxy takes them: a tensor or a ``TensorBatch``, indexed by rows."""


@dataclass(frozen=True)
class Proposal:
    """Where a move would take n particles.

    Attributes:
        objects: n objects; those outside the space are never looked at.
        inside: (n,) bool; in the space.
        log_ratio: (n,) float64 log of the density of the way back over that of the way there, with respect to the
            reference measure; zero for symmetric moves.
    """

    objects: Objects
    inside: Tensor
    log_ratio: Tensor


Move = Callable[[Objects, torch.Generator], Proposal]


@dataclass(frozen=True)
class Particles:
    """A weighted population, here always of equal weights.

    Attributes:
        objects: n objects.
        log_reward: (n,) float64.
        value: (n,) float64, the proxy's property.
    """

    objects: Objects
    log_reward: Tensor
    value: Tensor


@dataclass(frozen=True)
class Annealed:
    """Result of sequential Monte Carlo.

    Attributes:
        particles: an equally weighted sample of the target.
        log_mean_reward: estimate of the log of the mean of R over the uniform distribution: log Z less the log of the
            space's size.
        exponents: the values b that were visited, the last being 1.
        acceptance: share of accepted proposals of each move at b = 1.
    """

    particles: Particles
    log_mean_reward: float
    exponents: tuple[float, ...]
    acceptance: tuple[float, ...]


def anneal(
    start: Objects,
    reward: Reward,
    moves: Sequence[Move],
    generator: torch.Generator,
    sweeps: int = 5,
    first_sweeps: int = 50,
    last_sweeps: int = 50,
    effective_share: float = 0.8,
) -> Annealed:
    """Lead particles from anywhere in the space to the target.

    Args:
        start: n objects of the space; ``first_sweeps`` uniform steps make them forget how they were made.
        reward: the target's log R, evaluated in batches of at most n.
        moves: each is tried once a sweep, on all particles.
        generator: source of randomness on the particles' device.
        sweeps: number of sweeps at each exponent.
        first_sweeps: number of sweeps at b = 0.
        last_sweeps: number of sweeps at b = 1.
        effective_share: share of effective particles that one reweighting keeps, in (0, 1).

    Raises:
        ConfigError: ``effective_share`` is out of range.
    """
    if not 0.0 < effective_share < 1.0:
        raise ConfigError(f"effective_share lies between 0 and 1, not {effective_share}")
    for _ in range(first_sweeps):
        for move in moves:
            start = _spread(start, move, generator)
    particles = score(start, reward)
    exponents, log_mean = [0.0], 0.0
    while exponents[-1] < 1.0:
        following = _next_exponent(particles.log_reward, exponents[-1], effective_share)
        log_weight = (following - exponents[-1]) * particles.log_reward
        log_mean += float(torch.logsumexp(log_weight, dim=0)) - math.log(len(log_weight))
        particles = _take(particles, systematic_resample(log_weight, generator))
        exponents.append(following)
        particles, acceptance = walk(particles, reward, moves, generator, following, sweeps)
    particles, acceptance = walk(particles, reward, moves, generator, 1.0, last_sweeps)
    return Annealed(particles, log_mean, tuple(exponents), acceptance)


def walk(
    particles: Particles,
    reward: Reward,
    moves: Sequence[Move],
    generator: torch.Generator,
    exponent: float = 1.0,
    sweeps: int = 1,
) -> tuple[Particles, tuple[float, ...]]:
    """Metropolis-Hastings steps that leave ``R^exponent`` invariant.

    Returns:
        The moved particles, and the share of accepted proposals of each move.
    """
    accepted = torch.zeros(len(moves), dtype=torch.float64)
    for _ in range(sweeps):
        for place, move in enumerate(moves):
            particles, share = _step(particles, reward, move, generator, exponent)
            accepted[place] += share / sweeps
    return particles, tuple(accepted.tolist())


def score(objects: Objects, reward: Reward) -> Particles:
    """Objects with their log-rewards and values."""
    scored = reward(objects)
    return Particles(objects, scored.log_reward.double(), scored.prediction.value)


def systematic_resample(log_weight: Tensor, generator: torch.Generator) -> Tensor:
    """(n,) int64 rows drawn in proportion to ``exp(log_weight)``, each within one of its expected number of copies."""
    n = len(log_weight)
    cumulative = torch.softmax(log_weight, dim=0).cumsum(dim=0)
    offset = torch.rand(1, generator=generator, device=log_weight.device, dtype=torch.float64)
    combs = (torch.arange(n, device=log_weight.device) + offset) / n * cumulative[-1]
    return torch.searchsorted(cumulative, combs).clamp(max=n - 1)


def _spread(objects: Objects, move: Move, generator: torch.Generator) -> Objects:
    proposal = move(objects, generator)
    accepted = (_log_uniform(proposal.log_ratio, generator) < proposal.log_ratio) & proposal.inside
    rows = accepted.nonzero().squeeze(1)
    return _put(objects, rows, proposal.objects[rows])


def _step(
    particles: Particles, reward: Reward, move: Move, generator: torch.Generator, exponent: float
) -> tuple[Particles, float]:
    proposal = move(particles.objects, generator)
    rows = proposal.inside.nonzero().squeeze(1)
    if not len(rows):
        return particles, 0.0
    candidates = score(proposal.objects[rows], reward)
    gain = exponent * (candidates.log_reward - particles.log_reward[rows]) + proposal.log_ratio[rows]
    kept = _log_uniform(gain, generator) < gain
    places, chosen = rows[kept], _take(candidates, kept.nonzero().squeeze(1))
    moved = Particles(
        _put(particles.objects, places, chosen.objects),
        particles.log_reward.index_copy(0, places, chosen.log_reward),
        particles.value.index_copy(0, places, chosen.value),
    )
    return moved, len(places) / len(particles.log_reward)


def _next_exponent(log_reward: Tensor, exponent: float, effective_share: float) -> float:
    """Largest exponent up to 1 whose weights leave the share of effective particles, by bisection."""
    low, high = exponent, 1.0
    if _effective_share((high - exponent) * log_reward) >= effective_share:
        return 1.0
    # 60 halvings resolve steps far below any that rewards of a float64 could ask for
    for _ in range(60):
        middle = 0.5 * (low + high)
        enough = _effective_share((middle - exponent) * log_reward) >= effective_share
        low, high = (middle, high) if enough else (low, middle)
    return high


def _effective_share(log_weight: Tensor) -> float:
    log_effective = 2.0 * torch.logsumexp(log_weight, dim=0) - torch.logsumexp(2.0 * log_weight, dim=0)
    return math.exp(float(log_effective)) / len(log_weight)


def _take(particles: Particles, rows: Tensor) -> Particles:
    return Particles(particles.objects[rows], particles.log_reward[rows], particles.value[rows])


def _put(objects: Objects, rows: Tensor, others: Objects) -> Objects:
    if isinstance(objects, TensorBatch):
        return objects.put(rows, others)
    return objects.index_copy(0, rows, others)


def _log_uniform(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.rand(like.shape, generator=generator, device=like.device, dtype=torch.float64).log()
