"""Validity of structures and of compositions, as crystal diffusion models report it.

Source: T. Xie et al., "Crystal Diffusion Variational Autoencoder for Periodic Material Generation", ICLR 2022,
section 5.2: a structure is valid if no two atoms are closer than 0.5 Å, a composition if SMACT finds charges that
balance (D. W. Davies et al., J. Open Source Softw. 4, 1361, 2019). The numbers come from the code that was published
with it, which most later papers use.
"""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.evaluation.extras import missing_extra
from gflownet_crystal.structures.elements import SYMBOLS
from gflownet_crystal.structures.formulas import reduce_composition
from gflownet_crystal.structures.periodic_pairs import PeriodicPoints, too_close, usable
from gflownet_crystal.structures.structure import StructureBatch

CLOSEST = 0.5
"""Å; a structure with atoms closer than this is not valid."""

SMALLEST_VOLUME = 0.1
"""Å^3; nor is one with a cell smaller than this."""

OXIDATION_STATES = ("smact14", "icsd16", "icsd24", "pymatgen_sp")
"""SMACT's tables of oxidation states; the first is the one that the published figures used."""

# below this, cells are degenerate and no search makes sense of them
_DEGENERATE = 1e-3


def structure_validity(structures: StructureBatch, own_images: bool = True) -> Tensor:
    """Which structures have no atoms closer than ``CLOSEST`` and a volume of ``SMALLEST_VOLUME`` or more, (n,) bool.

    Args:
        structures: n structures on the CPU, in any cell.
        own_images: count an atom's distance to its own images too. The published code leaves it out, so that a cell
            with one atom is always valid.
    """
    large = structures.volume >= SMALLEST_VOLUME
    if own_images:
        return usable(structures, CLOSEST) & large
    valid = usable(structures, _DEGENERATE) & large
    rows = valid.nonzero()[:, 0]
    if len(rows):
        points = PeriodicPoints.of(structures[rows])
        pairs = points.within(torch.full((len(rows),), CLOSEST, dtype=torch.float64))
        valid[rows] = ~too_close(points, pairs, CLOSEST)[1]
    return valid


def composition_validity(composition: Tensor, oxidation_states: str = OXIDATION_STATES[0]) -> Tensor:
    """Which compositions can be neutral with anions more electronegative than cations, by SMACT.

    Elements and alloys of metals only are valid, as in the published figures.

    Args:
        composition: (n, 119) int64 counts by atomic number.
        oxidation_states: one of ``OXIDATION_STATES``.

    Returns:
        (n,) bool; False for an element that SMACT does not know.

    Raises:
        ConfigError: an unknown table, or smact is not installed.
    """
    if oxidation_states not in OXIDATION_STATES:
        raise ConfigError(
            f"oxidation_states is one of {', '.join(OXIDATION_STATES)}, not {oxidation_states!r}"
        )
    distinct, inverse = reduce_composition(composition.cpu()).unique(dim=0, return_inverse=True)
    # a Python call of SMACT for each formula
    return torch.tensor([_is_valid(row, oxidation_states) for row in distinct], dtype=torch.bool)[inverse]


def _is_valid(counts: Tensor, oxidation_states: str) -> bool:
    try:
        from smact.screening import smact_validity
    except ImportError as error:
        raise missing_extra("smact") from error
    from pymatgen.core import Composition

    numbers = counts.nonzero()[:, 0].tolist()
    if not numbers or numbers[0] == 0:
        return False
    formula = Composition({SYMBOLS[number]: int(counts[number]) for number in numbers})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return bool(smact_validity(formula, oxidation_states_set=oxidation_states))
        except (KeyError, NameError, TypeError, ValueError):
            return False
