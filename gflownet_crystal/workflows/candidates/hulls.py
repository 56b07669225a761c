"""Hulls from which energies of samples are measured, and energies above them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from gflownet_crystal.common.run_schema import ENERGY, ENERGY_COLUMN, HULL_COLUMN
from gflownet_crystal.common.run_summary import Quantity
from gflownet_crystal.proxies.e_above_hull import load_hull
from gflownet_crystal.proxies.hull import Hull
from gflownet_crystal.structures.spec_io import frame_to_specs

FORMATION_ENERGY = Quantity(ENERGY_COLUMN, "eV/atom")
ABOVE_HULL = Quantity(HULL_COLUMN, "eV/atom")
ENERGIES = FORMATION_ENERGY, ABOVE_HULL
"""Properties, with units, that can be measured from a hull."""

FindHull = Callable[[], Hull | None]


def energies_above_hull(frame: pd.DataFrame, hull: Hull | None = None) -> NDArray[np.float64]:
    """Estimated energies above the convex hull, (n,) eV/atom.

    Args:
        frame: specs whose column ``energy`` is a formation energy, eV/atom.
        hull: measured from; None for the shipped learned hull.
    """
    energy = torch.from_numpy(frame[ENERGY].to_numpy(dtype=np.float64).copy())
    above: NDArray[np.float64] = (hull or load_hull()).e_above_hull(frame_to_specs(frame), energy).numpy()
    return above


def predicted_above_hull(
    frame: pd.DataFrame, known: Quantity, hull: Hull | None, own: Hull | None
) -> NDArray[np.float64]:
    """Energies above the hull by the run's own proxy.

    Args:
        frame: specs with the column ``energy``.
        known: property of that column.
        hull: that the user names; None for the run's own, else the learned one.
        own: the run's own; see :meth:`~gflownet_crystal.workflows.candidates.source.CandidateSource.predicted_hulls`.

    Returns:
        (n,) eV/atom, NaN where the column is something else than an energy.
    """
    if known == FORMATION_ENERGY:
        return energies_above_hull(frame, hull)
    energy = frame[ENERGY].to_numpy(dtype=np.float64)
    if known != ABOVE_HULL:
        return np.full_like(energy, np.nan)
    if hull is None or own is None:
        return energy
    composition = frame_to_specs(frame).composition
    shift: NDArray[np.float64] = (own.hull_energy(composition) - hull.hull_energy(composition)).numpy()
    return energy + shift
