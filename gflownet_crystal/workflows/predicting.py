"""Structures of a formula: likely groups and cells by a prior, atoms by a generator, ranked by their energies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from gflownet_crystal.common.annotations import fit_fields
from gflownet_crystal.common.errors import ConfigError, EmptySpaceError
from gflownet_crystal.common.run_schema import ENERGY_BEFORE
from gflownet_crystal.crystallography.space_groups import N_SPACE_GROUPS, check_space_group
from gflownet_crystal.data.schema import ENERGY_COLUMN, JUDGED_HULL
from gflownet_crystal.envs.composition.patterns import FormulaPattern
from gflownet_crystal.envs.crystal import Crystal
from gflownet_crystal.evaluation.parallel import Work, to_crystals
from gflownet_crystal.evaluation.uniqueness import first_match, unique
from gflownet_crystal.generators.assignments.table import AssignmentTable
from gflownet_crystal.gflownet.model import GFlowNet
from gflownet_crystal.structures.frames import frame_to_structures
from gflownet_crystal.structures.spec import CrystalSpec
from gflownet_crystal.structures.spec_checks import spec_faults
from gflownet_crystal.structures.spec_io import REQUIRED_COLUMNS, specs_to_frame
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.workflows.candidates import Candidates, cif_names
from gflownet_crystal.workflows.likely_cells import CellKinds, allotted, draw_cells, kinds_of, probabilities
from gflownet_crystal.workflows.placing import CONTACT, CONTACT_RATIO, ENERGY_STD, Placer, why_unplaced
from gflownet_crystal.workflows.screening_batches import SAME

PROBABILITY = "probability"
COLUMNS = (
    "rank", *REQUIRED_COLUMNS, "volume_per_atom", PROBABILITY, ENERGY_BEFORE, "energy_before_std", JUDGED_HULL,
    CONTACT, CONTACT_RATIO, "reason", "cif",
)  # fmt: skip
"""Columns of predictions: the cell (Å, degrees, Å^3), p(group, composition | formula), energies (eV/atom), the tightest
contact, and why a cell is no prediction."""

_VOLUMES = 5.0, 80.0
"""Volume of an atom in a cell that is given, Å^3: what crystals have."""


@dataclass(frozen=True)
class PredictionSettings:
    """Settings of a structure prediction.

    Attributes:
        n: largest number of structures.
        cells: number of cells that get atoms.
        space_groups: the only groups that are tried, numbers or symbols; None for all.
        lattice: a, b, c in Å and alpha, beta, gamma in degrees of the conventional cell; None to have them drawn.
        most_atoms: largest number of atoms in the primitive cell.
        by_prototypes: share of known prototypes, beside the prior, in the probability of a group and a composition.
        temperature: eV/atom; structures are ranked by ``energy - temperature * log(probability)``, which makes up for
            errors of the energies; 0 for the energy alone.
        seed: random seed of the cells.
    """

    n: int = 20
    cells: int = 160
    space_groups: Sequence[int | str] | None = None
    lattice: Sequence[float] | None = None
    most_atoms: int = 30
    by_prototypes: float = 0.5
    temperature: float = 0.04
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ConfigError: one is out of range.
        """
        fit_fields(self)
        for name in ("n", "cells", "most_atoms"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}={getattr(self, name)} must be at least 1")
        if not 0.0 <= self.by_prototypes <= 1.0:
            raise ConfigError(f"by_prototypes={self.by_prototypes} must be a share from 0 to 1")
        if not self.temperature >= 0.0:
            raise ConfigError(f"temperature={self.temperature} must not be negative")
        if self.lattice is not None and len(self.lattice) != 6:
            raise ConfigError(
                f"lattice={list(self.lattice)} must be six numbers: a, b, c in A, alpha, beta, gamma"
            )
        if self.space_groups is not None and not len(self.space_groups):
            raise ConfigError("space_groups is empty; give at least one, as [225], or null for all")

    @property
    def groups(self) -> list[int]:
        """ITA numbers of the groups that are tried."""
        given = range(1, N_SPACE_GROUPS + 1) if self.space_groups is None else self.space_groups
        return list(dict.fromkeys(map(check_space_group, given)))


