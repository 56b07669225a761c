"""Pairs of a space group and a composition in a lattice that the user has given."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from gflownet_crystal.structures.spec import CrystalSpec
from gflownet_crystal.structures.spec_checks import spec_faults
from gflownet_crystal.workflows.predicting.likely_cells import CellKinds

_VOLUMES = 5.0, 80.0
"""Accepted volumes per atom in a given cell, Å^3: the range of known crystals."""


def in_lattice(kinds: CellKinds, lattice: Sequence[float]) -> CrystalSpec:
    """All pairs in one lattice: three lengths in Å, three angles in degrees."""
    parameters = torch.tensor([float(x) for x in lattice], dtype=torch.float64).expand(len(kinds), -1)
    return CrystalSpec(kinds.space_group, kinds.composition, parameters[:, :3], parameters[:, 3:])


def within_lattice(kinds: CellKinds, lattice: Sequence[float]) -> CellKinds:
    """Pairs whose group admits the lattice and whose volume per atom is plausible."""
    specs = in_lattice(kinds, lattice)
    low, high = _VOLUMES
    fits = (spec_faults(specs) == 0) & (specs.volume_per_atom >= low) & (specs.volume_per_atom <= high)
    return CellKinds(kinds.space_group[fits], kinds.composition[fits])
