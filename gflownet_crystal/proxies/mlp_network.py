"""An ensemble of energy networks on composition, space group and lattice, evaluated together as one stack of weights.

Each member reads the elements as a set: every element's embedding is refined in the light of the whole composition
and the space group, then pooled. From that alone it predicts the equilibrium volume and a formation energy; the
lattice enters afterwards, as its shape and as the volume relative to the equilibrium one.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from gflownet_crystal.crystallography.space_groups import CRYSTAL_CLASSES, lattice_system_of_group
from gflownet_crystal.proxies.mlp_features import (
    CLASS_OF_GROUP,
    N_SCALAR_FEATURES,
    N_TOKEN_FEATURES,
    Composition,
)
from gflownet_crystal.proxies.mlp_lattice import CENTRING_NAMES, CENTRING_OF_GROUP, N_LATTICE_FEATURES

N_SOURCES = 4
"""Kinds of label a network can be asked for; 0 is the one that proxies predict."""

N_VOLUME_BASIS = 24
_VOLUME_RANGE = (-0.8, 0.9)

# medians of Morse curves fitted to chgnet energies under volume strain; the curve saturates at _WELL_TOP, eV/atom
_LOG_DEPTH, _LOG_ALPHA, _WELL_TOP = math.log(4.0), math.log(3.5), 8.0
_LOG_STIFFNESS = math.log(1.5)

N_SHAPE, N_VONORMS = 13, 7
"""Lattice descriptors that a strain of the shape changes, and the vonorms among them, which come first."""
_BEND_SCALE = 5.0


class StackedLinear(nn.Module):
    """``members`` independent linear layers as one batched product: (members, n, inputs) -> (members, n, outputs)."""

    def __init__(self, members: int, inputs: int, outputs: int, generator: torch.Generator, gain: float = 1.0) -> None:
        super().__init__()
        scale = gain / math.sqrt(inputs)
        self.weight = nn.Parameter(torch.randn(members, inputs, outputs, generator=generator) * scale)
        self.bias = nn.Parameter(torch.zeros(members, 1, outputs))

    def forward(self, inputs: Tensor) -> Tensor:
        """Apply each member's layer; (n, inputs) is shared by all members."""
        if inputs.dim() == 2:
            members, width, outputs = self.weight.shape
            shared = inputs @ self.weight.permute(1, 0, 2).reshape(width, members * outputs)
            return shared.view(len(inputs), members, outputs).transpose(0, 1) + self.bias
        return torch.baddbmm(self.bias.to(inputs.dtype), inputs, self.weight.to(inputs.dtype))


class Encoding(NamedTuple):
    """What a member knows before it sees the lattice.

    Attributes:
        hidden: (members, n, width).
        energy: (members, n) formation energy from composition and group alone, eV/atom.
        log_volume: (members, n) equilibrium volume per atom, log A^3.
        shape: (members, n, 13) equilibrium values of the lattice descriptors that depend on shape.
        stiffness: (members, n, 3) logs of depth and exponent of the volume's well and of the shape's stiffness, against
            typical ones.
    """

    hidden: Tensor
    energy: Tensor
    log_volume: Tensor
    shape: Tensor
    stiffness: Tensor


class CellEnergy(NamedTuple):
    """What a member says of a cell.

    Attributes:
        energy: (members, n) formation energy, eV/atom.
        log_scale: (members, n) log of the Laplace scale of its error, eV/atom.
        log_volume: (members, n) equilibrium volume per atom for this shape, log A^3.
    """

    energy: Tensor
    log_scale: Tensor
    log_volume: Tensor


