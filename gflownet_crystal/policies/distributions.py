"""Distributions over actions: masked categorical, and mixtures of Betas with a flag. Sums in float64.

A head turns a row of unconstrained network outputs into a distribution over exactly the allowed actions.
``log_prob`` is always the head's own normalised log-probability; a :class:`Behaviour` changes only how ``sample``
draws. A row of zeros is the uniform policy: equal probabilities, fair flags, and Betas with both concentrations 1.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Generic

import torch
from torch import Tensor
from torch.nn import functional

from gflownet_crystal.common.errors import ConfigError, PolicyError
from gflownet_crystal.envs.base import ActionT, Jump, JumpSupport, SupportT
from gflownet_crystal.policies.beta import beta_log_prob, bounded, sample_beta_log_odds

# keeps u * total strictly below total in float64, so a draw never lands on a masked action
_BELOW_ONE = 1.0 - 1e-12


@dataclass(frozen=True)
class Behaviour:
    """Changes to the policy's own distribution when actions are drawn.

    Attributes:
        exploration: probability of a uniformly drawn allowed action at each step, in [0, 1].
        temperature: logits are divided by it when drawing; 1 leaves them. Affects categorical choices and flags.
    """

    exploration: float = 0.0
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.exploration <= 1.0:
            raise ConfigError(f"exploration is a probability in [0, 1], not {self.exploration}")
        if not 0.0 < self.temperature < math.inf:
            raise ConfigError(f"temperature must be positive and finite, not {self.temperature}")


ON_POLICY = Behaviour()


class Head(ABC, Generic[SupportT, ActionT]):
    """Reads ``n_parameters`` network outputs a row as a distribution over the allowed actions."""

    n_parameters: int

    @abstractmethod
    def sample(
        self, parameters: Tensor, support: SupportT, generator: torch.Generator, behaviour: Behaviour
    ) -> ActionT:
        """One allowed action a row; a parameter that is not finite, see :meth:`usable`, counts as 0."""

    @staticmethod
    def usable(parameters: Tensor, behaviour: Behaviour) -> Tensor:
        """() bool: all parameters are finite when actions are drawn; :func:`check_usable` reads it."""
        return _over(parameters, behaviour.temperature).isfinite().all()

    @abstractmethod
    def log_prob(self, parameters: Tensor, support: SupportT, action: ActionT) -> Tensor:
        """(n,) float64 log-probability (density, for jumps) of each row's action."""

    @abstractmethod
    def forced(self, support: SupportT) -> Tensor:
        """(n,) bool: one action only, so its probability is 1 whatever the parameters."""

    @abstractmethod
    def initial_bias(self) -> Tensor:
        """(n_parameters,) float32 bias of an untrained network's last layer."""


class CategoricalHead(Head[Tensor, Tensor]):
    """A categorical distribution over the unmasked of ``n`` actions."""

    def __init__(self, n: int) -> None:
        self.n_parameters = n

    def sample(
        self, parameters: Tensor, support: Tensor, generator: torch.Generator, behaviour: Behaviour
    ) -> Tensor:
        logits = _masked(_finite(_over(parameters, behaviour.temperature)), support)
        weights = torch.softmax(logits, dim=1)
        if behaviour.exploration > 0.0:
            uniform = support / support.sum(dim=1, keepdim=True)
            weights = torch.lerp(weights, uniform.to(weights.dtype), behaviour.exploration)
        cumulative = weights.double().cumsum(dim=1)
        draw = torch.rand(len(support), 1, generator=generator, device=support.device, dtype=torch.float64)
        return torch.searchsorted(cumulative, draw * _BELOW_ONE * cumulative[:, -1:], right=True).squeeze(1)

    def log_prob(self, parameters: Tensor, support: Tensor, action: Tensor) -> Tensor:
        logits = _masked(parameters, support)
        chosen = logits.gather(1, action[:, None]).squeeze(1)
        return chosen.double() - torch.logsumexp(logits, dim=1).double()

    def forced(self, support: Tensor) -> Tensor:
        return support.sum(dim=1) == 1

    def initial_bias(self) -> Tensor:
        return torch.zeros(self.n_parameters)


def check_usable(usable: Tensor) -> None:
    """Refuse actions drawn with parameters that are not finite; the host waits for a GPU here.

    Args:
        usable: () bool of :meth:`Head.usable`.

    Raises:
        PolicyError: they were not.
    """
    if not bool(usable):
        raise PolicyError(
            "the policy's outputs are not finite: its weights have diverged, or the temperature is too small; lower "
            "trainer.learning_rate, or raise trainer.temperature"
        )


def _finite(parameters: Tensor) -> Tensor:
    return parameters.nan_to_num(0.0, 0.0, 0.0)


def _over(parameters: Tensor, temperature: float) -> Tensor:
    return parameters if temperature == 1.0 else parameters / temperature


def _masked(logits: Tensor, mask: Tensor) -> Tensor:
    return logits.masked_fill(~mask, float("-inf"))


