"""Novelty of a candidate: a known formula, a known prototype, or one element away from a known formula."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from gflownet_crystal.common.run_schema import SPACE_GROUP
from gflownet_crystal.crystallography.space_groups import first_hand_of_group
from gflownet_crystal.proxies.known_compounds import KnownCompounds
from gflownet_crystal.report.population import Population
from gflownet_crystal.structures.formulas import reduce_composition

_LAST = 94  # plutonium: heavier elements are in no known compound of the shipped ones


@dataclass(frozen=True)
class Newness:
    """Novelty of a candidate.

    Attributes:
        formula: whether its reduced formula is known.
        prototype: whether a known crystal has its formula pattern and space group; None without known crystals.
        substitution: whether another element in the place of one of its own makes a known formula.
    """

    formula: bool
    prototype: bool | None
    substitution: bool

    @property
    def text(self) -> str:
        """In a few words."""
        parts = ["known formula" if self.formula else "new formula"]
        if self.prototype is not None:
            parts.append("known prototype (formula pattern and group)" if self.prototype else "new prototype")
        if not self.formula:
            parts.append("one element away from a known formula" if self.substitution else
                         "no known formula one element away")  # fmt: skip
        return "; ".join(parts)


def newness(
    candidates: Population, known: Population | None, told: Sequence[object] | None = None
) -> list[Newness]:
    """Novelty of each of n candidates, against the shipped known compounds and a reference set.

    Args:
        candidates: n crystals.
        known: crystals of the reference; None without one.
        told: whether each formula is known, by the table of candidates; None where it does not say.
    """
    compounds = KnownCompounds.from_weights()
    if known is not None and len(known):
        groups = torch.from_numpy(known.frame[SPACE_GROUP].to_numpy(dtype=np.int64, copy=True))
        compounds = compounds | KnownCompounds.of(torch.from_numpy(known.composition), groups)
    counts = torch.from_numpy(candidates.composition)
    groups = torch.from_numpy(candidates.frame[SPACE_GROUP].to_numpy(dtype=np.int64, copy=True))
    formula, _ = compounds.look_up(counts, groups)
    prototypes = None if known is None or not len(known) else set(_prototypes(known))
    found = []
    for row, (is_known, prototype) in enumerate(zip(formula.tolist(), _prototypes(candidates), strict=True)):
        is_known = is_known or (told is not None and str(told[row]).lower() == "true")
        same = None if prototypes is None else prototype in prototypes
        found.append(Newness(is_known, same, one_element_away(counts[row], compounds)))
    return found


def one_element_away(counts: torch.Tensor, compounds: KnownCompounds) -> bool:
    """Find out whether a known formula differs from a composition by the substitution of one element.

    Args:
        counts: (119,) int64, atoms by atomic number.
        compounds: known compounds.
    """
    present = counts.nonzero()[:, 0]
    others = torch.tensor([number for number in range(1, _LAST + 1) if counts[number] == 0])
    old, new = present.repeat_interleave(len(others)), others.repeat(len(present))
    rows = torch.arange(len(old))
    changed = counts.repeat(len(old), 1)
    changed[rows, new], changed[rows, old] = counts[old], 0
    return bool(compounds.look_up(changed, torch.ones_like(old))[0].any())


def _prototypes(crystals: Population) -> list[tuple[tuple[int, ...], int]]:
    """Counts of the reduced formula in ascending order and space group of each, equal for mirror images."""
    reduced = reduce_composition(torch.from_numpy(crystals.composition)).numpy()
    groups: NDArray[np.int64] = first_hand_of_group[crystals.frame[SPACE_GROUP].to_numpy(dtype=np.int64)]
    return [
        (tuple(sorted(row[row > 0].tolist())), int(group)) for row, group in zip(reduced, groups, strict=True)
    ]
