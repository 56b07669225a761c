"""Crystals of a formula in the prototypes of known crystals."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from gflownet_crystal.envs.lattice.reference_volume import reference_volume
from gflownet_crystal.generators.prototypes.known import KnownPrototypes, Proposals
from gflownet_crystal.structures.formulas import reduce_composition
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.workflows.predicting.likely_cells import CellKinds

# of a family of formulas the likeliest
_FORMULAS = 16


@dataclass(frozen=True)
class KnownCells:
    """m prototypes of a formula, or of a family, the heaviest first.

    Attributes:
        proposals: the prototypes; their weights sum to 1, or there are none.
        pair: (m,) int64, the pair of a group and a composition of each.
        weights: (n,) float64, the sum of the weights for each pair.
    """

    proposals: Proposals
    pair: Tensor
    weights: Tensor

    @property
    def share(self) -> Tensor:
        """(m,) float64 share of each prototype in its pair."""
        return self.proposals.weight / self.weights[self.pair]

    def structures(self, prototypes: KnownPrototypes, n: int) -> StructureBatch:
        """Conventional cells of the n heaviest, in the reference volume of their elements."""
        some = self.proposals.take(slice(None, n))
        volume = reference_volume(some.composition)
        return prototypes.templates.structures(some.template, some.elements, volume)


def known_cells(prototypes: KnownPrototypes, kinds: CellKinds, log_p: Tensor) -> KnownCells:
    """The prototypes of the formulas of n pairs that are among the pairs.

    Args:
        prototypes: prototypes of known crystals.
        kinds: n pairs.
        log_p: (n,) float64 log-probabilities of the pairs, by which the formulas of a family count; where all are -inf,
            all formulas count the same.
    """
    formulas, which = reduce_composition(kinds.composition).unique(dim=0, return_inverse=True)
    likely = torch.softmax(log_p if bool(log_p.isfinite().any()) else torch.zeros_like(log_p), dim=0)
    shares = likely.new_zeros(len(formulas)).index_add_(0, which, likely)
    order = shares.argsort(descending=True, stable=True)[:_FORMULAS]
    found = [prototypes.of_formula(formulas[row]) for row in order.tolist()]
    every = Proposals.cat(
        [replace(one, weight=one.weight * share) for one, share in zip(found, shares[order], strict=True)]
    )
    pair = _pairs(kinds, every)
    among = ((pair >= 0) & (every.weight > 0.0)).nonzero()[:, 0]
    among = among[every.weight[among].argsort(descending=True, stable=True)]
    kept, pair = every.take(among), pair[among]
    kept = replace(kept, weight=kept.weight / kept.weight.sum())
    weights = likely.new_zeros(len(kinds)).index_add_(0, pair, kept.weight)
    return KnownCells(kept, pair, weights)


def _pairs(kinds: CellKinds, proposals: Proposals) -> Tensor:
    """(m,) int64 pair of the group and the composition of each prototype; -1 where it is none."""
    columns = [torch.cat([one.space_group[:, None], one.composition], dim=1) for one in (kinds, proposals)]
    _, number = torch.cat(columns).unique(dim=0, return_inverse=True)
    pair = torch.full((int(number.max()) + 1,), -1)
    pair[number[: len(kinds)]] = torch.arange(len(kinds))
    return pair[number[len(kinds) :]]
