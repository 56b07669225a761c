"""Partial compositions with all that decides how they can go on."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gflownet_crystal.common.batch import TensorBatch
from gflownet_crystal.common.devices import runs_ahead
from gflownet_crystal.envs.composition.tables import CompositionTables


@dataclass(frozen=True)
class Partial(TensorBatch):
    """n partial compositions.

    Attributes:
        demand: (n, W') int64; charges that the rest must supply, as ``CompositionTables`` packs them.
        occupation: (n,) int64; state of the Wyckoff automaton.
        chosen: (n, E) bool; elements present.
        n_atoms: (n,) int64.
        base_depth: (n,) int64; least look-ahead of the row's space group.
    """

    demand: Tensor
    occupation: Tensor
    chosen: Tensor
    n_atoms: Tensor
    base_depth: Tensor

    @property
    def n_elements(self) -> Tensor:
        """(n,) int64."""
        return self.chosen.sum(dim=1)


def empty_partial(tables: CompositionTables, space_group: Tensor, base_depth: Tensor) -> Partial:
    """The empty composition in each row's space group; ``base_depth`` is (231,) by group."""
    n, device = len(space_group), space_group.device
    return Partial(
        tables.start.expand(n, -1),
        tables.initial[space_group],
        torch.zeros(n, len(tables.class_of), dtype=torch.bool, device=device),
        torch.zeros(n, dtype=torch.int64, device=device),
        base_depth[space_group],
    )


def extend(tables: CompositionTables, partial: Partial, element: Tensor, count: Tensor) -> Partial:
    """Add ``count`` atoms (n,) of ``element`` (n,) to each row; a count of 0 changes nothing."""
    kind = tables.class_of[element]
    charge_words = tables.n_charge_words
    present = count > 0
    balanced = tables.kernels.subtract(partial.demand[:, :charge_words], kind * (tables.n_counts + 1) + count)
    metal = partial.demand[:, charge_words:] & tables.metal_word[kind]
    demand = torch.where(present[:, None], torch.cat([balanced, metal], dim=1), partial.demand)
    chosen = partial.chosen.scatter(
        1, element[:, None], present[:, None] | partial.chosen.gather(1, element[:, None])
    )
    occupation = tables.transition[partial.occupation, count]
    return Partial(demand, occupation, chosen, partial.n_atoms + count, partial.base_depth)


def single(
    tables: CompositionTables, space_group: Tensor, base_depth: Tensor, element: Tensor, count: Tensor
) -> Partial:
    """Compositions of ``count`` (n,) atoms of ``element`` (n,) only."""
    empty = empty_partial(tables, space_group, base_depth)
    chosen = empty.chosen.scatter(1, element[:, None], torch.ones_like(empty.chosen[:, :1]))
    demand = tables.single_demand[tables.class_of[element] * (tables.n_counts + 1) + count]
    return Partial(demand, tables.transition[empty.occupation, count], chosen, count, empty.base_depth)


def listed_elements(tables: CompositionTables, counts: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """The elements of each composition and their counts, those with the most possible charges first.

    The first element costs no arithmetic on charges, so the most expensive one is put first.

    Args:
        tables: tables of the space.
        counts: (n, E) int64.
        most: length m of the lists.

    Returns:
        elements: (n, m) int64; count: (n, m) int64, 0 past a row's last element.
    """
    size = tables.kernels.size[tables.class_of * (tables.n_counts + 1) + counts] + 1
    elements = size.masked_fill(counts == 0, 0).argsort(dim=1, descending=True, stable=True)[:, :most]
    return elements, counts.gather(1, elements)


def partial_of(tables: CompositionTables, space_group: Tensor, base_depth: Tensor, counts: Tensor) -> Partial:
    """Partial compositions of given counts (n, E): at least one element and at most ``tables.most_elements``."""
    # the host does not wait for a GPU to say how many elements there are at most
    most = tables.most_elements if runs_ahead(counts.device) else int((counts > 0).sum(dim=1).max())
    elements, count = listed_elements(tables, counts, most)
    partial = single(tables, space_group, base_depth, elements[:, 0], count[:, 0])
    for position in range(1, elements.shape[1]):
        partial = extend(tables, partial, elements[:, position], count[:, position])
    return partial
