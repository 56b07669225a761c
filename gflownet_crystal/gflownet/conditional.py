"""A sampler's own distribution given that its objects lie in a smaller space, ``p(x | x in S) = p(x) / p(S)``.

The sampler under tighter masks has another distribution: each masked step gives the probability of the masked actions
to the remaining ones. Two ways give the conditional distribution:

* rejection: objects of the whole space, of which those in S are kept. Exact.
* weights: objects of the sampler under the tighter masks, of density q, with weights ``p(x) / q(x)`` by
  trajectories

      p^(x) = 1/K sum_k P_F(tau'_k) / P_B(tau'_k | x),    tau'_1 ... tau'_K ~ P_B(. | x),         in the whole space,
      q^(x) = 1/K sum_k Q_F(tau_k) / Q_B(tau_k | x),      tau_1 drew x, tau_2 ... tau_K ~ Q_B(. | x), in S.

  As the trajectory that drew the object takes part in q^ on the terms of the others, the mean of ``f(x) p^ / q^`` is
  exactly ``sum_S f(x) p(x)`` for every K (pseudo-marginal importance sampling; Andrieu and Roberts 2009): more
  trajectories make the weights less noisy, not more correct. Stages whose rules are the same in both spaces cancel.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from gflownet_crystal.common.errors import ConfigError, DataError
from gflownet_crystal.envs.base import Context
from gflownet_crystal.gflownet.likelihood import log_mean_exp, ratios_in_chunks
from gflownet_crystal.gflownet.log_probs import evaluate_stage
from gflownet_crystal.gflownet.model import GFlowNet
from gflownet_crystal.gflownet.rollout import draw_stage_backward, sample_forward


@torch.no_grad()
def sample_weighted(
    model: GFlowNet,
    narrow: GFlowNet,
    n: int,
    n_trajectories: int,
    generator: torch.Generator,
    batch_size: int = 4096,
) -> tuple[Context, Tensor]:
    """Sample under tighter masks, with the weights that turn the samples into those of the sampler given the space.

    Args:
        model: the sampler.
        narrow: the same weights in the smaller space, see :meth:`GFlowNet.in_env`.
        n: objects.
        n_trajectories: K, trajectories an object in each of the two spaces.
        generator: source of randomness, on the model's device.
        batch_size: backward trajectories evaluated at once.

    Returns:
        Terminal states of ``narrow``, and (n,) float64 log-weights; -inf for objects that the sampler cannot make.

    Raises:
        ConfigError: K below 1.
    """
    if n_trajectories < 1:
        raise ConfigError(f"the number of trajectories an object must be at least 1, not {n_trajectories}")
    drawn = sample_forward(narrow, n, generator)
    reached, inside = model.env.translate(drawn.terminal, narrow.env)
    if drawn.terminal.condition is not None:
        reached = replace(reached, condition=drawn.terminal.condition[inside])
    pairs = zip(model.env.stages, narrow.env.stages, strict=True)
    log_p = torch.zeros(reached.n, dtype=torch.float64, device=model.device)
    log_q = torch.zeros(n, dtype=torch.float64, device=model.device)
    for stage in [index for index, (wide, tight) in enumerate(pairs) if not wide.same_rules(tight)]:
        log_pf, log_pb = evaluate_stage(narrow, drawn.terminal, stage, drawn.stages[stage])
        others = _stage_ratios(narrow, drawn.terminal, stage, n_trajectories - 1, generator, batch_size)
        log_q += log_mean_exp(torch.cat([(log_pf - log_pb)[:, None], others], dim=1))
        log_p += log_mean_exp(_stage_ratios(model, reached, stage, n_trajectories, generator, batch_size))
    log_weight = torch.full_like(log_q, -math.inf)
    log_weight[inside] = log_p - log_q[inside]
    return drawn.terminal, log_weight


def _stage_ratios(
    model: GFlowNet, terminal: Context, stage: int, k: int, generator: torch.Generator, batch_size: int
) -> Tensor:
    """(n, k) ``log P_F - log P_B`` of backward trajectories through one stage."""
    if not k or not terminal.n:
        return torch.empty(terminal.n, k, dtype=torch.float64, device=terminal.device)

    def both(repeated: Context) -> tuple[Tensor, Tensor]:
        part, log_pb = draw_stage_backward(model, repeated, stage, generator)
        return evaluate_stage(model, repeated, stage, part, log_pb)

    return ratios_in_chunks(both, terminal, k, batch_size)


def resample(log_weight: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """Rows of weighted samples, drawn in proportion to their weights: systematic resampling.

    Each row is drawn ``n w / sum w`` times, rounded up or down so that this is its mean.

    Args:
        log_weight: (m,) up to a constant.
        n: rows to draw.
        generator: source of randomness, on the device of the weights.

    Returns:
        (n,) int64 rows in random order; some repeat where weights differ.

    Raises:
        DataError: no weight is positive, or one is not a number.
    """
    if bool(log_weight.isnan().any()) or not bool((log_weight > -math.inf).any()):
        raise DataError("resampling needs weights that are numbers, one of them above zero")
    upper = torch.softmax(log_weight.double(), 0).cumsum(0)
    start = torch.rand((), generator=generator, device=log_weight.device, dtype=torch.float64)
    marks = (torch.arange(n, device=log_weight.device) + start) / n * upper[-1]
    rows = torch.searchsorted(upper, marks, right=True).clamp(max=len(upper) - 1)
    return rows[torch.randperm(n, generator=generator, device=log_weight.device)]