@dataclass(frozen=True)
class Predictor:
    """Predicts structures of formulas.

    Attributes:
        model: prior of crystals.
        table: assignments of known crystals.
        placer: puts atoms into cells and rates them.
        settings: settings of the predictions.
    """

    model: GFlowNet
    table: AssignmentTable
    placer: Placer
    settings: PredictionSettings

    def predict(self, pattern: FormulaPattern) -> Candidates:
        """Structures of a formula, the best first; cells without a structure that counts are left out.

        Raises:
            EmptySpaceError: no group holds the formula, or none the lattice.
        """
        specs, probability = self.likely_specs(pattern)
        frame = specs_to_frame(specs)[[*REQUIRED_COLUMNS, "volume_per_atom"]]
        frame = frame.assign(**{PROBABILITY: probability.numpy()})
        made = self.placer.place(frame)
        table = (
            frame.loc[made["row"]]
            .reset_index(drop=True)
            .assign(
                **{ENERGY_BEFORE: made[ENERGY_COLUMN].to_numpy()},
                energy_before_std=made[ENERGY_STD].to_numpy(),
                **{name: made[name].to_numpy() for name in (JUDGED_HULL, CONTACT, CONTACT_RATIO)},
            )
        )
        structures = frame_to_structures(made) if len(made) else None
        return self._ranked(table, structures, frame[~frame.index.isin(made["row"])])

    def likely_specs(self, pattern: FormulaPattern) -> tuple[CrystalSpec, Tensor]:
        """Cells to put atoms into, the likeliest groups and compositions first, and the probabilities of these."""
        settings, elements = self.settings, cast(Crystal, self.model.env).rules.elements
        kinds = kinds_of(pattern, settings.groups, settings.most_atoms, elements)
        if settings.lattice is not None:
            kinds = _within(kinds, settings.lattice)
        if not len(kinds):
            raise EmptySpaceError(_nothing(pattern, settings))
        probability = probabilities(kinds, self.model, self.table, settings.by_prototypes)
        rows = allotted(probability, settings.cells)
        if settings.lattice is not None:
            return _in_lattice(kinds, settings.lattice)[rows], probability[rows]
        return draw_cells(self.model, kinds, rows, settings.seed), probability[rows]

    def _ranked(
        self, table: pd.DataFrame, structures: StructureBatch | None, unplaced: pd.DataFrame
    ) -> Candidates:
        left_out = [unplaced.assign(reason=why_unplaced(unplaced))] if len(unplaced) else []
        if structures is None:
            return Candidates(_columns(table), None, _columns(pd.concat(left_out or [table])))
        possible = (table[CONTACT_RATIO] >= 1.0).to_numpy()
        unlikely = self.settings.temperature * np.log(table[PROBABILITY].to_numpy(dtype=np.float64))
        rating = table[ENERGY_BEFORE].to_numpy(dtype=np.float64) - unlikely
        if self.placer.judge is None:
            rating = -table[CONTACT_RATIO].to_numpy(dtype=np.float64)
        order = np.lexsort((rating, ~possible))
        order = order[possible[order]]
        kept = _first_of_each(structures, order, self.settings.n)
        names = cif_names(structures[torch.from_numpy(kept)]) if len(kept) else []
        found = table.iloc[kept].assign(rank=np.arange(1, len(kept) + 1), cif=names)
        left_out.append(table[~possible].assign(reason="atoms closer than in any known crystal"))
        chosen = structures[torch.from_numpy(kept)] if len(kept) else None
        return Candidates(
            _columns(found), chosen, _columns(pd.concat([p for p in left_out if len(p)] or left_out))
        )


def _first_of_each(structures: StructureBatch, order: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """The first n rows of an order that are structures of their own."""
    kept: NDArray[np.int64] = order[:0]
    # equals are near each other in energy: few comparisons show n distinct ones
    for end in range(2 * n, len(order) + 2 * n, 2 * n):
        head = order[:end]
        ordered = structures[torch.from_numpy(head)]
        names = ordered.specs().formulas()
        distinct = unique(first_match(to_crystals(ordered), names, SAME, Work())).numpy()
        kept = head[distinct][:n]
        if len(kept) == n:
            break
    return kept


def _columns(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.reindex(columns=list(COLUMNS)).astype({"rank": "Int64"}).reset_index(drop=True)


def _in_lattice(kinds: CellKinds, lattice: Sequence[float]) -> CrystalSpec:
    """All pairs in one lattice."""
    parameters = torch.tensor([float(x) for x in lattice], dtype=torch.float64).expand(len(kinds), -1)
    return CrystalSpec(kinds.space_group, kinds.composition, parameters[:, :3], parameters[:, 3:])


def _within(kinds: CellKinds, lattice: Sequence[float]) -> CellKinds:
    """Pairs whose group has the lattice and whose atoms have volumes that crystals have."""
    specs = _in_lattice(kinds, lattice)
    low, high = _VOLUMES
    fits = (spec_faults(specs) == 0) & (specs.volume_per_atom >= low) & (specs.volume_per_atom <= high)
    return CellKinds(kinds.space_group[fits], kinds.composition[fits])


def _nothing(pattern: FormulaPattern, settings: PredictionSettings) -> str:
    groups = "any space group" if settings.space_groups is None else f"space groups {settings.groups}"
    lattice = "" if settings.lattice is None else f" in the lattice {list(settings.lattice)}"
    return (
        f"formula {pattern.text} fits no Wyckoff positions of {groups}{lattice} with at most {settings.most_atoms} "
        "atoms in the primitive cell; raise most_atoms, or leave out space_group or lattice"
    )


def summary_of(
    candidates: Candidates, pattern: FormulaPattern, settings: PredictionSettings
) -> dict[str, object]:
    """Figures of the prediction of a formula, as JSON values."""
    frame = candidates.frame
    best = frame.iloc[0] if len(frame) else None
    return {
        "formula": pattern.text,
        "structures": len(frame),
        "cells": settings.cells,
        "best_space_group": None if best is None else int(best["space_group"]),
        "best_cell": None if best is None else str(best["formula"]),
        "best_e_above_hull_judged": None if best is None else round(float(best[JUDGED_HULL]), 4),
    }
