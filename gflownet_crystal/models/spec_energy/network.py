"""An ensemble of energy networks on composition, space group and lattice, evaluated together as one stack of weights.

Each member reads the elements as a set: every element's embedding is refined in the light of the whole composition
and the space group, then pooled. From that alone it predicts a formation energy, the equilibrium volume and the shapes
that the cell may take; the lattice enters afterwards, relative to these.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding as look_up
from torch.nn.functional import silu

from gflownet_crystal.crystallography.cells import CENTRINGS, centring_of_group
from gflownet_crystal.crystallography.space_groups import CRYSTAL_CLASSES, lattice_system_of_group
from gflownet_crystal.models.spec_energy.features import (
    CLASS_OF_GROUP,
    N_BUCKETS,
    N_SCALAR_FEATURES,
    N_TOKEN_FEATURES,
    Composition,
)
from gflownet_crystal.models.spec_energy.lattice import N_LATTICE_FEATURES
from gflownet_crystal.models.spec_energy.wells import (
    N_SHAPE,
    N_SHAPE_FEATURES,
    N_VOLUME_FEATURES,
    mode_distance,
    shape_features,
    shape_well,
    volume_features,
    volume_well,
)

N_MODES = 8
_PROTOTYPE_WIDTH, _MODE_WIDTH = 16, 192
_SMALLEST_SPREAD = 0.01


class StackedLinear(nn.Module):
    """``members`` independent linear layers as one batched product: (members, n, inputs) -> (members, n, outputs)."""

    def __init__(
        self, members: int, inputs: int, outputs: int, generator: torch.Generator, gain: float = 1.0
    ) -> None:
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
    """Encoding of a spec by a member, without its lattice.

    Attributes:
        hidden: (members, n, width).
        energy: (members, n) formation energy from composition and group alone, eV/atom.
        log_volume: (members, n) equilibrium volume per atom, log Å^3.
        modes: (members, n, 8, 15) shapes that the cell may take: 13 lattice descriptors, log probability, spread.
        stiffness: (members, n, 3) logs of depth and exponent of the volume's well and of the shape's stiffness, over
            typical ones.
        pooled: (members, n, p) inputs of all elements together, group and prototype.
    """

    hidden: Tensor
    energy: Tensor
    log_volume: Tensor
    modes: Tensor
    stiffness: Tensor
    pooled: Tensor


class CellEnergy(NamedTuple):
    """Prediction of a member for a cell.

    Attributes:
        energy: (members, n) formation energy, eV/atom.
        log_scale: (members, n) log of the Laplace scale of its error, eV/atom.
        log_volume: (members, n) equilibrium volume per atom for this shape, log Å^3.
        hidden: (members, n, width) last hidden layer.
    """

    energy: Tensor
    log_scale: Tensor
    log_volume: Tensor
    hidden: Tensor


class EnergyEnsemble(nn.Module):
    """The ensemble.

    Args:
        members: number of networks.
        width: hidden width of the two trunks.
        token_width: width of an element's representation.
        embedding: width of element and group embeddings.
        n_properties: number of tabulated element properties.
        n_prototypes: prototypes (space group and sorted counts) with a row of their own; others share row 0.
        seed: random seed of the initial weights.
    """

    properties: Tensor
    scalar_scale: Tensor
    lattice_scale: Tensor
    row_of_bucket: Tensor
    group_tables: Tensor

    def __init__(
        self,
        members: int = 3,
        width: int = 256,
        token_width: int = 96,
        embedding: int = 64,
        n_properties: int = 22,
        n_prototypes: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.arguments = {
            "members": members, "width": width, "token_width": token_width, "embedding": embedding,
            "n_properties": n_properties, "n_prototypes": n_prototypes, "seed": seed,
        }  # fmt: skip
        self.members = members

        def linear(inputs: int, outputs: int, gain: float = 1.0) -> StackedLinear:
            return StackedLinear(members, inputs, outputs, generator, gain)

        def table(rows: int, scale: float, columns: int = embedding) -> nn.Parameter:
            return nn.Parameter(torch.randn(members, rows, columns, generator=generator) * scale)

        n_lattice = N_LATTICE_FEATURES + 1
        self.register_buffer("properties", torch.zeros(119, n_properties))
        self.register_buffer("scalar_scale", torch.tensor([[0.0], [1.0]]).repeat(1, N_SCALAR_FEATURES))
        self.register_buffer("lattice_scale", torch.tensor([[0.0], [1.0]]).repeat(1, n_lattice))
        self.register_buffer("row_of_bucket", torch.zeros(N_BUCKETS, dtype=torch.int32))
        self.element_embedding = table(119, 0.5)
        self.element_projection = linear(n_properties, embedding)
        self.group_embedding = table(231, 0.1)
        self.class_embedding = table(len(CRYSTAL_CLASSES), 0.3)
        self.system_embedding = table(6, 0.3)
        self.centring_embedding = table(len(CENTRINGS), 0.3)
        self.prototype_embedding = table(1 + n_prototypes, 0.1, _PROTOTYPE_WIDTH)
        pooled = 3 * embedding + _PROTOTYPE_WIDTH + N_SCALAR_FEATURES
        self.context = linear(pooled, token_width)
        self.token_in = linear(embedding + N_TOKEN_FEATURES, token_width)
        self.token_hidden = linear(token_width, token_width)
        self.token_out = linear(token_width, token_width)
        self.trunk_in = linear(pooled + 2 * token_width, width)
        self.trunk_hidden = linear(width, width)
        self.trunk_out = linear(width, width)
        self.composition_head = linear(width, 2, 0.1)
        self.well_head = linear(width, 3, 0.1)
        self.mode_in = linear(pooled + 2 * token_width + width, _MODE_WIDTH)
        self.mode_prototype = table(1 + n_prototypes, 0.3, _PROTOTYPE_WIDTH)
        self.mode_project = linear(_PROTOTYPE_WIDTH, _MODE_WIDTH)
        self.mode_hidden = linear(_MODE_WIDTH, _MODE_WIDTH)
        self.mode_head = linear(_MODE_WIDTH, N_MODES * (N_SHAPE + 2), 0.1)
        self.mode_offset = nn.Parameter(torch.randn(members, 1, N_MODES, N_SHAPE, generator=generator) * 0.7)
        self.shape_in = linear(width + n_lattice - 1, token_width)
        self.shape_head = linear(token_width, 1, 0.1)
        self.lattice_in = linear(n_lattice + N_VOLUME_FEATURES + N_SHAPE_FEATURES, token_width)
        self.energy_in = linear(width + token_width, width)
        self.energy_hidden = linear(width, width)
        self.energy_out = linear(width, width)
        self.energy_head = linear(width, 2, 0.1)
        system = torch.as_tensor(lattice_system_of_group).clamp(min=0)
        tables = torch.stack([torch.as_tensor(CLASS_OF_GROUP), system, centring_of_group.clamp(min=0)])
        self.register_buffer("group_tables", tables, persistent=False)

    def encode(self, composition: Composition, forget: Tensor | None = None) -> Encoding:
        """Read composition and group.

        Args:
            composition: n compositions.
            forget: (n,) bool, rows whose prototype is treated as never seen (in training).
        """
        pooled, tokens, row = self._pool(composition, forget)
        hidden = silu(self.trunk_in(torch.cat([pooled, tokens], dim=2)))
        hidden = hidden + silu(self.trunk_out(silu(self.trunk_hidden(hidden))))
        heads = _full_precision(self.composition_head, hidden)
        # the shapes have layers of their own: the trunk is trained by the energies alone
        known = torch.cat([pooled, tokens, hidden], dim=2).detach()
        bent = silu(
            self.mode_in(known) + self.mode_project(self._rows(self.mode_prototype, row).to(hidden.dtype))
        )
        bent = bent + silu(self.mode_hidden(bent))
        modes = self._modes(_full_precision(self.mode_head, bent).unflatten(2, (N_MODES, N_SHAPE + 2)))
        stiffness = _full_precision(self.well_head, hidden.detach())
        return Encoding(hidden, heads[:, :, 0], heads[:, :, 1] + 3.0, modes, stiffness, pooled)

    def _pool(self, composition: Composition, forget: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Pooled inputs (members, n, p), refined elements (members, n, 2 token_width), prototype rows (n,)."""
        elements = self.element_embedding + self.element_projection(self.properties)
        fractions = composition.fractions.expand(self.members, -1, -1)
        mean, square = torch.bmm(fractions, elements), torch.bmm(fractions, elements**2)
        group = self._group_table()[:, composition.space_group]
        row = self.row_of_bucket[composition.bucket].long()
        row = row if forget is None else row * ~forget
        scalar = (composition.scalar - self.scalar_scale[0]) / self.scalar_scale[1]
        scalar = scalar.expand(self.members, -1, -1)
        prototype = self._rows(self.prototype_embedding, row)
        pooled = torch.cat([part.to(mean.dtype) for part in (mean, square, group, prototype, scalar)], dim=2)
        return pooled, self._tokens(composition, elements, self.context(pooled)), row

    def _rows(self, table: Tensor, row: Tensor) -> Tensor:
        """Rows (members, n, width) of a table (members, rows, width); one look-up serves all members."""
        joined = look_up(row, table.transpose(0, 1).flatten(1))
        return joined.view(len(row), self.members, _PROTOTYPE_WIDTH).transpose(0, 1)

    def _modes(self, raw: Tensor) -> Tensor:
        offset = self.mode_offset * self.lattice_scale[1, :N_SHAPE] + self.lattice_scale[0, :N_SHAPE]
        spread = _SMALLEST_SPREAD + torch.exp(raw[..., -1:].clamp(-4, 3) - 2.5)
        return torch.cat([raw[..., :N_SHAPE] + offset, raw[..., -2:-1].log_softmax(dim=2), spread], dim=3)

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
        empty = hidden.new_zeros(self.members, len(composition), hidden.shape[2])
        weighted = empty.index_add(1, row, hidden * token[:, :, :1].to(hidden.dtype))
        count = row.new_zeros(len(composition)).index_add(0, row, torch.ones_like(row)).clamp(min=1)
        plain = empty.index_add(1, row, hidden) / count[:, None].to(hidden.dtype)
        return torch.cat([weighted, plain], dim=2)

    def energy(self, encoding: Encoding, log_volume: Tensor, shape: Tensor) -> CellEnergy:
        """Formation energy with the lattice known.

        Args:
            encoding: encoding of n compositions.
            log_volume: (n,) or (members, n) log of the volume per atom, Å^3.
            shape: (n, 15) or (members, n, 15) lattice descriptors.
        """
        dtype = encoding.hidden.dtype
        absolute = torch.cat([shape, log_volume[..., None]], dim=-1)
        absolute = ((absolute - self.lattice_scale[0]) / self.lattice_scale[1]).expand(self.members, -1, -1)
        bent = silu(self.shape_in(torch.cat([encoding.hidden, absolute[:, :, :-1].to(dtype)], dim=2)))
        equilibrium = encoding.log_volume + _full_precision(self.shape_head, bent)[:, :, 0]
        strain = log_volume - equilibrium.detach()
        difference, distance, surprise = mode_distance(encoding.modes.detach(), shape)
        features = [absolute, volume_features(strain), shape_features(difference, distance, surprise)]
        lattice = silu(self.lattice_in(torch.cat(features, dim=2).to(dtype)))
        hidden = silu(self.energy_in(torch.cat([encoding.hidden, lattice.to(dtype)], dim=2)))
        hidden = hidden + silu(self.energy_out(silu(self.energy_hidden(hidden))))
        heads = _full_precision(self.energy_head, hidden)
        well = volume_well(strain, encoding.stiffness) + shape_well(distance, encoding.stiffness)
        return CellEnergy(encoding.energy + heads[:, :, 0] + well, heads[:, :, 1] - 3.0, equilibrium, hidden)


def _full_precision(layer: StackedLinear, inputs: Tensor) -> Tensor:
    # bfloat16 resolves 0.02 eV/atom at -4 eV/atom: energies must not leave a layer in it
    with torch.autocast(inputs.device.type, enabled=False):
        result: Tensor = layer(inputs.float())
    return result
