"""Edge-gated convolution on a block of links, and its gradient, without the matrix products.

Chains of cheap steps on (R, F) numbers each, bound by memory: compiled they become a few loops, which read and write
every number once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import silu

NORM_EPSILON = 1e-5
# dtypes, norm or none, shared states or not, a gradient or not
_MOST_CASES = 64
_aten = torch.ops.aten

Norm = tuple[Tensor, Tensor]
"""(F,) scale and shift of a layer norm."""

Links = tuple[Tensor, Tensor, Tensor, Tensor | None]
"""Of R links: (R,) receiver, (R,) sender, (R, 1) weight, and (R,) row of their state, None if each has its own."""


@dataclass(frozen=True)
class Kernels:
    """:func:`aggregate` and :func:`aggregate_backward`, as they are or compiled."""

    aggregate: Callable[..., tuple[Tensor | None, list[Tensor]]]
    aggregate_backward: Callable[..., tuple[Tensor, Tensor | None]]


def aggregate(
    products: Tensor,
    state: Tensor,
    nodes: tuple[Tensor, Tensor, Tensor],
    links: Links,
    norm: Norm | None,
    messages: Tensor,
    totals: Tensor,
    keeps: bool,
) -> tuple[Tensor | None, list[Tensor]]:
    """Add the gated messages of a block of links to their receiving nodes.

    Args:
        products: (S, F), the products C y of the states.
        state: (S, F), the states y; tensors are kept in their dtype.
        nodes: (nodes, F) each, the products A x, B x and V x.
        links: links of the block.
        norm: normalisation of new states; None if none are wanted.
        messages: (nodes, F), sums of weighted values, updated in place.
        totals: (nodes, F), sums of gates, updated in place.
        keeps: whether tensors for a gradient are returned.

    Returns:
        New states (R, F) or None, and the tensors of the gradient: the z of the links, then the moments of their norm.
    """
    (receive, send, value), (receiver, sender, weight, state_row) = nodes, links
    sums = products.to(value.dtype)
    if state_row is not None:
        sums, state = sums.index_select(0, state_row), state.index_select(0, state_row)
    sums = sums + receive.index_select(0, receiver)
    sums += send.index_select(0, sender)
    gate = torch.sigmoid(sums).mul_(weight)
    totals.index_add_(0, receiver, gate)
    gate *= value.index_select(0, sender)
    messages.index_add_(0, receiver, gate)
    updated: Tensor | None = None
    moments: list[Tensor] = []
    if norm is not None:
        normed, *moments = torch.native_layer_norm(sums, norm[0].shape, *norm, NORM_EPSILON)
        updated = silu(normed, inplace=True).add_(state).to(state.dtype)
    return updated, [sums.to(state.dtype), *moments] if keeps else []


def aggregate_backward(
    kept: list[Tensor],
    d_updated: Tensor | None,
    value: Tensor,
    links: Links,
    norm: Norm | None,
    d_aggregated: tuple[Tensor, Tensor],
    d_nodes: tuple[Tensor, Tensor, Tensor],
    d_norm: Norm | None,
    n_states: int,
    weighs: bool,
) -> tuple[Tensor, Tensor | None]:
    """The gradient of :func:`aggregate`: (S, F) of the products, and (R, 1) of the weights or None.

    Args:
        kept: tensors kept by :func:`aggregate`.
        d_updated: (R, F) gradient of the new states.
        value: (nodes, F) V x.
        links: links of the block.
        norm: normalisation of new states.
        d_aggregated: (nodes, F) gradients of messages and totals.
        d_nodes: (nodes, F) to which those of A x, B x and V x are added.
        d_norm: (F,) to which those of scale and shift are added.
        n_states: S.
        weighs: whether the gradient of the weights is wanted.
    """
    (receiver, sender, weight, state_row), (d_receive, d_send, d_value) = links, d_nodes
    sums = kept[0].to(value.dtype)
    gate = torch.sigmoid(sums)
    incoming = d_aggregated[0].index_select(0, receiver)
    d_value.index_add_(0, sender, (incoming * gate).mul_(weight))
    incoming *= value.index_select(0, sender)
    incoming += d_aggregated[1].index_select(0, receiver)
    d_weight = (incoming * gate).sum(1, keepdim=True) if weighs else None
    d_sums = _aten.sigmoid_backward(incoming.mul_(weight), gate)
    if norm is not None and d_norm is not None and d_updated is not None:
        d_sums = d_sums + _norm_backward(d_updated, sums, kept[1:], norm, d_norm)
    d_receive.index_add_(0, receiver, d_sums)
    d_send.index_add_(0, sender, d_sums)
    return by_state(d_sums, state_row, n_states), d_weight


def by_state(gradient: Tensor, state_row: Tensor | None, n_states: int) -> Tensor:
    """Gradients of links (R, F) as those of the states that they share, (S, F)."""
    if state_row is None:
        return gradient
    return gradient.new_zeros(n_states, gradient.shape[1]).index_add_(0, state_row, gradient)


def _norm_backward(gradient: Tensor, sums: Tensor, moments: list[Tensor], norm: Norm, d_norm: Norm) -> Tensor:
    """Gradient of SiLU(norm(sums)) for its argument; those for scale and shift are added to ``d_norm``."""
    shape: Any = norm[0].shape
    normed = torch.native_layer_norm(sums, shape, *norm, NORM_EPSILON)[0]
    d_normed = _aten.silu_backward(gradient.to(sums.dtype), normed)
    through, *d_affine = _aten.native_layer_norm_backward(d_normed, sums, shape, *moments, *norm, [True] * 3)
    for total, part in zip(d_norm, d_affine, strict=True):
        total += part
    d_sums: Tensor = through
    return d_sums


EAGER = Kernels(aggregate, aggregate_backward)


@cache
def compiled_kernels() -> Kernels:
    """The kernels, compiled for any number of nodes and links: some seconds for each case, when it first occurs."""
    settings: Any = torch._dynamo.config
    # the name before torch 2.6
    limit = "recompile_limit" if hasattr(settings, "recompile_limit") else "cache_size_limit"
    setattr(settings, limit, max(getattr(settings, limit), _MOST_CASES))
    return Kernels(torch.compile(aggregate, dynamic=True), torch.compile(aggregate_backward, dynamic=True))
