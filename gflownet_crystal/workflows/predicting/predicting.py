"""Structures of a formula, or variants of a given crystal: atoms by a generator, ranked by energies above the hull.

Crystals of a formula come from prototypes of known crystals and from a prior; variants keep the positions of a crystal.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from gflownet_crystal.common.errors import EmptySpaceError
from gflownet_crystal.common.run_schema import ENERGY_BEFORE
from gflownet_crystal.crystallography.lattice import parameters_to_matrix
from gflownet_crystal.data.schema import ENERGY_COLUMN, JUDGED_HULL
from gflownet_crystal.envs.composition.patterns import FormulaPattern
from gflownet_crystal.envs.crystal import Crystal
from gflownet_crystal.generators.prototypes.known import KnownPrototypes
from gflownet_crystal.gflownet.model import GFlowNet
from gflownet_crystal.structures.frames import frame_to_structures
from gflownet_crystal.structures.occupied_positions import is_free
from gflownet_crystal.structures.site_letters import sites_to_text
from gflownet_crystal.structures.spec import CrystalSpec
from gflownet_crystal.structures.spec_io import LETTERS, REQUIRED_COLUMNS, RESULT_COLUMNS, specs_to_frame
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.workflows.candidates.files import Candidates, cif_names
from gflownet_crystal.workflows.placing.placing import (
    CONTACT,
    CONTACT_RATIO,
    ENERGY_STD,
    SCREENED,
    Placer,
    best_of_rows,
    why_unplaced,
)
from gflownet_crystal.workflows.predicting.distinct import first_of_each
from gflownet_crystal.workflows.predicting.given_lattice import in_lattice, within_lattice
from gflownet_crystal.workflows.predicting.known_cells import KnownCells, known_cells
from gflownet_crystal.workflows.predicting.likely_cells import (
    CellKinds,
    allotted,
    draw_cells,
    kinds_of,
    log_prior,
    shares,
)
from gflownet_crystal.workflows.predicting.starting_structures import (
    OTHER_VOLUMES,
    Start,
    Variants,
    placed_specs,
    scaled,
)
from gflownet_crystal.workflows.relaxing.settling import Settler
from gflownet_crystal.workflows.settings.predict import PredictionSettings

PROBABILITY = "probability"
COLUMNS = (
    "rank", *REQUIRED_COLUMNS, "volume_per_atom", LETTERS, PROBABILITY, ENERGY_BEFORE, "energy_before_std", JUDGED_HULL,
    CONTACT, CONTACT_RATIO, "reason", "cif",
)  # fmt: skip
"""Columns of predictions: the cell (Å, degrees, Å^3), Wyckoff letters, the probability among all that were considered,
energies (eV/atom), the tightest contact, and why a cell is no prediction."""

_TRIED_FURTHER = 20
"""Crystals in known prototypes, the best ones, that are tried at other volumes and with atoms placed once more."""


@dataclass(frozen=True)
class Predictor:
    """Predicts structures of formulas.

    Attributes:
        model: prior of crystals.
        prototypes: prototypes of known crystals.
        placer: puts atoms into cells and rates them.
        settings: settings of the predictions.
        settler: relaxes the best structures; None for none.
    """

    model: GFlowNet
    prototypes: KnownPrototypes
    placer: Placer
    settings: PredictionSettings
    settler: Settler | None = None

    def predict(self, pattern: FormulaPattern, start: Start | None = None) -> Candidates:
        """Structures of a formula, the best first; cells without a structure that counts are left out.

        Args:
            pattern: the formula.
            start: a crystal of the formula that is ranked among them; None for none.

        Raises:
            EmptySpaceError: no group holds the formula, or none the lattice.
        """
        kinds, probability, drawn, known = self.likely_kinds(pattern)
        frame = self._drawn(kinds, drawn)
        made = self.placer.place(frame)
        variants = self._known(known, probability)
        if len(variants.probability):
            others, placed = self._at_best(variants, _TRIED_FURTHER)
            made = pd.concat([made, placed.assign(row=placed["row"] + len(frame))], ignore_index=True)
            frame = pd.concat([frame, others], ignore_index=True)
        if start is not None:
            same = (kinds.space_group == start.specs.space_group) & (
                kinds.composition == start.specs.composition
            ).all(dim=1)
            own = probability[same] if bool(same.any()) else probability.min()[None]
            frame = pd.concat([frame, _frame(start.specs, own)], ignore_index=True)
            rated = self.placer.rated(start.structure, np.array([len(frame) - 1]))
            made = pd.concat([made, rated[made.columns]], ignore_index=True)
        return self._candidates(frame, made)

    def vary(self, variants: Variants) -> Candidates:
        """Variants of a crystal, the best first, each at its best volume.

        Atoms are as in the crystal, or where the generator puts them on the same Wyckoff positions, if that is better.
        """
        return self._candidates(*self._at_best(variants, 2 * self.settings.n))

    def _at_best(self, variants: Variants, most: int) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Cells of variants, and their structures.

        The ``most`` best are tried at other volumes; of those with free coordinates the generator places the atoms
        once more.
        """
        made = self._further(
            variants, self.placer.rated(variants.structures, np.arange(len(variants.probability))), most
        )
        structures = frame_to_structures(made)
        occupied, specs = placed_specs(structures)
        frame = _frame(specs, variants.probability)
        free = np.zeros(len(made), dtype=bool)
        free[occupied.structure[is_free(occupied.position)].numpy()] = True
        order = self._order(made, variants.probability.numpy())
        some = order[free[order]][:most]
        if len(some):
            again = self.placer.place(frame.loc[some])
            again = again.assign(rating=again[ENERGY_COLUMN] if self.placer.judge else -again[CONTACT_RATIO])
            # the crystal's own choice comes first in a tie
            again["try"] += 1
            made = best_of_rows(pd.concat([made, again], ignore_index=True))
        return frame, made[list(SCREENED)]

    def _further(self, variants: Variants, made: pd.DataFrame, most: int) -> pd.DataFrame:
        """Rated variants, the ``most`` best of them at the best of their volumes."""
        rows = self._order(made, variants.probability.numpy())[:most]
        chosen = variants.structures[torch.from_numpy(rows)]
        others = [self.placer.rated(scaled(chosen, volume), rows, 1) for volume in variants.volumes]
        return best_of_rows(pd.concat([made, *others], ignore_index=True))

    def _candidates(self, frame: pd.DataFrame, made: pd.DataFrame) -> Candidates:
        """Ranked structures of the placer with their cells; rows of the frame that it did not place are left out."""
        cells = frame.loc[made["row"]].reset_index(drop=True)
        table = cells.assign(**_rated_columns(made))
        structures = frame_to_structures(made) if len(made) else None
        return self._ranked(table, structures, frame[~frame.index.isin(made["row"])])

    def likely_kinds(self, pattern: FormulaPattern) -> tuple[CellKinds, Tensor, Tensor, KnownCells]:
        """Pairs of a group and a composition, their probabilities, the prior's part of these, and prototypes.

        Raises:
            EmptySpaceError: no group holds the formula, or none the lattice.
        """
        settings, elements = self.settings, cast(Crystal, self.model.env).rules.elements
        kinds = kinds_of(pattern, settings.groups, settings.most_atoms, elements)
        if settings.lattice is not None:
            kinds = within_lattice(kinds, settings.lattice)
        if not len(kinds):
            raise EmptySpaceError(_nothing(pattern, settings))
        log_p = log_prior(self.model, kinds)
        known = known_cells(self.prototypes, kinds, log_p)
        by_prior, by_known = shares(kinds, self.model, known.weights, settings.by_prototypes, log_p)
        return kinds, by_prior + by_known, by_prior, known

    def _drawn(self, kinds: CellKinds, by_prior: Tensor) -> pd.DataFrame:
        """Cells that the prior draws, or those of the given lattice, the likeliest groups and compositions first."""
        settings = self.settings
        rows = allotted(by_prior / by_prior.sum(), settings.cells)
        if settings.lattice is not None:
            return _frame(in_lattice(kinds, settings.lattice)[rows], by_prior[rows])
        return _frame(draw_cells(self.model, kinds, rows, settings.seed), by_prior[rows])

    def _known(self, known: KnownCells, probability: Tensor) -> Variants:
        """The formula in prototypes of known crystals, at several volumes or in the given lattice."""
        made = known.structures(self.prototypes, self.settings.templates)
        own = (probability[known.pair] * known.share)[: len(made)]
        lattice = self.settings.lattice
        if lattice is None:
            # distances alone would choose the largest volume
            return Variants(made, own, OTHER_VOLUMES if self.placer.judge else ())
        cell = parameters_to_matrix(*torch.tensor([lattice], dtype=torch.float64).split(3, dim=1))
        return Variants(replace(made, cell=cell.expand(len(made), 3, 3)), own, ())

    def _ranked(
        self, table: pd.DataFrame, structures: StructureBatch | None, unplaced: pd.DataFrame
    ) -> Candidates:
        left_out = [unplaced.assign(reason=why_unplaced(unplaced))] if len(unplaced) else []
        if structures is None:
            return Candidates(_columns(table), None, _columns(pd.concat(left_out or [table])))
        if self.settler is not None and len(best := self._best(table, structures, self.settler.most)):
            table, structures = self._settled(self.settler, table, structures, best)
        kept = self._best(table, structures, self.settings.n)
        names = cif_names(structures[torch.from_numpy(kept)]) if len(kept) else []
        found = table.iloc[kept].assign(rank=np.arange(1, len(kept) + 1), cif=names)
        left_out.append(
            table[table[CONTACT_RATIO] < 1.0].assign(reason="atoms closer than in any known crystal")
        )
        chosen = structures[torch.from_numpy(kept)] if len(kept) else None
        if chosen is not None:
            found[LETTERS] = sites_to_text(placed_specs(chosen)[1])
        return Candidates(
            _columns(found), chosen, _columns(pd.concat([p for p in left_out if len(p)] or left_out))
        )

    def _best(self, table: pd.DataFrame, structures: StructureBatch, n: int) -> NDArray[np.int64]:
        """Rows of the n best possible structures of their own, the best first."""
        order = self._order(table, table[PROBABILITY].to_numpy(dtype=np.float64))
        possible = (table[CONTACT_RATIO] >= 1.0).to_numpy()
        return first_of_each(structures, order[possible[order]], n)

    def _order(self, rated: pd.DataFrame, probability: NDArray[np.float64]) -> NDArray[np.int64]:
        """(m,) rows, the best first, those with impossible contacts last."""
        return np.lexsort((self._rating(rated, probability), (rated[CONTACT_RATIO] < 1.0).to_numpy()))

    def _rating(self, rated: pd.DataFrame, probability: NDArray[np.float64]) -> NDArray[np.float64]:
        """(m,) lower is better: energy above the hull, as formulas may differ, plus a term of the probability."""
        if self.placer.judge is None:
            return -rated[CONTACT_RATIO].to_numpy(dtype=np.float64)
        unlikely = self.settings.temperature * np.log(probability)
        energy = rated[ENERGY_BEFORE if ENERGY_BEFORE in rated else ENERGY_COLUMN]
        above = rated[JUDGED_HULL]
        if not (above.isna() == energy.isna()).all():
            above = energy
        elif len(above) and np.ptp((energy - above).dropna().round(6)) > 0.0:
            # of several formulas, those on the hull are as good as those below it, where the hull lacks crystals
            above = above.clip(lower=0.0)
        rating: NDArray[np.float64] = above.to_numpy(dtype=np.float64) - unlikely
        return rating

    def _settled(
        self, settler: Settler, table: pd.DataFrame, structures: StructureBatch, rows: NDArray[np.int64]
    ) -> tuple[pd.DataFrame, StructureBatch]:
        """Table and structures after some were relaxed, which come last; those that fared worse stay as they are."""
        moved = settler.settled(structures[torch.from_numpy(rows)])
        rated = self.placer.rated(moved, rows)
        lower = rated[ENERGY_COLUMN].to_numpy() < table[ENERGY_BEFORE].to_numpy()[rows]
        kept = np.flatnonzero(lower & (rated[CONTACT_RATIO] >= 1.0).to_numpy())
        moved, rows = moved[torch.from_numpy(kept)], rows[kept]
        probability = torch.from_numpy(table[PROBABILITY].to_numpy(dtype=np.float64)[rows])
        own = _frame(moved.specs(), probability).assign(**_rated_columns(rated.iloc[kept]))
        others = np.setdiff1d(np.arange(len(table)), rows)
        return (
            pd.concat([table.iloc[others], own], ignore_index=True),
            StructureBatch.cat([structures[torch.from_numpy(others)], moved]),
        )


