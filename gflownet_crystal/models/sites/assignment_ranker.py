"""A small network that scores Wyckoff assignments of specs, seeing elements and lattice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from gflownet_crystal.crystallography.space_groups import N_SPACE_GROUPS
from gflownet_crystal.crystallography.wyckoff import wyckoff_table
from gflownet_crystal.models.layers.elements import N_ELEMENT_FEATURES, element_features

KIND = "assignment_ranker"
_N_LATTICE, _N_SITE, _N_TABLE = 8, 10, 8
_SMALLEST = 1e-3


@dataclass(frozen=True)
class RankerInputs:
    """n specs with A assignments, O orbits and S sites in all; a site is an element on a position of a spec.

    Attributes:
        space_group: (n,) int64.
        fractions: (n, 119) float64, share of each element by atomic number.
        lattice: (n, 8) float64, shape of the cell: logarithms of volume per atom (Å^3), b / a, c / a, c / b and atoms,
            and cosines of the angles.
        site_spec: (S,) int64.
        site_element: (S,) int64 atomic numbers.
        site_position: (S,) int64, rows of the Wyckoff table.
        site_share: (S,) float64, of the element's atoms that one orbit holds.
        site_log_share: (S,) float64, logarithm of the position's share of its group's orbits, by the table.
        site_distance: (S,) float64, distance of the orbit's atoms to each other over twice their radius.
        spec: (A,) int64, not decreasing, the spec of each assignment.
        table: (A, 8) float64, its entries in the table.
        orbit_assignment: (O,) int64, not decreasing.
        orbit_site: (O,) int64.
    """

    space_group: Tensor
    fractions: Tensor
    lattice: Tensor
    site_spec: Tensor
    site_element: Tensor
    site_position: Tensor
    site_share: Tensor
    site_log_share: Tensor
    site_distance: Tensor
    spec: Tensor
    table: Tensor
    orbit_assignment: Tensor
    orbit_site: Tensor

    def to(self, device: torch.device | None = None, dtype: torch.dtype | None = None) -> RankerInputs:
        """The same inputs on ``device``, floating-point numbers in ``dtype``."""
        return RankerInputs(
            *(
                tensor.to(device, dtype if tensor.is_floating_point() else tensor.dtype)
                for tensor in vars(self).values()
            )
        )


class AssignmentRanker(nn.Module):
    """Scores of assignments, to be compared within a spec: a sum over orbits, seen through a small network.

    Args:
        width: width of the hidden layers.
        embedding: size of the learned vectors of groups and positions.
    """

    elements: Tensor
    multiplicity: Tensor
    freedom: Tensor

    def __init__(self, width: int = 64, embedding: int = 16) -> None:
        super().__init__()
        table = wyckoff_table()
        self.register_buffer("elements", element_features(), persistent=False)
        multiplicity = torch.from_numpy(table.multiplicity.astype(np.float32))
        self.register_buffer("multiplicity", multiplicity.log(), persistent=False)
        freedom = torch.from_numpy(table.degrees_of_freedom.astype(np.int64))
        self.register_buffer("freedom", nn.functional.one_hot(freedom, 4).float(), persistent=False)
        self.group = nn.Embedding(N_SPACE_GROUPS + 1, embedding)
        self.position = nn.Embedding(len(freedom), embedding)
        for learned in (self.group, self.position):
            nn.init.normal_(learned.weight, std=0.1)
        self.of_spec = nn.Sequential(
            nn.Linear(embedding + _N_LATTICE + 2 * N_ELEMENT_FEATURES, width),
            nn.SiLU(),
            nn.Linear(width, width),
        )
        self.of_site = nn.Sequential(
            nn.Linear(2 * N_ELEMENT_FEATURES + embedding + _N_SITE + width, 2 * width),
            nn.SiLU(),
            nn.Linear(2 * width, width),
        )
        self.norm = nn.LayerNorm(width)
        self.of_assignment = nn.Sequential(
            nn.Linear(2 * width + _N_TABLE, 2 * width), nn.SiLU(), nn.Linear(2 * width, width), nn.SiLU(),
            nn.Linear(width, 1),
        )  # fmt: skip
        self.of_table = nn.Linear(_N_TABLE, 1)

    def forward(self, inputs: RankerInputs) -> Tensor:
        """Scores, (A,), in the dtype of the parameters."""
        inputs = inputs.to(dtype=self.of_table.weight.dtype)
        mean = inputs.fractions @ self.elements
        spread = (inputs.fractions @ self.elements.square() - mean.square()).clamp(min=0.0)
        spec = torch.cat([self.group(inputs.space_group), inputs.lattice, mean, spread], dim=1)
        spec = self.of_spec(spec)
        sites = self.of_site(self._sites(inputs, spec, mean))
        sums = sites.new_zeros(len(inputs.spec), sites.shape[1])
        sums = sums.index_add(0, inputs.orbit_assignment, sites.index_select(0, inputs.orbit_site))
        seen = torch.cat([self.norm(sums), spec.index_select(0, inputs.spec), inputs.table], dim=1)
        scores: Tensor = self.of_assignment(seen) + self.of_table(inputs.table)
        return scores[:, 0]

    def _sites(self, inputs: RankerInputs, spec: Tensor, mean: Tensor) -> Tensor:
        element = self.elements[inputs.site_element]
        position = inputs.site_position
        distance = inputs.site_distance.clamp(_SMALLEST, 10.0)
        columns = [
            element,
            element - mean[inputs.site_spec],
            self.position(position),
            self.freedom[position],
            self.multiplicity[position][:, None],
            inputs.site_share[:, None],
            inputs.fractions[inputs.site_spec, inputs.site_element][:, None],
            inputs.site_log_share[:, None],
            distance.log()[:, None],
            distance.clamp(max=1.0)[:, None],
            spec[inputs.site_spec],
        ]
        return torch.cat(columns, dim=1)


def log_probabilities(scores: Tensor, spec: Tensor, n_specs: int) -> Tensor:
    """Logarithms of the softmax of scores (A,) within each of n specs (A,), (A,)."""
    largest = scores.new_full((n_specs,), -torch.inf).scatter_reduce(0, spec, scores.detach(), "amax")
    shifted = scores - largest[spec]
    total = scores.new_zeros(n_specs).index_add(0, spec, shifted.exp())
    return shifted - total.log()[spec]
