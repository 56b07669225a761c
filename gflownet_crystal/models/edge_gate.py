"""The edge-gated graph convolution, in blocks of links that stay in the processor's cache."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import silu

from gflownet_crystal.models.linear import Linear, product, product_dtype, weight_gradient

_SMALLEST_GATE = 1e-6
_NORM_EPSILON = 1e-5
_aten = torch.ops.aten


@dataclass(frozen=True)
class Block:
    """R of the links among nodes.

    Attributes:
        receiver: (R,) int64.
        sender: (R,) int64.
        weight: (R, 1), by which a link counts; 0 for one that is there only to fill the block.
        state_row: (R,) int64, the row of each link's state where links share them; None if each has its own.
    """

    receiver: Tensor
    sender: Tensor
    weight: Tensor
    state_row: Tensor | None = None


class EdgeGatedConvolution(nn.Module):
    """Edge-gated graph convolution (Choudhary and DeCost 2021, equations 1 to 4), with layer norms.

    For each link e from sender j to receiver i, with states y_e of links and x_i of nodes and weights w_e:
    z_e = A x_i + B x_j + C y_e;  m_i = sum_e w_e sigma(z_e) * (V x_j) / (sum_e w_e sigma(z_e) + 1e-6);
    x_i + SiLU(norm(U x_i + m_i)) and y_e + SiLU(norm(z_e)) are the new states.

    A node whose neighbours are all alike hears the same from them whatever the states of its links: of these, only
    their own states tell.

    Args:
        width: of nodes and links.
        generator: of the initial weights.
        updates_links: whether new states of the links are wanted.
    """

    def __init__(self, width: int, generator: torch.Generator, updates_links: bool = True) -> None:
        super().__init__()
        # A, B, V and U as one product
        self.node = Linear(width, 4 * width, generator)
        self.link = Linear(width, width, generator, bias=False)
        self.node_norm = nn.LayerNorm(width, eps=_NORM_EPSILON)
        self.link_norm = nn.LayerNorm(width, eps=_NORM_EPSILON) if updates_links else None

    def forward(
        self, nodes: Tensor, states: Sequence[Tensor], blocks: Sequence[Block]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """New states.

        Args:
            nodes: (nodes, width).
            states: (R, width) for each block, or as many rows as its links share.
            blocks: the links.

        Returns:
            (nodes, width), and (R, width) for each block; none if the layer does not update links.
        """
        receive, send, value, own = self.node(nodes).chunk(4, dim=1)
        norm = (None, None) if self.link_norm is None else (self.link_norm.weight, self.link_norm.bias)
        messages, *updated = _Gate.apply(
            blocks,
            torch.is_grad_enabled(),
            self.link.weight,
            receive,
            send,
            value,
            *norm,
            *(block.weight for block in blocks),
            *states,
        )
        return nodes + silu(self.node_norm(own + messages)), tuple(updated)


class _Gate(torch.autograd.Function):
    """All that is done on links, and its gradient, block after block and with little kept in between.

    ``keeps``: whether there will be a gradient; without, memory is used again while it is in the cache.
    From (F, F) weight, (nodes, F) receive, send and value, (F,) scale and shift of the norm or None, and for each
    block (R, 1) weights and (R, F) states: the messages, (nodes, F), and new states.
    """

    @staticmethod
    def forward(
        ctx: Any,
        blocks: Sequence[Block],
        keeps: bool,
        weight: Tensor,
        receive: Tensor,
        send: Tensor,
        value: Tensor,
        scale: Tensor | None,
        shift: Tensor | None,
        *tensors: Tensor,
    ) -> tuple[Tensor, ...]:
        dtype = product_dtype(weight)
        factor = weight.to(dtype)
        messages, totals = value.new_zeros(value.shape), value.new_full(value.shape, _SMALLEST_GATE)
        kept, updated = [], []
        for block, link_weight, state in _each(blocks, tensors):
            sums = product(state.to(dtype), factor).to(value.dtype)
            if block.state_row is not None:
                sums, state = sums.index_select(0, block.state_row), state.index_select(0, block.state_row)
            sums += receive.index_select(0, block.receiver)
            sums += send.index_select(0, block.sender)
            gate = torch.sigmoid(sums).mul_(link_weight)
            totals.index_add_(0, block.receiver, gate)
            gate *= value.index_select(0, block.sender)
            messages.index_add_(0, block.receiver, gate)
            moments: list[Tensor] = []
            if scale is not None:
                normed, *moments = torch.native_layer_norm(sums, scale.shape, scale, shift, _NORM_EPSILON)
                updated.append(silu(normed, inplace=True).add_(state).to(state.dtype))
            if keeps:
                kept += [sums.to(state.dtype), *moments]
        messages /= totals
        ctx.blocks, ctx.dtype = blocks, dtype
        ctx.save_for_backward(weight, value, scale, shift, messages, totals, *tensors, *kept)
        return messages, *updated

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_messages: Tensor, *d_updated: Tensor) -> tuple[Tensor | None, ...]:
        weight, value, scale, shift, messages, totals, *rest = ctx.saved_tensors
        n_blocks = len(ctx.blocks)
        tensors, kept = rest[: 2 * n_blocks], rest[2 * n_blocks :]
        n_kept = len(kept) // n_blocks
        factor = weight.T.to(ctx.dtype).contiguous()
        norm = () if scale is None else (scale, shift)
        d_norm = tuple(torch.zeros_like(x) for x in norm)
        d_weight = torch.zeros_like(weight)
        d_receive, d_send, d_value = (value.new_zeros(value.shape) for _ in range(3))
        d_gated = d_messages / totals
        d_totals = (d_gated * messages).neg_()
        d_weights, d_states = [], []
        for index, (block, link_weight, state) in enumerate(_each(ctx.blocks, tensors)):
            sums, *moments = kept[index * n_kept : (index + 1) * n_kept]
            sums = sums.to(value.dtype)
            gate = torch.sigmoid(sums)
            incoming = d_gated.index_select(0, block.receiver)
            d_value.index_add_(0, block.sender, (incoming * gate).mul_(link_weight))
            incoming *= value.index_select(0, block.sender)
            incoming += d_totals.index_select(0, block.receiver)
            wanted = ctx.needs_input_grad[len(ctx.needs_input_grad) - 2 * n_blocks + index]
            d_weights.append((incoming * gate).sum(1, keepdim=True) if wanted else None)
            d_sums = _aten.sigmoid_backward(incoming.mul_(link_weight), gate)
            if norm:
                d_sums += _norm_backward(d_updated[index], sums, moments, norm, d_norm)
            d_receive.index_add_(0, block.receiver, d_sums)
            d_send.index_add_(0, block.sender, d_sums)
            d_product = _by_state(d_sums, block, state).to(ctx.dtype)
            d_state = product(d_product, factor)
            if norm:
                d_state += _by_state(d_updated[index], block, state)
            d_states.append(d_state.to(state.dtype))
            if ctx.needs_input_grad[2]:
                d_weight += weight_gradient(d_product, state.to(ctx.dtype))
        d_nodes = (d_weight, d_receive, d_send, d_value)
        return None, None, *d_nodes, *(d_norm or (None, None)), *d_weights, *d_states


def _norm_backward(
    gradient: Tensor,
    sums: Tensor,
    moments: Sequence[Tensor],
    norm: tuple[Tensor, ...],
    d_norm: tuple[Tensor, ...],
) -> Tensor:
    """Gradient of SiLU(norm(sums)) for its argument; those for scale and shift are added to ``d_norm``."""
    scale, shift = norm
    normed = torch.native_layer_norm(sums, scale.shape, scale, shift, _NORM_EPSILON)[0]
    d_normed = _aten.silu_backward(gradient.to(sums.dtype), normed)
    through, *d_affine = _aten.native_layer_norm_backward(
        d_normed, sums, scale.shape, *moments, scale, shift, [True] * 3
    )
    for total, part in zip(d_norm, d_affine, strict=True):
        total += part
    return through


def _by_state(gradient: Tensor, block: Block, state: Tensor) -> Tensor:
    """Gradients of links as those of the states that they share."""
    if block.state_row is None:
        return gradient
    return gradient.new_zeros(state.shape).index_add_(0, block.state_row, gradient)


def _each(blocks: Sequence[Block], tensors: Sequence[Tensor]) -> list[tuple[Block, Tensor, Tensor]]:
    """Each block with its weights and its states."""
    return list(zip(blocks, tensors[: len(blocks)], tensors[len(blocks) :], strict=True))