def _frame(specs: CrystalSpec, probability: Tensor) -> pd.DataFrame:
    """Specs with their probabilities, as the placer takes them."""
    frame = specs_to_frame(specs).drop(columns=list(RESULT_COLUMNS))
    return frame.assign(**{PROBABILITY: probability.numpy()})


def _rated_columns(made: pd.DataFrame) -> dict[str, NDArray[np.float64]]:
    """Columns of predictions from those of the placer."""
    named = {ENERGY_BEFORE: ENERGY_COLUMN, "energy_before_std": ENERGY_STD}
    named |= {name: name for name in (JUDGED_HULL, CONTACT, CONTACT_RATIO)}
    return {name: made[stored].to_numpy() for name, stored in named.items()}


def _columns(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.reindex(columns=list(COLUMNS)).astype({"rank": "Int64"}).reset_index(drop=True)


def _nothing(pattern: FormulaPattern, settings: PredictionSettings) -> str:
    groups = "any space group" if settings.space_groups is None else f"space groups {settings.groups}"
    lattice = "" if settings.lattice is None else f" in the lattice {list(settings.lattice)}"
    return (
        f"formula {pattern.text} fits no Wyckoff positions of {groups}{lattice} with at most {settings.most_atoms} "
        "atoms in the primitive cell; raise most_atoms, or leave out space_group or lattice"
    )
