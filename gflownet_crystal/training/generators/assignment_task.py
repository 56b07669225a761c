"""Learning to rank the Wyckoff assignments of specs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gflownet_crystal.common.annotations import CheckedFields
from gflownet_crystal.common.bounds import Count, Several
from gflownet_crystal.data.splits import formula_keys
from gflownet_crystal.generators.assignments.inputs import ranker_inputs
from gflownet_crystal.generators.assignments.listing import AssignmentLister, Listing
from gflownet_crystal.generators.assignments.ranked import LISTED
from gflownet_crystal.generators.assignments.table import AssignmentTable, assignments_of, keys_of
from gflownet_crystal.generators.wyckoff_assignments import Assignment
from gflownet_crystal.models.sites.assignment_ranker import AssignmentRanker, log_probabilities
from gflownet_crystal.structures.batching import batches_of_atoms
from gflownet_crystal.structures.spec import CrystalSpec
from gflownet_crystal.training.generators.assignment_data import OccupiedSpecs, OccupiedSplits
from gflownet_crystal.training.networks import Task

_VALIDATION_SIZE = 20_000


@dataclass(frozen=True)
class RankerSettings(CheckedFields):
    """Sizes of an :class:`~gflownet_crystal.models.sites.assignment_ranker.AssignmentRanker`.

    Attributes:
        width: width of the hidden layers.
        embedding: size of the learned vectors of groups and positions.
    """

    place = "generator.network"

    width: Count = 64
    embedding: Count = 16


@dataclass(frozen=True)
class AssignmentSettings(CheckedFields):
    """Settings of the task of ranking assignments.

    Attributes:
        listed: assignments of a spec that are scored, at most.
        folds: parts of the formulas; each is listed by a table of the others.
    """

    place = "generator.task"

    listed: Count = LISTED
    folds: Several = 5


class RankedCrystals:
    """Crystals with the listed assignments of their specs, and which of them is the true one.

    Args:
        crystals: n crystals.

    Attributes:
        specs: n specs.
        elements: (n, 119) int64, ordered.
        keys: n keys.
        truth: n canonical assignments.
        listings: n listings, once listed.
        row: (n,) int64, the true one's row in its listing; -1 where it is not listed.
    """

    def __init__(self, crystals: OccupiedSpecs) -> None:
        self.specs: CrystalSpec = crystals.specs
        self.keys, self.elements = keys_of(crystals.specs.space_group, crystals.specs.composition)
        self.truth: list[Assignment] = assignments_of(self.keys, self.elements, crystals.occupied)
        self.listings: list[Listing] = []
        self.row = torch.zeros(0, dtype=torch.int64)

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def sizes(self) -> Tensor:
        """Assignments listed for each crystal, (n,) int64."""
        return torch.tensor([len(listing) for listing in self.listings], dtype=torch.int64)

    def list_by(self, lister: AssignmentLister) -> None:
        """List by one table; the truth may be missing."""
        self.listings = [lister.of(key) for key in self.keys]
        rows = []
        for key, truth, listing in zip(self.keys, self.truth, self.listings, strict=True):
            hits = np.flatnonzero(listing.name == lister.name(key, truth))
            rows.append(int(hits[0]) if len(hits) else -1)
        self.row = torch.tensor(rows)

    def list_apart(
        self, formulas: NDArray[np.str_], folds: int, listed: int, earlier: AssignmentTable
    ) -> None:
        """List each crystal by a table of other formulas than its own, the truth always included.

        A table that has seen the crystal would be trusted more than it deserves.

        Args:
            formulas: (n,) reduced formulas.
            folds: parts of the formulas.
            listed: assignments of a key at most.
            earlier: table of crystals that these may be among.
        """
        fold = formula_keys(formulas, seed=1) % folds
        found: list[tuple[Listing, int] | None] = [None] * len(self)
        for part in range(folds):
            own, rest = (np.flatnonzero(mask).tolist() for mask in (fold == part, fold != part))
            table = (earlier - table_of(self, own)) | table_of(self, rest)
            lister = AssignmentLister(table, listed)
            for row in own:
                found[row] = lister.including(self.keys[row], self.truth[row])
        pairs = [pair for pair in found if pair is not None]
        self.listings, self.row = [one for one, _ in pairs], torch.tensor([row for _, row in pairs])


class AssignmentTask(Task):
    """Cross-entropy of the true assignment among those listed.

    Args:
        model: model on its device.
        train: crystals, listed with the truth included.
        validation: crystals, listed as in use.
    """

    def __init__(self, model: AssignmentRanker, train: RankedCrystals, validation: RankedCrystals) -> None:
        self.model: AssignmentRanker = model
        self.train, self.validation = train, validation
        self.sizes = train.sizes
        self.device = model.elements.device

    @classmethod
    def of(
        cls,
        model: AssignmentRanker,
        splits: OccupiedSplits,
        settings: AssignmentSettings,
        earlier: AssignmentTable | None = None,
    ) -> tuple[Self, AssignmentTable]:
        """The task of a ranker, and the table to use it with.

        Args:
            model: model on its device.
            splits: crystals.
            settings: settings of the task.
            earlier: table of the crystals of an earlier training, which may contain these; None without one.
        """
        train, validation = RankedCrystals(splits.train), RankedCrystals(splits.validation)
        earlier = AssignmentTable() if earlier is None else earlier
        train.list_apart(splits.formula, settings.folds, settings.listed, earlier)
        table = earlier | table_of(train)
        validation.list_by(AssignmentLister(table, settings.listed))
        return cls(model, train, validation), table

    def losses(self, rows: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """The mean negative log-probability of a batch."""
        chosen = rows.tolist()
        train = self.train
        listings = [train.listings[row] for row in chosen]
        inputs = ranker_inputs(train.specs[rows], train.elements[rows], listings).to(self.device)
        scores = self.model(inputs).float()
        sizes = self.sizes[rows]
        truth = (sizes.cumsum(0) - sizes + train.row[rows]).to(self.device)
        return {"nll": -log_probabilities(scores, inputs.spec, len(rows))[truth].mean()}

    def validate(self) -> dict[str, float]:
        """Recall of the true assignment."""
        return recall(self.places())

    @torch.no_grad()
    def places(self) -> Tensor:
        """Number of assignments of each validation crystal that score above the true one; large if not listed."""
        data = self.validation
        places = torch.full((len(data),), torch.iinfo(torch.int64).max)
        sizes = data.sizes
        for rows in batches_of_atoms(sizes.clamp(min=1), _VALIDATION_SIZE):
            listings = [data.listings[row] for row in rows.tolist()]
            inputs = ranker_inputs(data.specs[rows], data.elements[rows], listings).to(self.device)
            scores = self.model(inputs).double().cpu()
            listed = data.row[rows] >= 0
            truth = (sizes[rows].cumsum(0) - sizes[rows] + data.row[rows]).clamp(min=0)
            spec = inputs.spec.cpu()
            above = torch.zeros(len(rows), dtype=torch.int64)
            above.index_add_(0, spec, (scores > scores[truth][spec]).long())
            places[rows] = above.where(listed, places[rows])
        return places


def recall(places: Tensor, at: Sequence[int] = (1, 5, 20)) -> dict[str, float]:
    """Share of crystals whose true assignment is among the first k, for each k."""
    return {f"recall_{k}": float((places < k).double().mean()) for k in at}


def table_of(crystals: RankedCrystals, rows: Sequence[int] | None = None) -> AssignmentTable:
    """The table of crystals, or of some of them."""
    rows = range(len(crystals)) if rows is None else rows
    return AssignmentTable.of([crystals.keys[row] for row in rows], [crystals.truth[row] for row in rows])


def recall_figures(task: AssignmentTask) -> dict[str, float]:
    """Recall of the true assignment of the validation crystals by the ranker, and by the table alone."""
    row = task.validation.row
    by_table = row.where(row >= 0, torch.iinfo(torch.int64).max)
    table = {f"table_{name}": value for name, value in recall(by_table).items()}
    return {"n": float(len(row)), "listed": float((row >= 0).double().mean()), **task.validate(), **table}
