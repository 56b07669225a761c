"""Formation energies of crystals by an energy model, and energies above a convex hull."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from gflownet_crystal.common.devices import find_device
from gflownet_crystal.common.progress import Progress
from gflownet_crystal.evaluation.stability import energy_above_hull
from gflownet_crystal.models.energies.potentials import load_energies
from gflownet_crystal.models.energies.structure_energies import StructureEnergies
from gflownet_crystal.proxies.e_above_hull import REFERENCE, load_hull
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.workflows.placing.placing import judged_energies

NEAREST: Final = REFERENCE
"""The shipped hull of public labels."""

_AT_A_TIME = 64


def energies_of(
    given: str | Mapping[str, object] | StructureEnergies, device: torch.device
) -> StructureEnergies:
    """An energy model, given by name or as an object, on a device.

    Raises:
        ConfigError: an unknown name.
    """
    model = given if isinstance(given, StructureEnergies) else load_energies(given)
    return model.to(device)


def formation_energies(
    structures: StructureBatch,
    energy_model: str | Mapping[str, object] | StructureEnergies,
    device: str,
    quiet: bool,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Formation energies of crystals and their standard deviations.

    Args:
        structures: n structures.
        energy_model: name of the model, or an object.
        device: name of the device.
        quiet: whether to show no progress.

    Returns:
        Two arrays (n,), eV/atom; NaN where the model cannot judge a structure.
    """
    found = find_device(device)
    model = energies_of(energy_model, found)
    energy, std = np.full(len(structures), np.nan), np.full(len(structures), np.nan)
    with Progress(len(structures), 0, "judging", quiet or not len(structures)) as progress:
        for start in range(0, len(structures), _AT_A_TIME):
            part = structures[start : start + _AT_A_TIME]
            values = judged_energies(part.to(found), model)
            for whole, one in zip((energy, std), values, strict=True):
                whole[start : start + len(part)] = one.cpu().numpy()
            progress.advance("", len(part))
    return energy, std


def above_hull(
    structures: StructureBatch, energy: NDArray[np.float64], hull: str | Path
) -> NDArray[np.float64]:
    """Energies above a hull.

    Args:
        structures: n structures.
        energy: (n,) formation energies, eV/atom.
        hull: name or file of the hull: ``reference``, ``learned`` or a file.

    Returns:
        (n,) eV/atom; NaN without an energy, or for more than 8 elements.

    Raises:
        DataError: no hull.
    """
    above: NDArray[np.float64] = energy_above_hull(
        structures.composition, torch.from_numpy(energy.copy()), load_hull(hull)
    ).numpy()
    return above
