"""Energies of strained crystals from a potential: the MLP proxy learns the cost of wrong volumes and shapes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd
from ase import Atoms
from ase.calculators.calculator import Calculator
from numpy.typing import NDArray

from gflownet_crystal.common.errors import ConfigError, DataError
from gflownet_crystal.data.schema import STRUCTURE_COLUMNS, require_columns
from gflownet_crystal.data.standardize import (
    parameters_to_rows,
    rows_to_parameters,
    standard_cells,
    symmetrise_parameters,
)

SCALE_RANGE = (0.85, 1.25)
"""Length ratios of isotropic scaling."""
SHEARED_COPIES = 3
LARGEST_SHEAR = 0.25
MAX_ATOMS = 12


def load_potential(name: str) -> Calculator:
    """An ASE calculator by name.

    Raises:
        ConfigError: the name is unknown or the package that it needs is not installed.
    """
    if name != "chgnet":
        raise ConfigError(f"unknown potential {name!r}; choose chgnet")
    # imported here, as only this needs it
    from gflownet_crystal.models.energies.potentials import load_energies

    calculator: Calculator = load_energies(name).calculator()
    return calculator


def strained_energies(
    frame: pd.DataFrame,
    potential: str | Calculator,
    scales: int = 5,
    seed: int = 0,
    progress: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> pd.DataFrame:
    """Single-point energies of each stored crystal as it is, scaled, and sheared within its symmetry.

    Args:
        frame: stored structures, see :mod:`gflownet_crystal.data.readers`; those of more than 12 atoms are left out.
        potential: name for :func:`load_potential`, or an ASE calculator.
        scales: number of isotropically scaled copies.
        seed: random seed of the strains.
        progress: function that wraps the row counter, such as ``tqdm``.

    Returns:
        Columns material_id, strain (reference, scale, shape), lattice, volume_per_atom, chgnet_energy_per_atom and
        delta_energy_per_atom (eV/atom against the reference). Cells that the potential refuses are left out.

    Raises:
        DataError: no crystal is small enough.
        ConfigError: the potential is unknown or not installed.
    """
    require_columns(frame, STRUCTURE_COLUMNS, "the source")
    calculator = load_potential(potential) if isinstance(potential, str) else potential
    small = frame[[len(numbers) <= MAX_ATOMS for numbers in frame["atomic_numbers"]]].reset_index(drop=True)
    if small.empty:
        raise DataError(f"no crystal has at most {MAX_ATOMS} atoms in its stored cell; give smaller ones")
    lattices = np.stack([np.asarray(lattice, dtype=np.float64) for lattice in small["lattice"]])
    cells = standard_cells(lattices, list(small["atomic_numbers"]), list(small["frac_coords"]))
    rng = np.random.default_rng(seed)
    records: list[dict[str, object]] = []
    for row in progress(range(len(small))):
        copies = [("reference", lattices[row])]
        copies += [("scale", _scaled(lattices[row], rng.uniform(*SCALE_RANGE))) for _ in range(scales)]
        if 0 < cells.space_group[row] < 195:
            sheared = (
                _sheared(cells.parameters[row], cells.linear[row], cells.space_group[row], rng)
                for _ in range(SHEARED_COPIES)
            )
            copies += [("shape", lattice) for lattice in sheared]
        records += _energies_of(small.iloc[row], copies, calculator)
    return pd.DataFrame(records)


def _energies_of(
    crystal: pd.Series[Any], copies: list[tuple[str, NDArray[np.float64]]], calculator: Calculator
) -> list[dict[str, object]]:
    numbers = np.asarray(crystal["atomic_numbers"])
    positions = np.asarray(crystal["frac_coords"], dtype=np.float64).reshape(-1, 3)
    records: list[dict[str, object]] = []
    reference = np.nan
    for strain, lattice in copies:
        atoms = Atoms(
            numbers, scaled_positions=positions, cell=parameters_to_rows(lattice[None])[0], pbc=True
        )
        try:
            energy = float(calculator.get_potential_energy(atoms)) / len(atoms)
        except (ValueError, RuntimeError):
            energy = np.nan  # an atom without neighbours, for one: the potential does not reach so far
        reference = energy if strain == "reference" else reference
        if np.isfinite(energy) and np.isfinite(reference):
            records.append(
                {
                    "material_id": crystal["material_id"],
                    "strain": strain,
                    "lattice": lattice,
                    "volume_per_atom": atoms.get_volume() / len(atoms),
                    "chgnet_energy_per_atom": energy,
                    "delta_energy_per_atom": energy - reference,
                }
            )
    return records


def _scaled(lattice: NDArray[np.float64], factor: float) -> NDArray[np.float64]:
    return lattice * np.array([factor] * 3 + [1.0] * 3)


def _sheared(
    conventional: NDArray[np.float64], linear: NDArray[np.float64], group: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Stored cell (6,) whose conventional one is strained along the free parameters of its group."""
    factors = np.concatenate([np.exp(rng.uniform(-LARGEST_SHEAR, LARGEST_SHEAR, 3)), np.ones(3)])
    bent = conventional * factors + np.concatenate([np.zeros(3), rng.uniform(-12, 12, 3)])
    target = symmetrise_parameters(bent[None], np.array([group]))
    rows = parameters_to_rows(target)
    volume, before = np.linalg.det(rows[0]), np.linalg.det(parameters_to_rows(conventional[None])[0])
    if not np.isfinite(volume) or volume < 0.2 * before:
        rows, volume = parameters_to_rows(conventional[None]), before
    stored = np.linalg.inv(linear.T) @ (rows[0] * (before / volume) ** (1 / 3))
    return np.asarray(rows_to_parameters(stored[None])[0])
