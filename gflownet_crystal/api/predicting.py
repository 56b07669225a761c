"""Structure prediction from Python, by the engine of the verb ``predict``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gflownet_crystal.api.crystals import Crystals
from gflownet_crystal.api.words import setting_texts
from gflownet_crystal.common.run_schema import CIF_FILE, ENERGY_BEFORE, RANK, SPACE_GROUP
from gflownet_crystal.config.compose import compose_config, resolved
from gflownet_crystal.config.predicting import build_predictor
from gflownet_crystal.data.schema import ENERGY_COLUMN, HULL_COLUMN, JUDGED_HULL
from gflownet_crystal.envs.composition.patterns import FormulaPattern


def predict(
    formula: str | Mapping[str, int],
    n: int = 20,
    *,
    sites: Mapping[str, str | Sequence[str]] | None = None,
    space_group: int | str | Sequence[int | str] | None = None,
    lattice: Sequence[float] | None = None,
    cells: int = 160,
    energy_model: str | None = "alignn",
    seed: int = 0,
    device: str = "auto",
) -> Crystals:
    """Predict crystal structures of a formula.

    Args:
        formula: a ratio as ``"LiFePO4"``, counts of the conventional cell as ``{"Na": 4, "Cl": 4}``, or a family.
        n: largest number of structures.
        sites: elements of each letter of a family, as ``{"A": ["Li", "Na"], "X": "any"}``.
        space_group: the only group, or groups, numbers or symbols; None for all.
        lattice: a, b, c in Å and angles in degrees of the conventional cell; None to have cells drawn.
        cells: number of cells that get atoms.
        energy_model: model that ranks, by name or file; None to rank by distances.
        seed: random seed.
        device: name of the device, ``cpu``, ``cuda``, ...; ``auto`` for a GPU if there is one.

    Returns:
        The crystals, best first, with ``probability``, ``formation_energy_per_atom`` and ``e_above_hull``; cells
        without a structure in ``left_out``.

    Raises:
        ConfigError: a formula that cannot be read, or a value out of range.
        EmptySpaceError: no space group holds the formula, or none the lattice.

    Example:
        >>> gfc.predict("NaCl", space_group="Fm-3m")[0].to_pymatgen()
    """
    given = {"n": n, "space_group": space_group, "lattice": lattice, "cells": cells, "energies": energy_model}
    pattern = FormulaPattern.of(formula, sites)
    words = setting_texts(
        {**given, "formulas": [pattern.text], "seed": seed, "device": device, "out": "memory"}
    )
    found = build_predictor(resolved(compose_config("predict", words))).predict(pattern)
    left_out = found.left_out.drop(columns=[RANK, CIF_FILE])
    names = [name.rpartition("/")[2].removesuffix(".cif") for name in found.frame[CIF_FILE]]
    table = found.frame[[SPACE_GROUP, "probability"]].assign(name=names)
    table[ENERGY_COLUMN], table[HULL_COLUMN] = found.frame[ENERGY_BEFORE], found.frame[JUDGED_HULL]
    structures = Crystals.none() if found.structures is None else found.structures
    return Crystals(
        structures, table[["name", SPACE_GROUP, "probability", ENERGY_COLUMN, HULL_COLUMN]], left_out
    )