class EnergyEnsemble(nn.Module):
    """The ensemble.

    Args:
        members: number of networks.
        width: hidden width of the two trunks.
        token_width: width of an element's representation.
        embedding: width of element and group embeddings.
        n_properties: number of tabulated element properties.
        seed: of the initial weights.
    """

    properties: Tensor
    scalar_scale: Tensor
    lattice_scale: Tensor
    group_tables: Tensor

    def __init__(
        self,
        members: int = 4,
        width: int = 256,
        token_width: int = 128,
        embedding: int = 64,
        n_properties: int = 20,
        seed: int = 0,
    ) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.arguments = {
            "members": members, "width": width, "token_width": token_width, "embedding": embedding,
            "n_properties": n_properties, "seed": seed,
        }  # fmt: skip
        self.members = members

        def linear(inputs: int, outputs: int, gain: float = 1.0) -> StackedLinear:
            return StackedLinear(members, inputs, outputs, generator, gain)

        def table(rows: int, scale: float) -> nn.Parameter:
            return nn.Parameter(torch.randn(members, rows, embedding, generator=generator) * scale)

        self.register_buffer("properties", torch.zeros(119, n_properties))
        scalar_scale = torch.stack([torch.zeros(N_SCALAR_FEATURES), torch.ones(N_SCALAR_FEATURES)])
        self.register_buffer("scalar_scale", scalar_scale)
        n_shape = N_LATTICE_FEATURES + 1
        self.register_buffer("lattice_scale", torch.stack([torch.zeros(n_shape), torch.ones(n_shape)]))
        self.element_embedding = table(119, 0.5)
        self.element_projection = linear(n_properties, embedding)
        self.group_embedding = table(231, 0.1)
        self.class_embedding = table(len(CRYSTAL_CLASSES), 0.3)
        self.system_embedding = table(6, 0.3)
        self.centring_embedding = table(len(CENTRING_NAMES), 0.3)
        self.source_embedding = table(N_SOURCES, 0.1)
        pooled = 4 * embedding + N_SCALAR_FEATURES
        self.context = linear(pooled, token_width)
        self.token_in = linear(embedding + N_TOKEN_FEATURES, token_width)
        self.token_hidden = linear(token_width, token_width)
        self.token_out = linear(token_width, token_width)
        self.trunk_in = linear(pooled + 2 * token_width, width)
        self.trunk_hidden = linear(width, width)
        self.trunk_out = linear(width, width)
        self.composition_head = linear(width, 2, 0.1)
        self.equilibrium_head = linear(width, N_SHAPE, 0.1)
        self.shape_in = linear(width + n_shape - 1, token_width)
        self.shape_head = linear(token_width, 1, 0.1)
        self.well_head = linear(width, 3, 0.1)
        self.lattice_in = linear(n_shape + N_VOLUME_BASIS + 3 + 2 * N_SHAPE, token_width)
        self.energy_in = linear(width + token_width, width)
        self.energy_hidden = linear(width, width)
        self.energy_out = linear(width, width)
        self.energy_head = linear(width, 2, 0.1)
        self._register_group_tables()

    def _register_group_tables(self) -> None:
        system = torch.as_tensor(lattice_system_of_group).clamp(min=0)
        tables = torch.stack([torch.as_tensor(CLASS_OF_GROUP), system, torch.as_tensor(CENTRING_OF_GROUP)])
        self.register_buffer("group_tables", tables, persistent=False)

    def encode(self, composition: Composition, source: Tensor | None = None) -> Encoding:
        """Read composition and group.

        Args:
            composition: n compositions.
            source: (n,) int64 kind of label; kind 0 if not given.
        """
        elements = self.element_embedding + self.element_projection(self.properties)
        fractions = composition.fractions.expand(self.members, -1, -1)
        mean = torch.bmm(fractions, elements)
        square = torch.bmm(fractions, elements**2)
        group_table = self._group_table()
        group = group_table[:, composition.space_group]
        label = self.source_embedding[:, :1] if source is None else self.source_embedding[:, source]
        scalar = (composition.scalar - self.scalar_scale[0]) / self.scalar_scale[1]
        pooled = torch.cat(
            [mean, square, group, label.expand_as(group), scalar.expand(self.members, -1, -1).to(mean.dtype)], dim=2
        )
        tokens = self._tokens(composition, elements, self.context(pooled))
        hidden = silu(self.trunk_in(torch.cat([pooled, tokens], dim=2)))
        hidden = hidden + silu(self.trunk_out(silu(self.trunk_hidden(hidden))))
        heads = _full_precision(self.composition_head, hidden)
        shape = _full_precision(self.equilibrium_head, hidden) + self.lattice_scale[0, :N_SHAPE]
        stiffness = _full_precision(self.well_head, hidden)
        return Encoding(hidden, heads[:, :, 0], heads[:, :, 1] + 3.0, shape, stiffness)

    def _group_table(self) -> Tensor:
        crystal_class, system, centring = self.group_tables.unbind()
        return (
            self.group_embedding
            + self.class_embedding[:, crystal_class]
            + self.system_embedding[:, system]
            + self.centring_embedding[:, centring]
        )

    def _tokens(self, composition: Composition, elements: Tensor, context: Tensor) -> Tensor:
        row, token = composition.row, composition.token.expand(self.members, -1, -1)
        inputs = torch.cat([elements[:, composition.element], token.to(elements.dtype)], dim=2)
        hidden = silu(self.token_in(inputs) + context[:, row])
        hidden = hidden + silu(self.token_hidden(hidden))
        hidden = silu(self.token_out(hidden))
        n, width = len(composition), hidden.shape[2]
        weighted = hidden.new_zeros(self.members, n, width).index_add(1, row, hidden * token[:, :, :1].to(hidden.dtype))
        count = torch.zeros(n, device=row.device).index_add_(0, row, torch.ones_like(row, dtype=torch.float32))
        plain = hidden.new_zeros(self.members, n, width).index_add(1, row, hidden)
        return torch.cat([weighted, plain / count[:, None].to(hidden.dtype)], dim=2)

    def energy(self, encoding: Encoding, log_volume: Tensor, shape: Tensor) -> CellEnergy:
        """Formation energy with the lattice known.

        Args:
            encoding: of n compositions.
            log_volume: (n,) log of the volume per atom, A^3.
            shape: (n, 15) lattice descriptors.
        """
        dtype = encoding.hidden.dtype
        absolute = torch.cat([shape, log_volume[:, None]], dim=1)
        absolute = (absolute - self.lattice_scale[0]) / self.lattice_scale[1]
        absolute = absolute.expand(self.members, -1, -1).to(dtype)
        bent = silu(self.shape_in(torch.cat([encoding.hidden, absolute[:, :, :-1]], dim=2)))
        equilibrium = encoding.log_volume + _full_precision(self.shape_head, bent)[:, :, 0]
        strain = log_volume - equilibrium.detach()
        bend = shape[:, :N_SHAPE] - encoding.shape.detach()
        features = torch.cat([_strain_features(strain), _BEND_SCALE * bend, (_BEND_SCALE * bend) ** 2], dim=2)
        lattice = silu(self.lattice_in(torch.cat([absolute, features.to(dtype)], dim=2)))
        hidden = silu(self.energy_in(torch.cat([encoding.hidden, lattice.to(dtype)], dim=2)))
        hidden = hidden + silu(self.energy_out(silu(self.energy_hidden(hidden))))
        heads = _full_precision(self.energy_head, hidden)
        well = _volume_well(strain, encoding.stiffness) + _shape_well(bend, encoding.stiffness)
        return CellEnergy(encoding.energy + heads[:, :, 0] + well, heads[:, :, 1] - 3.0, equilibrium)


