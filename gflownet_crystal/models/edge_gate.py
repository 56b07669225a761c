"""The edge-gated graph convolution, in blocks of links that stay in the processor's cache."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import silu

from gflownet_crystal.models.linear import Linear, product, product_dtype, weight_gradient

_SMALLEST_GATE = 1e-6
_NORM_EPSILON = 1e-5
# weights of blocks follow links, keeps, weight, receive, send, value, scale and shift
_FIRST_BLOCK_INPUT = 8
_aten = torch.ops.aten


@dataclass(frozen=True)
class Block:
    """R links among K nodes that no other block touches.

    Attributes:
        receiver: (R,) int64, 0 to K - 1.
        sender: (R,) int64, 0 to K - 1.
        weight: (R, 1), by which a link counts; 0 for one that is there only to fill the block.
        state_row: (R,) int64, the row of each link's state where links share them; None if each has its own.
    """

    receiver: Tensor
    sender: Tensor
    weight: Tensor
    state_row: Tensor | None = None


@dataclass(frozen=True)
class Links:
    """The links of a graph, whose nodes stand in the order of the blocks; nodes without links may follow.

    Attributes:
        blocks: the links.
        sizes: K of each block.
        sender_node: (nodes,) int64, the node that sends in the place of each; None if each sends for itself.
    """

    blocks: tuple[Block, ...]
    sizes: list[int]
    sender_node: Tensor | None = None

    def with_own_states(self) -> Self:
        """The same where no links share a state."""
        return replace(self, blocks=tuple(replace(block, state_row=None) for block in self.blocks))


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

    def __init__(
        self,
        width: int,
        generator: torch.Generator,
        updates_links: bool = True,
    ) -> None:
        super().__init__()
        # A, B, V and U as one product
        self.node = Linear(width, 4 * width, generator)
        self.link = Linear(width, width, generator, bias=False)
        self.node_norm = nn.LayerNorm(width, eps=_NORM_EPSILON)
        self.link_norm = nn.LayerNorm(width, eps=_NORM_EPSILON) if updates_links else None

    def forward(
        self, nodes: Tensor, states: Sequence[Tensor], links: Links
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """New states.

        Args:
            nodes: (nodes, width).
            states: (R, width) for each block of ``links``, or as many rows as the links of the block share.
            links: the graph.

        Returns:
            (nodes, width), and (R, width) for each block; none if the layer does not update links.
        """
        width = nodes.shape[1]
        receive, sent, own = self.node(nodes).split([width, 2 * width, width], dim=1)
        if links.sender_node is not None:
            sent = sent.index_select(0, links.sender_node)
        norm = (None, None) if self.link_norm is None else (self.link_norm.weight, self.link_norm.bias)
        weights = [block.weight for block in links.blocks]
        messages, totals, *updated = _Gate.apply(
            links,
            torch.is_grad_enabled(),
            self.link.weight,
            receive,
            *sent.split(width, dim=1),
            *norm,
            *weights,
            *states,
        )
        change = self.node_norm(own + messages / (totals + _SMALLEST_GATE))
        return nodes + silu(change), tuple(updated)


class _Gate(torch.autograd.Function):
    """All that is done on links, and its gradient, block after block and with little kept in between.

    ``keeps``: whether there will be a gradient; without, memory is used again while it is in the cache.
    From (F, F) weight, (nodes, F) receive, send and value, (F,) scale and shift of the norm or None, and for each
    block (R, 1) weights and (R, F) states: the sums of gated values and of gates, (nodes, F) each, and new states.
    """

    @staticmethod
    def forward(
        ctx: Any,
        links: Links,
        keeps: bool,
        weight: Tensor,
        receive: Tensor,
        send: Tensor,
        value: Tensor,
        scale: Tensor | None,
        shift: Tensor | None,
        *blocks: Tensor,
    ) -> tuple[Tensor, ...]:
        dtype = product_dtype(weight)
        factor = weight.to(dtype)
        messages, totals = torch.zeros_like(receive), torch.zeros_like(receive)
        kept, updated = [], []
        for block, rows, link_weight, state in _each(links, blocks):
            sums = product(state.to(dtype), factor).to(receive.dtype)
            if block.state_row is not None:
                sums, state = sums.index_select(0, block.state_row), state.index_select(0, block.state_row)
            sums += receive[rows].index_select(0, block.receiver)
            sums += send[rows].index_select(0, block.sender)
            gate = torch.sigmoid(sums).mul_(link_weight)
            totals[rows].index_add_(0, block.receiver, gate)
            gate *= value[rows].index_select(0, block.sender)
            messages[rows].index_add_(0, block.receiver, gate)
            moments: list[Tensor] = []
            if scale is not None:
                normed, *moments = torch.native_layer_norm(sums, scale.shape, scale, shift, _NORM_EPSILON)
                updated.append(silu(normed, inplace=True).add_(state).to(state.dtype))
            if keeps:
                kept += [sums.to(state.dtype), *moments]
        ctx.links, ctx.dtype = links, dtype
        ctx.save_for_backward(weight, value, scale, shift, *blocks, *kept)
        return messages, totals, *updated

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, d_messages: Tensor, d_totals: Tensor, *d_updated: Tensor
    ) -> tuple[Tensor | None, ...]:
        weight, value, scale, shift, *rest = ctx.saved_tensors
        n_blocks = len(ctx.links.blocks)
        blocks, kept = rest[: 2 * n_blocks], rest[2 * n_blocks :]
        factor = weight.T.to(ctx.dtype).contiguous()
        d_weight, d_receive, d_send, d_value = (
            torch.zeros_like(x) for x in (weight, d_messages, d_messages, d_messages)
        )
        norm = () if scale is None else (scale, shift)
        d_norm = tuple(torch.zeros_like(x) for x in norm)
        d_weights, d_states = [], []
        n_kept = len(kept) // n_blocks
        for index, (block, rows, link_weight, state) in enumerate(_each(ctx.links, blocks)):
            sums, *moments = kept[index * n_kept : (index + 1) * n_kept]
            sums = sums.to(value.dtype)
            gate = torch.sigmoid(sums)
            incoming = d_messages[rows].index_select(0, block.receiver)
            d_value[rows].index_add_(0, block.sender, (incoming * gate).mul_(link_weight))
            incoming *= value[rows].index_select(0, block.sender)
            incoming += d_totals[rows].index_select(0, block.receiver)
            wanted = ctx.needs_input_grad[_FIRST_BLOCK_INPUT + index]
            d_weights.append((incoming * gate).sum(1, keepdim=True) if wanted else None)
            d_sums = _aten.sigmoid_backward(incoming.mul_(link_weight), gate)
            if norm:
                d_sums += _norm_backward(d_updated[index], sums, moments, norm, d_norm)
            d_receive[rows].index_add_(0, block.receiver, d_sums)
            d_send[rows].index_add_(0, block.sender, d_sums)
            d_product = _by_state(d_sums, block, state).to(ctx.dtype)
            d_state = product(d_product, factor)
            if norm:
                d_state += _by_state(d_updated[index], block, state)
            d_states.append(d_state.to(state.dtype))
            if ctx.needs_input_grad[2]:
                d_weight += weight_gradient(d_product, state.to(ctx.dtype))
        return (
            None,
            None,
            d_weight,
            d_receive,
            d_send,
            d_value,
            *(d_norm or (None, None)),
            *d_weights,
            *d_states,
        )


def _norm_backward(
    gradient: Tensor,
    sums: Tensor,
    moments: Sequence[Tensor],
    norm: tuple[Tensor, ...],
    d_norm: tuple[Tensor, ...],
) -> Tensor:
    """Gradient of SiLU(norm(sums)) for its argument; those for scale and shift are added to ``d_norm``."""
    normed = torch.native_layer_norm(sums, norm[0].shape, *norm, _NORM_EPSILON)[0]
    d_normed = _aten.silu_backward(gradient.to(sums.dtype), normed)
    through, *d_affine = _aten.native_layer_norm_backward(
        d_normed, sums, norm[0].shape, *moments, *norm, [True] * 3
    )
    for total, part in zip(d_norm, d_affine, strict=True):
        total += part
    return through


def _by_state(gradient: Tensor, block: Block, state: Tensor) -> Tensor:
    """Gradients of links as those of the states that they share."""
    if block.state_row is None:
        return gradient
    return gradient.new_zeros(state.shape).index_add_(0, block.state_row, gradient)


def _each(links: Links, blocks: Sequence[Tensor]) -> list[tuple[Block, slice, Tensor, Tensor]]:
    """Each block of links with its rows among the nodes, its weights and its states."""
    n_blocks = len(links.blocks)
    rows = [slice(*ends) for ends in pairwise(accumulate(links.sizes, initial=0))]
    return list(zip(links.blocks, rows, blocks[:n_blocks], blocks[n_blocks:], strict=True))