class JumpHead(Head[JumpSupport, Jump]):
    """A Bernoulli flag and, where it is not raised, a mixture of Betas over the fraction jumped in each dimension.

    Parameters of a row: the flag's logit; the mixture logits; and for each component and dimension the log-odds of
    the mean and the log of half the concentration ``alpha + beta``.

    Args:
        dimensions: d of the box.
        n_components: number of components of the mixture.
        concentration_range: smallest and largest Beta parameter.
        joint: one mixture weight a component, shared by all dimensions (dimensions correlate through the
            components); else each dimension has its own weights, as in Crystal-GFN.
        initial_flag: probability of the flag before training.
    """

    def __init__(
        self,
        dimensions: int,
        n_components: int = 5,
        concentration_range: tuple[float, float] = (0.1, 1e4),
        joint: bool = True,
        initial_flag: float = 0.5,
    ) -> None:
        low, high = concentration_range
        if n_components < 1 or not 0.0 < low <= 1.0 <= high < math.inf:
            raise ConfigError(
                f"a Beta mixture needs components >= 1 and finite 0 < low <= 1 <= high; "
                f"got {n_components} and {low}, {high}"
            )
        self.dimensions, self.n_components, self.joint = dimensions, n_components, joint
        self.low, self.high, self.initial_flag = low, high, initial_flag
        self.n_weights = n_components if joint else n_components * dimensions
        self.n_parameters = 1 + self.n_weights + 2 * n_components * dimensions

    def sample(
        self, parameters: Tensor, support: JumpSupport, generator: torch.Generator, behaviour: Behaviour
    ) -> Jump:
        flag_logit, log_weights, alpha, beta = self._split(_finite(parameters))
        rows = len(support)

        def uniform(*shape: int) -> Tensor:
            return torch.rand(*shape, generator=generator, device=parameters.device, dtype=torch.float64)

        explores = uniform(rows) < behaviour.exploration
        flag_probability = torch.sigmoid(flag_logit / behaviour.temperature).masked_fill(explores, 0.5)
        flag = support.flag_forced | (support.flag_allowed & (uniform(rows) < flag_probability))
        gumbel = -torch.log(-torch.log(uniform(*log_weights.shape).clamp(1e-300, 1 - 1e-16)))
        component = (log_weights + gumbel).argmax(dim=2, keepdim=True).expand(-1, self.dimensions, -1)
        chosen_alpha, chosen_beta = (part.gather(2, component).squeeze(2) for part in (alpha, beta))
        log_odds = sample_beta_log_odds(chosen_alpha, chosen_beta, generator)
        spread = torch.logit(uniform(rows, self.dimensions), eps=1e-300)
        return Jump(flag, torch.where(explores[:, None], spread, log_odds))

    def log_prob(self, parameters: Tensor, support: JumpSupport, action: Jump) -> Tensor:
        if parameters.stride(0) == 0:
            # one row in the place of all, as a constant policy gives it
            parameters = parameters[:1]
        flag_logit, log_weights, alpha, beta = self._split(parameters)
        density = beta_log_prob(action.log_odds[:, :, None], alpha, beta) - support.log_width[:, :, None]
        jumps = support.free & ~action.flag[:, None]
        density = density.masked_fill(~jumps[:, :, None], 0.0)
        if self.joint:
            moved = torch.logsumexp(log_weights[:, 0] + density.sum(dim=1), dim=1)
        else:
            moved = torch.logsumexp(log_weights + density, dim=2).masked_fill(~support.free, 0.0).sum(dim=1)
        undecided = support.flag_allowed & ~support.flag_forced
        log_flag = functional.logsigmoid(torch.where(action.flag, flag_logit, -flag_logit)).masked_fill(
            ~undecided, 0.0
        )
        impossible = action.flag & ~(support.flag_allowed | support.flag_forced)
        return (log_flag + moved.masked_fill(action.flag, 0.0)).masked_fill(impossible, -math.inf)

    def forced(self, support: JumpSupport) -> Tensor:
        return support.flag_forced

    def initial_bias(self) -> Tensor:
        bias = torch.zeros(self.n_parameters)
        bias[0] = torch.logit(torch.tensor(self.initial_flag))
        means = (torch.arange(self.n_components) + 0.5) / self.n_components
        log_odds = torch.logit(means)[None, :].expand(self.dimensions, -1).reshape(-1)
        if self.n_components > 1:
            start = 1 + self.n_weights
            bias[start : start + len(log_odds)] = log_odds
        return bias

    def _split(self, parameters: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Flag logit (n,), log mixture weights (n, 1 or d, k), alpha and beta (n, d, k), all float64."""
        sizes = [1, self.n_weights, self.n_components * self.dimensions, self.n_components * self.dimensions]
        flag, weights, mean, scale = parameters.double().split(sizes, dim=1)
        # no size is left open: a batch may have no rows
        rows, n_mixtures = len(parameters), self.n_weights // self.n_components
        shape = (rows, self.dimensions, self.n_components)
        log_weights = torch.log_softmax(weights.reshape(rows, n_mixtures, self.n_components), dim=2)
        log_scale, mean_logit = math.log(2.0) + scale.reshape(shape), mean.reshape(shape)
        limits = (math.log(self.low), math.log(self.high))
        alpha = bounded(log_scale + functional.logsigmoid(mean_logit), *limits).exp()
        beta = bounded(log_scale + functional.logsigmoid(-mean_logit), *limits).exp()
        return flag.squeeze(1), log_weights, alpha, beta
