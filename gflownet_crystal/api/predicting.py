"""Structure prediction and variants of crystals from Python, by the engine of the verb ``predict``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gflownet_crystal.api.crystals import Crystals
from gflownet_crystal.api.words import setting_texts
from gflownet_crystal.common.run_schema import CIF_FILE, ENERGY_BEFORE, RANK, SPACE_GROUP
from gflownet_crystal.config.build import verb_settings
from gflownet_crystal.config.compose import compose_config, resolved
from gflownet_crystal.config.predicting import build_predictor
from gflownet_crystal.data.schema import ENERGY_COLUMN, HULL_COLUMN, JUDGED_HULL
from gflownet_crystal.structures.convert import from_pymatgen
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.workflows.predicting.starting_structures import Start, read_start
from gflownet_crystal.workflows.predicting.tasks import tasks_asked
from gflownet_crystal.workflows.settings.predict import PredictSettings

if TYPE_CHECKING:
    from pymatgen.core import Structure


def predict(
    formula: str | Mapping[str, int] | None = None,
    n: int = 20,
    *,
    start: str | Path | Structure | None = None,
    keep: str = "prototype",
    supercell: Sequence[int] | None = None,
    dope: Mapping[str, Mapping[str, int]] | None = None,
    sites: Mapping[str, str | Sequence[str]] | None = None,
    space_group: int | str | Sequence[int | str] | None = None,
    lattice: Sequence[float] | None = None,
    templates: int = 40,
    cells: int = 64,
    energy_model: str | None = "alignn",
    relax: int = 0,
    relax_model: str | None = None,
    seed: int = 0,
    device: str = "auto",
) -> Crystals:
    """Predict crystal structures of a formula, or vary a given crystal.

    Args:
        formula: a ratio as ``"LiFePO4"``, counts of the conventional cell as ``{"Na": 4, "Cl": 4}``, or a family; None
            where a crystal is given.
        n: largest number of structures.
        start: crystal to vary, or its file in any format that the readers take.
        keep: ``"prototype"`` keeps its group, Wyckoff positions and ratio of sites, ``"elements"`` its formula.
        supercell: repetitions of its conventional cell in which atoms are replaced, as ``[2, 1, 1]``.
        dope: atoms to replace in the whole supercell, as ``{"Li": {"Na": 1}}``.
        sites: elements of each letter of a family, as ``{"A": ["Li", "Na"], "X": "any"}``, or those that may replace
            each element of ``start``: elements not named stay; None for all to vary.
        space_group: the only group, or groups, numbers or symbols; None for all.
        lattice: a, b, c in Å and angles in degrees of the conventional cell; None to have cells drawn.
        templates: number of prototypes of known crystals that are tried.
        cells: number of cells of the prior that get atoms.
        energy_model: model that ranks, by name or file; None to rank by distances.
        relax: number of the best structures that are relaxed before the final ranking.
        relax_model: model that relaxes them; None for ``energy_model``.
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
    given: dict[str, object] = {
        "n": n,
        "space_group": space_group,
        "lattice": lattice,
        "templates": templates,
        "cells": cells,
        "energies": energy_model,
    }
    given |= {
        "start": "memory" if start is not None else None,
        "keep": keep,
        "supercell": supercell,
        "dope": dope,
    }
    given |= {"formula": formula, "sites": sites, "relax": relax, "relax_model": relax_model}
    words = setting_texts({**given, "seed": seed, "device": device, "out": "memory"})
    config = resolved(compose_config("predict", words))
    settings, crystal = verb_settings(PredictSettings, config), None
    if isinstance(start, str | Path):
        crystal = read_start(Path(start))
    elif start is not None:
        crystal = Start.of(from_pymatgen([start]))
    (task,) = tasks_asked(settings, crystal)
    found = task.found(build_predictor(config))
    left_out = found.left_out.drop(columns=[RANK, CIF_FILE])
    names = [name.rpartition("/")[2].removesuffix(".cif") for name in found.frame[CIF_FILE]]
    table = found.frame[[SPACE_GROUP, "probability"]].assign(name=names)
    table[ENERGY_COLUMN], table[HULL_COLUMN] = found.frame[ENERGY_BEFORE], found.frame[JUDGED_HULL]
    structures = StructureBatch.none() if found.structures is None else found.structures
    return Crystals(
        structures, table[["name", SPACE_GROUP, "probability", ENERGY_COLUMN, HULL_COLUMN]], left_out
    )
