"""Free coordinates from known crystals that have the same Wyckoff positions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor

from gflownet_crystal.crystallography.normalizer import canonical_assignment
from gflownet_crystal.generators.assignments.table import Key, keys_of, positions_by_slot
from gflownet_crystal.generators.placing.orbit_spacing import Orbits
from gflownet_crystal.generators.prototypes.known import KnownPrototypes
from gflownet_crystal.generators.prototypes.templates import Templates
from gflownet_crystal.generators.wyckoff_assignments import Assignment
from gflownet_crystal.structures.periodic_pairs import expand
from gflownet_crystal.structures.site_letters import prescribed
from gflownet_crystal.structures.spec import CrystalSpec
from gflownet_crystal.weights import fitting_card, load_weights

KIND = "site_templates"
"""Kind of the weights, and the name of the shipped ones."""

LENGTHS, ANGLES = 0.15, 8.0
"""Relative difference of lengths, and difference of angles in degrees, that count the same."""


@dataclass(frozen=True, eq=False)
class KnownSites:
    """Templates of known crystals by space group, counts and Wyckoff positions.

    Attributes:
        templates: the templates.
    """

    templates: Templates

    @classmethod
    def load(cls, weights: str | Path = KIND) -> Self:
        """Read templates, and put them after those of the shipped prototypes.

        Args:
            weights: shipped name or path.

        Raises:
            WeightsError: there is no such file, or it is damaged.
        """
        tensors, _ = load_weights(weights, KIND)
        with fitting_card(weights):
            further = Templates.from_tensors(tensors)
        return cls(Templates.cat([KnownPrototypes.load().templates, further]))

    def has(self, key: Key, assignment: Assignment) -> bool:
        """Whether there is a crystal of a group and counts with a canonical assignment."""
        return assignment in self._of(key)[0]

    def place(self, specs: CrystalSpec, drawn: Orbits, some: Tensor, turn: Tensor) -> tuple[Orbits, Tensor]:
        """Candidates, some of them with the positions and coordinates of known crystals.

        A known crystal fits a candidate that has its group, its counts and its Wyckoff positions, up to the normaliser;
        where a spec prescribes positions, these very ones. The one with the most similar lattice is taken at turn 0,
        the next one at turn 1, and so on.

        Args:
            specs: n specs.
            drawn: C candidates.
            some: (c,) int64 candidates that take the coordinates of a known crystal where one fits.
            turn: (c,) int64.

        Returns:
            The candidates in their order, and (C,) bool, whether each has the coordinates of a known crystal.
        """
        device = drawn.position.device
        is_known = torch.zeros(len(drawn.n_orbits), dtype=torch.bool, device=device)
        spec = drawn.spec_of_candidate[some]
        rows, elements = self._fitting(specs[spec].to("cpu"), drawn.select(some), turn.cpu())
        found = (rows >= 0).nonzero()[:, 0]
        if not len(found):
            return drawn, is_known
        own = self.templates.occupied(rows[found], elements[found])
        found, owner = found.to(device), own.structure.to(device)
        is_known[some[found]] = True
        columns = (column.to(device) for column in (own.position, own.atomic_number, own.parameters))
        known = Orbits(some[found][owner], spec[found][owner], *columns)
        kept = ~is_known[drawn.candidate]
        others = Orbits(*(column[kept] for column in vars(drawn).values()))
        order = torch.cat([others.candidate, known.candidate]).argsort(stable=True)
        both = zip(vars(others).values(), vars(known).values(), strict=True)
        return Orbits(*(torch.cat(pair)[order] for pair in both)), is_known

    def _fitting(self, specs: CrystalSpec, drawn: Orbits, turn: Tensor) -> tuple[Tensor, Tensor]:
        """Templates of c candidates, one of each of the specs.

        Returns:
            (c,) int64 rows, -1 where none fits, and (c, s) atomic numbers of the slots.
        """
        keys, elements = keys_of(specs.space_group, specs.composition)
        rows = [
            self._of(key)[is_given].get(own if is_given else canonical_assignment(key[0], own), [])
            for key, own, is_given in zip(
                keys, _positions(keys, elements, drawn), _are_given(specs, elements), strict=True
            )
        ]
        sizes = torch.tensor([len(own) for own in rows], dtype=torch.int64)
        candidate, _ = expand(torch.zeros_like(sizes), sizes)
        row = torch.tensor([number for own in rows for number in own], dtype=torch.int64)
        own = _shapes(torch.cat([specs.lengths, specs.angles], dim=1))
        difference = own[candidate] - self._shapes[row]
        order = np.lexsort((difference.abs().amax(dim=1).numpy(), candidate.numpy()))
        chosen, fits = torch.full((len(keys),), -1), sizes > 0
        place = sizes.cumsum(0) - sizes + turn % sizes.clamp(min=1)
        chosen[fits] = row[torch.from_numpy(order)][place[fits]]
        return chosen, elements[:, : self.templates.counts.shape[1]]

    @cached_property
    def _shapes(self) -> Tensor:
        return _shapes(self.templates.lattice)

    @cached_property
    def _rows_of_keys(self) -> Mapping[Key, list[int]]:
        rows: defaultdict[Key, list[int]] = defaultdict(list)
        columns = zip(self.templates.space_group.tolist(), self.templates.counts.tolist(), strict=True)
        for row, (group, counts) in enumerate(columns):
            rows[group, tuple(count for count in counts if count)].append(row)
        return rows

    @cached_property
    def _found(self) -> dict[Key, tuple[Mapping[Assignment, list[int]], Mapping[Assignment, list[int]]]]:
        return {}

    def _of(self, key: Key) -> tuple[Mapping[Assignment, list[int]], Mapping[Assignment, list[int]]]:
        """Templates of a key by canonical assignment, and by the positions that they have."""
        if key not in self._found:
            canonical, exact = defaultdict(list), defaultdict(list)
            rows = self._rows_of_keys.get(key, [])
            orbits = self.templates.orbits.take(torch.tensor(rows, dtype=torch.int64))
            own = positions_by_slot(
                [key] * len(rows), orbits.structure, orbits.atomic_number, orbits.position
            )
            for row, positions in zip(rows, own, strict=True):
                canonical[canonical_assignment(key[0], positions)].append(row)
                exact[positions].append(row)
            self._found[key] = canonical, exact
        return self._found[key]


def scaled_lattices(lattice: Tensor) -> Tensor:
    """Logarithms of lengths, and angles, in units of tolerated differences.

    Args:
        lattice: (n, 6) lengths, and angles in degrees.
    """
    return torch.cat([lattice[:, :3].log() / LENGTHS, lattice[:, 3:] / ANGLES], dim=1)


def _shapes(lattice: Tensor) -> Tensor:
    """(n, 6) scaled lattices whose lengths have a geometric mean of 1."""
    scaled = scaled_lattices(lattice)
    scaled[:, :3] -= scaled[:, :3].mean(dim=1, keepdim=True)
    return scaled


def _are_given(specs: CrystalSpec, elements: Tensor) -> list[bool]:
    return [own is not None for own in prescribed(specs, elements)]


def _positions(keys: list[Key], elements: Tensor, drawn: Orbits) -> list[Assignment]:
    """Positions of c candidates by slot."""
    candidate, number = drawn.candidate.cpu(), drawn.atomic_number.cpu()
    slot = elements.argsort(dim=1)[candidate, number]
    return positions_by_slot(keys, candidate, slot, drawn.position.cpu())
