"""The edge-gated graph convolution, in blocks of links that stay in the processor's cache."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import silu

from gflownet_crystal.models.alignn.edge_gate_kernels import (
    EAGER,
    NORM_EPSILON,
    Kernels,
    Links,
    by_state,
    compiled_kernels,
)
from gflownet_crystal.models.layers.linear import Linear, product, product_dtype, weight_gradient

_SMALLEST_GATE = 1e-6
_WEIGHT = 3  # its place among the arguments of the gate


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

    @property
    def links(self) -> Links:
        """Links in the form that the kernels read."""
        return self.receiver, self.sender, self.weight, self.state_row


class EdgeGatedConvolution(nn.Module):
    """Edge-gated graph convolution (Choudhary and DeCost 2021, equations 1 to 4), with layer norms.

    For each link e from sender j to receiver i, with states y_e of links and x_i of nodes and weights w_e:
    z_e = A x_i + B x_j + C y_e;  m_i = sum_e w_e sigma(z_e) * (V x_j) / (sum_e w_e sigma(z_e) + 1e-6);
    x_i + SiLU(norm(U x_i + m_i)) and y_e + SiLU(norm(z_e)) are the new states.

    A node with identical neighbours receives the same message from them whatever the states of its links, which then
    show in the states of the links alone.

    Args:
        width: width of nodes and links.
        generator: random generator of the initial weights.
        updates_links: whether new states of the links are wanted.
    """

    def __init__(self, width: int, generator: torch.Generator, updates_links: bool = True) -> None:
        super().__init__()
        # A, B, V and U as one product
        self.node = Linear(width, 4 * width, generator)
        self.link = Linear(width, width, generator, bias=False)
        self.node_norm = nn.LayerNorm(width, eps=NORM_EPSILON)
        self.link_norm = nn.LayerNorm(width, eps=NORM_EPSILON) if updates_links else None
        self.kernels = EAGER

    def compile_kernels(self) -> None:
        """Use compiled kernels for the work on edges from now on; needs a C++ compiler."""
        self.kernels = compiled_kernels()

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
            self.kernels,
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
        kernels: Kernels,
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
        norm = None if scale is None or shift is None else (scale, shift)
        messages, totals = value.new_zeros(value.shape), value.new_full(value.shape, _SMALLEST_GATE)
        kept, updated = [], []
        for block, state in _each(blocks, tensors):
            products = product(state.to(dtype), factor)
            nodes = (receive, send, value)
            new, wanted = kernels.aggregate(
                products, state, nodes, block.links, norm, messages, totals, keeps
            )
            kept += wanted
            if new is not None:
                updated.append(new)
        messages /= totals
        ctx.blocks, ctx.kernels, ctx.dtype = blocks, kernels, dtype
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
        norm = None if scale is None else (scale, shift)
        d_norm = norm and tuple(torch.zeros_like(x) for x in norm)
        d_weight = torch.zeros_like(weight)
        d_nodes = tuple(value.new_zeros(value.shape) for _ in range(3))
        d_gated = d_messages / totals
        d_aggregated = (d_gated, (d_gated * messages).neg_())
        d_weights, d_states = [], []
        for index, (block, state) in enumerate(_each(ctx.blocks, tensors)):
            own, d_new = kept[index * n_kept : (index + 1) * n_kept], d_updated[index] if norm else None
            wanted = ctx.needs_input_grad[len(ctx.needs_input_grad) - 2 * n_blocks + index]
            d_products, d_link_weight = ctx.kernels.aggregate_backward(
                own, d_new, value, block.links, norm, d_aggregated, d_nodes, d_norm, len(state), wanted
            )
            d_weights.append(d_link_weight)
            d_products = d_products.to(ctx.dtype)
            d_state = product(d_products, factor)
            if d_new is not None:
                d_state += by_state(d_new, block.state_row, len(state))
            d_states.append(d_state.to(state.dtype))
            if ctx.needs_input_grad[_WEIGHT]:
                d_weight += weight_gradient(d_products, state.to(ctx.dtype))
        return None, None, None, d_weight, *d_nodes, *(d_norm or (None, None)), *d_weights, *d_states


def _each(blocks: Sequence[Block], tensors: Sequence[Tensor]) -> list[tuple[Block, Tensor]]:
    """Each block, and its states, which follow the weights of all blocks."""
    return list(zip(blocks, tensors[len(blocks) :], strict=True))
