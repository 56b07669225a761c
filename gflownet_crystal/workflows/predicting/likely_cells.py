"""Likely space groups, numbers of formula units and cells of a formula, by a prior and by known prototypes.

A sampler chooses the space group before the composition, so its draws under the masks of a formula do not follow
``p(group, composition | formula)``. There are few pairs of a group and a composition, so this is computed exactly: the
probability of each pair sums over all orders of choosing. The prior knows chemistry, the table of Wyckoff assignments
counts how many known crystals have the group and the counts, whatever their elements; the two are averaged.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from gflownet_crystal.crystallography.cells import lattice_points
from gflownet_crystal.crystallography.space_groups import N_SPACE_GROUPS
from gflownet_crystal.envs.base import Context
from gflownet_crystal.envs.composition.listed_masks import ListedMasks
from gflownet_crystal.envs.composition.patterns import FormulaPattern
from gflownet_crystal.envs.composition.rules import CompositionRules
from gflownet_crystal.envs.composition.stage import CompositionStage, CompositionState
from gflownet_crystal.envs.crystal import Crystal
from gflownet_crystal.envs.space_group import SpaceGroupState
from gflownet_crystal.generators.assignments.table import AssignmentTable, keys_of
from gflownet_crystal.gflownet.model import GFlowNet
from gflownet_crystal.gflownet.rollout import sample_stage
from gflownet_crystal.structures.elements import N_ATOMIC_NUMBERS
from gflownet_crystal.structures.spec import CrystalSpec

_ROWS = 2048
_MOSTLY = 0.9
_UNLIKELY = 1e-5
"""Probability of a space group below which its compositions are not looked at."""


@dataclass(frozen=True)
class CellKinds:
    """Space groups with compositions of the conventional cell, n pairs.

    Attributes:
        space_group: (n,) int64 ITA numbers.
        composition: (n, 119) int64 counts by atomic number.
    """

    space_group: Tensor
    composition: Tensor

    def __len__(self) -> int:
        return len(self.space_group)


def kinds_of(
    pattern: FormulaPattern, groups: Sequence[int], most_atoms: int, elements: Sequence[str]
) -> CellKinds:
    """All pairs of a group and a composition of a formula that fits its Wyckoff positions; none if it is too large.

    Args:
        pattern: the formula; its charges need not balance.
        groups: space groups that are allowed.
        most_atoms: largest number of atoms in the primitive cell.
        elements: symbols that may be present.

    Raises:
        EmptySpaceError: no composition has the formula, whatever the group.
    """
    points = lattice_points(torch.arange(N_SPACE_GROUPS + 1))
    most = most_atoms * int(points[list(groups)].max())
    if pattern.n_atoms > most:
        return CellKinds(points[:0], torch.zeros(0, N_ATOMIC_NUMBERS, dtype=torch.int64))
    rules = CompositionRules(
        elements,
        max_count=most,
        n_elements=(1, len(pattern.parts)),
        n_atoms=(1, most),
        formulas=(pattern,),
        charge_balance=False,
    ).of_usable_elements()
    masks = ListedMasks(rules, groups)
    fits = masks.fits[masks.kind_of]
    few = masks.wholes.sum(dim=1) <= most_atoms * points[:, None]
    group, whole = (fits & few).nonzero().unbind(dim=1)
    composition = torch.zeros(len(masks.wholes), N_ATOMIC_NUMBERS, dtype=torch.int64)
    composition[:, rules.atomic_numbers] = masks.wholes
    return CellKinds(group, composition[whole])


@torch.no_grad()
def log_prior(model: GFlowNet, kinds: CellKinds) -> Tensor:
    """Log-probabilities of pairs under a sampler, (n,) float64; -inf for those that it makes hardly ever, or never.

    Args:
        model: sampler of crystals.
        kinds: n pairs of one number of elements.
    """
    env = cast(Crystal, model.env)
    result = torch.full((len(kinds),), -math.inf, dtype=torch.float64)
    by_group = log_prior_of_groups(model)
    counts = kinds.composition[:, env.atomic_numbers.cpu()]
    inside = (counts.sum(dim=1) == kinds.composition.sum(dim=1)) & (
        by_group[kinds.space_group] > math.log(_UNLIKELY)
    )
    rows = (inside & (counts.amax(dim=1) <= env.composition.n_counts)).nonzero().squeeze(1)
    if not len(rows):
        return result
    n_elements = int((kinds.composition > 0).sum(dim=1).max())
    for some in rows.split(max(1, _ROWS >> n_elements)):
        group, own = kinds.space_group[some].to(model.device), counts[some].to(model.device)
        found = _log_prior_of_compositions(model, env.composition, env.space_group.terminal(group), own)
        result[some] = by_group[kinds.space_group[some]] + found.cpu()
    return result


@torch.no_grad()
def log_prior_of_groups(model: GFlowNet) -> Tensor:
    """(231,) float64 log-probabilities of the space groups under a sampler; -inf for those that it never chooses."""
    stage = cast(Crystal, model.env).space_group
    log_prob = torch.full((N_SPACE_GROUPS + 1,), -math.inf, dtype=torch.float64, device=model.device)
    context = model.env.empty_context(1, model.device)
    state, weight = stage.source(context), torch.zeros(1, dtype=torch.float64, device=model.device)
    for _ in range(stage.max_transitions):
        here = model.env.empty_context(len(weight), model.device)
        support = stage.forward_support(state, here)
        row, action = support.nonzero().unbind(dim=1)
        parameters = model.forward_parameters(0, state, here)
        head = model.forward_heads[0]
        step = head.log_prob(parameters[row], support[row], action)
        child = stage.step(state[row], action, model.env.empty_context(len(row), model.device))
        weight = weight[row] + step
        done = child.group > 0
        reached = torch.zeros_like(log_prob).index_add(0, child.group[done], weight[done].exp())
        log_prob = torch.logaddexp(log_prob, reached.log())
        state, weight = child[~done], weight[~done]
        if not len(weight):
            break
    return log_prob.cpu()


def _log_prior_of_compositions(
    model: GFlowNet, stage: CompositionStage, group: SpaceGroupState, counts: Tensor
) -> Tensor:
    """(n,) float64 log-probabilities of compositions (n, E) in their groups, summed over all orders of the elements."""
    n, device = len(counts), counts.device
    m = int((counts > 0).sum(dim=1).max())
    elements = (counts > 0).long().argsort(dim=1, descending=True, stable=True)[:, :m]
    bits = torch.arange(2**m, device=device)[:, None] >> torch.arange(m, device=device) & 1
    part = torch.zeros(2**m, *counts.shape, dtype=torch.int64, device=device)
    part.scatter_(2, elements.expand(2**m, -1, -1), bits[:, None] * counts.gather(1, elements))
    state = CompositionState(part.flatten(0, 1), torch.zeros(n << m, dtype=torch.bool, device=device))
    row = torch.arange(n, device=device).repeat(2**m)
    context = Context(n, device, (group,))[row]
    support = stage.forward_support(state, context)
    parameters = model.forward_parameters(1, state, context)
    number = counts.gather(1, elements)
    stop = torch.full((n, 1), stage.n_vocabulary * stage.n_counts, device=device)
    actions = torch.cat([elements * stage.n_counts + (number - 1).clamp(min=0), stop], dim=1)
    step = torch.stack(
        [_log_prob_of(model, parameters, support, action.repeat(2**m)) for action in actions.T], dim=-1
    ).view(2**m, n, m + 1)
    reached = torch.full((2**m, n), -math.inf, dtype=torch.float64, device=device)
    reached[0] = 0.0
    # a set of elements has a larger number than each of its parts
    for subset in range(1, 2**m):
        ways = [
            reached[subset ^ (1 << k)] + step[subset ^ (1 << k), :, k] for k in range(m) if subset >> k & 1
        ]
        reached[subset] = torch.logsumexp(torch.stack(ways), dim=0)
    return reached[-1] + step[-1, :, m]


def _log_prob_of(model: GFlowNet, parameters: Tensor, support: Tensor, action: Tensor) -> Tensor:
    """(n,) float64 log-probabilities of actions of the composition stage; -inf for those that are masked."""
    allowed = support.gather(1, action[:, None]).squeeze(1)
    rows = allowed.nonzero().squeeze(1)
    found = torch.full((len(action),), -math.inf, dtype=torch.float64, device=action.device)
    found[rows] = model.forward_heads[1].log_prob(parameters[rows], support[rows], action[rows])
    return found


def known_crystals(table: AssignmentTable, kinds: CellKinds) -> Tensor:
    """(n,) float64: number of known crystals of each pair's group and counts, whatever their elements."""
    keys, _ = keys_of(kinds.space_group, kinds.composition)
    return torch.tensor([float(sum(table.seen(key).values())) for key in keys], dtype=torch.float64)