def _strain_features(strain: Tensor) -> Tensor:
    """Smooth basis (..., 27) of a log volume ratio."""
    centres = torch.linspace(*_VOLUME_RANGE, N_VOLUME_BASIS, device=strain.device)
    spacing = (_VOLUME_RANGE[1] - _VOLUME_RANGE[0]) / (N_VOLUME_BASIS - 1)
    basis = torch.exp(-0.5 * ((strain[..., None] - centres) / (1.5 * spacing)) ** 2)
    polynomial = torch.stack([strain, strain**2, torch.exp(-strain)], dim=-1)
    return torch.cat([basis, polynomial], dim=-1)


def _volume_well(strain: Tensor, parameters: Tensor) -> Tensor:
    """Morse curve in the length: depth (1 - exp(-alpha (x - 1)))^2 with x = exp(strain / 3), at most 8 eV/atom."""
    depth = torch.exp(parameters[..., 0].clamp(-3, 2) + _LOG_DEPTH)
    alpha = torch.exp(parameters[..., 1].clamp(-1, 1) + _LOG_ALPHA)
    stretch = torch.exp(strain.clamp(-1.5, 3.0) / 3) - 1
    well = depth * (1 - torch.exp(-alpha * stretch)) ** 2
    return _WELL_TOP * torch.tanh(well / _WELL_TOP)


def _shape_well(bend: Tensor, parameters: Tensor) -> Tensor:
    """Quadratic in the descriptors' distance from their equilibrium, at most 8 eV/atom.

    The axes' part is the squared volume-preserving log strain; the vonorms stand in where a cell has no fixed axes.
    """
    stiffness = torch.exp(parameters[..., 2].clamp(-3, 2) + _LOG_STIFFNESS)
    weight = torch.cat([bend.new_full((N_VONORMS,), 0.4), bend.new_ones(N_SHAPE - N_VONORMS)])
    return _WELL_TOP * torch.tanh(stiffness * (weight * bend**2).sum(-1) / _WELL_TOP)


def _full_precision(layer: StackedLinear, inputs: Tensor) -> Tensor:
    # bfloat16 resolves 0.02 eV/atom at -4 eV/atom: energies must not leave a layer in it
    with torch.autocast(inputs.device.type, enabled=False):
        return layer(inputs.float())
