"""Prototypes of a formula by the likeness of its elements to those of known crystals.

The weight of a prototype is the sum, over known crystals that have it, of the products of the likeness of the elements
in each slot. The likeness of two elements is how much more often than by chance they stand in the same slot of a
prototype; so common prototypes count, and crystals of similar elements count most. Data-mined substitutions:
G. Hautier et al., Inorg. Chem. 50, 656 (2011).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import permutations
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gflownet_crystal.generators.assignments.table import Key, assignments_of, keys_of, ordered_elements
from gflownet_crystal.generators.prototypes.templates import Templates
from gflownet_crystal.generators.wyckoff_assignments import Assignment
from gflownet_crystal.structures.elements import N_ATOMIC_NUMBERS
from gflownet_crystal.structures.formulas import reduce_composition
from gflownet_crystal.structures.occupied_positions import OccupiedPositions
from gflownet_crystal.weights import fitting_card, load_weights, save_weights, tensors_under

KIND = "prototypes"
POWER = 2.0
"""Power of the likeness; chosen on MP-20 val."""

Prototype = tuple[Key, Assignment]
"""Space group and counts, and the canonical assignment of the elements in their order."""

# crystals by chance that the likeness of an element leans on
_UNSEEN = 5.0
_OWN = 1e-3
# of a formula with more elements of one count, only the own order of the slots is tried
_MOST_EXCHANGED = 6


@dataclass(frozen=True)
class Proposals:
    """m prototypes of a formula, the heaviest first, each with the template of the crystal of most similar elements.

    Attributes:
        template: (m,) int64 rows of the templates.
        elements: (m, s) int64, atomic number of each slot; 0 for slots that a template does not have.
        space_group: (m,) int64.
        composition: (m, 119) int64 counts of the conventional cell.
        weight: (m,) float64, sums to 1 over all prototypes of the formula.
    """

    template: Tensor
    elements: Tensor
    space_group: Tensor
    composition: Tensor
    weight: Tensor

    def __len__(self) -> int:
        """Number of prototypes."""
        return len(self.template)

    def take(self, rows: Tensor | slice) -> Proposals:
        """The prototypes of an index, a mask or a slice."""
        return Proposals(*(column[rows] for column in vars(self).values()))

    @classmethod
    def cat(cls, parts: Sequence[Proposals]) -> Proposals:
        """The prototypes of all parts, one after the other."""
        return cls(*map(torch.cat, zip(*(vars(part).values() for part in parts), strict=True)))


@dataclass(frozen=True, eq=False)
class KnownPrototypes:
    """Known crystals by prototype: space group, counts and Wyckoff positions of each slot, up to the normaliser.

    Attributes:
        templates: t templates.
        prototype: (t,) int64, not decreasing, prototype of each template.
        template: (n,) int64, not decreasing, template of each crystal.
        elements: (n, s) int64 atomic numbers of each crystal by slot; 0 for slots that it does not have.
    """

    templates: Templates
    prototype: Tensor
    template: Tensor
    elements: Tensor

    @cached_property
    def likeness(self) -> NDArray[np.float64]:
        """(119, 119) logarithm of the likeness of elements in a formula (rows) to those of a known crystal."""
        slots = self.elements.shape[1]
        place = self.prototype[self.template][:, None] * slots + torch.arange(slots)
        present = self.elements > 0
        _, row = place[present].unique(return_inverse=True)
        number = torch.zeros(int(row.max()) + 1, N_ATOMIC_NUMBERS, dtype=torch.float64)
        number.index_put_((row, self.elements[present]), torch.ones(len(row)).double(), accumulate=True)
        number = number[number.sum(dim=1) > 1.0]
        each = number / (number.sum(dim=1, keepdim=True) - 1.0)
        pairs = (each.T @ number - torch.diag(each.sum(dim=0))).numpy()
        total = pairs.sum(axis=1, keepdims=True)
        by_chance = (total.T + 1.0) / (total + 1.0).sum()
        found = np.log((pairs + _UNSEEN * by_chance) / (total + _UNSEEN) / by_chance)
        # nothing is more like an element than itself
        np.fill_diagonal(found, found.max(axis=1) + _OWN)
        return found

    @cached_property
    def _crystals_of(self) -> Mapping[tuple[int, ...], NDArray[np.int64]]:
        """Rows of the crystals with each reduced count of the slots."""
        counts = self.templates.counts
        reduced = counts // _gcd(counts)[:, None]
        distinct, kind = reduced.unique(dim=0, return_inverse=True)
        of_crystal = kind[self.template].numpy()
        order = of_crystal.argsort(kind="stable")
        parts = np.split(order, np.bincount(of_crystal, minlength=len(distinct)).cumsum()[:-1])
        keys = [tuple(count for count in row if count) for row in distinct.tolist()]
        return dict(zip(keys, parts, strict=True))

    def of_formula(self, composition: Tensor, most: int = 1000) -> Proposals:
        """The heaviest prototypes of a composition (119,), which is reduced first, at most ``most``."""
        reduced = reduce_composition(composition[None])
        own = ordered_elements(reduced)[0]
        counts = reduced[0, own]
        own = own[: int((reduced[0] > 0).sum())]
        crystals = self._crystals_of.get(tuple(counts[: len(own)].tolist()))
        slots = self.elements.shape[1]
        if crystals is None:
            nothing = torch.zeros(0, dtype=torch.int64)
            wide = nothing.new_zeros(0, N_ATOMIC_NUMBERS)
            return Proposals(nothing, nothing.new_zeros(0, slots), nothing, wide, torch.zeros(0).double())
        orders = _exchanges(counts[: len(own)].tolist())
        exchanged = own.numpy()[orders]
        known = self.elements[crystals, : len(own)].numpy()
        score = POWER * self.likeness[exchanged[:, None], known[None]].sum(axis=2)
        order, crystal, weight = self._weighed(score, crystals)
        some = slice(None, most)
        order, template = order[some], self.template[crystals[crystal[some]]]
        elements = torch.zeros(len(order), slots, dtype=torch.int64)
        elements[:, : len(own)] = torch.from_numpy(exchanged[order])
        group, composition = (
            self.templates.space_group[template],
            self.templates.compositions(template, elements),
        )
        made = Proposals(template, elements, group, composition, torch.from_numpy(weight[some]))
        return self._joined(made)

    def names(self, proposals: Proposals) -> list[Prototype]:
        """The prototypes with their elements, the same for orders that the normaliser makes of each other."""
        occupied = self.templates.occupied(proposals.template, proposals.elements)
        return prototypes_of(proposals.space_group, proposals.composition, occupied)

    def _weighed(
        self, score: NDArray[np.float64], crystals: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """Orders of the elements in prototypes, the heaviest first: order, most similar crystal, weight.

        Args:
            score: (q, c) logarithms of the likeness of q orders to c crystals.
            crystals: (c,) rows of the crystals.
        """
        prototype = self.prototype[self.template[crystals]].numpy()
        _, kind = np.unique(prototype, return_inverse=True)
        n_kinds = int(kind.max()) + 1
        place = (np.arange(len(score))[:, None] * n_kinds + kind).ravel()
        weight = np.bincount(place, np.exp(score - score.max()).ravel(), len(score) * n_kinds)
        rising = score.ravel().argsort(kind="stable")
        best = np.zeros(len(weight), dtype=np.int64)
        # of several crystals of a prototype the last one stays
        best[place[rising]] = rising
        falling = (-weight).argsort(kind="stable")
        order, crystal = np.divmod(best[falling], len(crystals))
        return order, crystal, weight[falling] / weight.sum()

    def _joined(self, made: Proposals) -> Proposals:
        """Proposals of the same prototype as one, the heaviest first."""
        numbers: dict[Prototype, int] = {}
        kind = torch.tensor([numbers.setdefault(name, len(numbers)) for name in self.names(made)])
        weight = made.weight.new_zeros(len(numbers)).index_add_(0, kind, made.weight)
        first = torch.from_numpy(np.unique(kind.numpy(), return_index=True)[1])
        order = weight.argsort(descending=True, stable=True)
        return replace(made.take(first), weight=weight).take(order)

    def save(self, path: Path, card: Mapping[str, object]) -> None:
        """Write the prototypes and their card."""
        stored = {f"templates/{name}": value for name, value in self.templates.tensors().items()}
        stored["templates_of"] = torch.bincount(self.prototype).to(torch.int16)
        stored["crystals_of"] = torch.bincount(self.template).to(torch.int16)
        stored["elements"] = self.elements[self.elements > 0].to(torch.uint8)
        save_weights(path, stored, {"kind": KIND, **card})

    @classmethod
    def load(cls, weights: str | Path = "prototypes") -> Self:
        """Read prototypes.

        Args:
            weights: shipped name or path.

        Raises:
            WeightsError: there is no such file, or it is damaged.
        """
        tensors, _ = load_weights(weights, KIND)
        with fitting_card(weights):
            templates = Templates.from_tensors(tensors_under(tensors, "templates/"))
            numbers = (tensors[name].long() for name in ("templates_of", "crystals_of"))
            prototype, template = (torch.arange(len(n)).repeat_interleave(n) for n in numbers)
            present = templates.counts[template] > 0
            elements = torch.zeros(present.shape, dtype=torch.int64)
            elements[present] = tensors["elements"].long()
        return cls(templates, prototype, template, elements)


def prototypes_of(space_group: Tensor, composition: Tensor, occupied: OccupiedPositions) -> list[Prototype]:
    """Prototypes of n crystals from their groups (n,), counts of conventional cells (n, 119) and orbits."""
    keys, elements = keys_of(space_group, composition)
    return list(zip(keys, assignments_of(keys, elements, occupied), strict=True))


def _gcd(counts: Tensor) -> Tensor:
    """(t,) greatest common divisors of rows."""
    found = counts[:, 0]
    for column in counts.T:
        found = torch.gcd(found, column)
    return found


def _exchanges(counts: list[int]) -> NDArray[np.int64]:
    """(q, k) orders of k elements that have the same counts."""
    own = np.arange(len(counts))
    if max(counts.count(count) for count in counts) > _MOST_EXCHANGED:
        return own[None]
    number = np.array(counts)
    every = np.array(list(permutations(range(len(counts))))) if len(counts) <= _MOST_EXCHANGED else own[None]
    kept: NDArray[np.int64] = every[(number[every] == number).all(axis=1)]
    return kept