def probabilities(
    kinds: CellKinds, model: GFlowNet, table: AssignmentTable, by_table: float, log_p: Tensor | None = None
) -> Tensor:
    """(n,) float64 probabilities of pairs that sum to 1.

    Args:
        kinds: n pairs of one formula.
        model: the prior; where none of the pairs is in its space, its space groups alone count, for little.
        table: assignments of known crystals.
        by_table: share of the table in the average.
        log_p: log-probabilities under the prior where they are known.
    """
    log_p = log_prior(model, kinds) if log_p is None else log_p
    if not bool(log_p.isfinite().any()):
        # groups alone say little
        by_table = max(by_table, _MOSTLY)
        by_group = log_prior_of_groups(model)[kinds.space_group]
        log_p = by_group if bool(by_group.isfinite().any()) else torch.zeros_like(by_group)
    prior, known = torch.softmax(log_p, dim=0), known_crystals(table, kinds)
    total = float(known.sum())
    return prior if not total else (1.0 - by_table) * prior + by_table * known / total


def allotted(probability: Tensor, n: int) -> Tensor:
    """(n,) int64: rows of pairs, each as often as its probability asks for, the likely ones first.

    Every one of the likeliest pairs comes once before any comes again for the probability that is left.
    """
    order = probability.argsort(descending=True, stable=True)
    wanted = torch.ceil(probability[order] * n).long().clamp(min=1)
    rows = order.repeat_interleave(wanted)
    return rows[:n]


@torch.no_grad()
def draw_cells(model: GFlowNet, kinds: CellKinds, rows: Tensor, seed: int) -> CrystalSpec:
    """Specs of some pairs with lattices that the sampler draws.

    Args:
        model: sampler of crystals, whose elements include those of the pairs.
        kinds: pairs.
        rows: (n,) int64 of them.
        seed: random seed.
    """
    env = cast(Crystal, model.env)
    generator = torch.Generator(model.device).manual_seed(seed)
    group = kinds.space_group[rows].to(model.device)
    counts = kinds.composition[rows].to(model.device)[:, env.atomic_numbers]
    stopped = torch.ones(len(rows), dtype=torch.bool, device=model.device)
    states = (env.space_group.terminal(group), CompositionState(counts, stopped))
    context = Context(len(rows), model.device, states)
    return env.objects(context.extended(sample_stage(model, context, generator)))
