"""Stability of structures by a judge: relaxed, kept one by one, and set against a hull."""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gflownet_crystal.common.errors import ConfigError, DataError
from gflownet_crystal.common.run_schema import ENERGY_AFTER, HULL_COLUMN
from gflownet_crystal.evaluation.compared_sets import Evaluation
from gflownet_crystal.evaluation.known_hulls import known_entries
from gflownet_crystal.evaluation.phonons import PhononSettings
from gflownet_crystal.evaluation.stability import energy_above_hull, unique_and_novel
from gflownet_crystal.evaluation.structure_sets import StructureSet
from gflownet_crystal.evaluation.verdicts import Verdict, by_all
from gflownet_crystal.models.energies.choice import EnergyChoice, distinct_choices, read_choice
from gflownet_crystal.models.energies.structure_energies import StructureEnergies
from gflownet_crystal.proxies.hull import Hull
from gflownet_crystal.relaxation.inputs import Item
from gflownet_crystal.relaxation.records import Record
from gflownet_crystal.relaxation.settings import RelaxationSettings
from gflownet_crystal.structures.convert import from_arrays
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.workflows.relaxing.relaxing import load_on, relax_kept
from gflownet_crystal.workflows.relaxing.vibrations import IMAGINARY, LOWEST, Vibrations, vibration_figures
from gflownet_crystal.workflows.settings.evaluate import EvaluateSettings

STABILITY = "stability"
"""The metric that asks judges."""


@dataclass(frozen=True)
class Judging:
    """Settings of the judging of structures.

    Attributes:
        evaluation: the reference, tolerances of matches, and how it is computed.
        settings: settings of the relaxations.
        hull: hull of known compounds.
        hull_of: said of the hull in the figures.
        thresholds: eV/atom above the hull up to which a structure is stable; the first heads the figures.
        phonons: settings of the vibrations of stable structures.
    """

    evaluation: Evaluation
    settings: RelaxationSettings
    hull: Hull
    hull_of: str
    thresholds: tuple[float, ...]
    phonons: PhononSettings = field(default_factory=PhononSettings)

    def load(self, judge: EnergyChoice) -> StructureEnergies:
        """The model of a judge, before anything is written.

        Raises:
            ConfigError: it is unknown, not installed or has no forces.
        """
        energies = load_on(judge, None, self.evaluation.choices.device)
        energies.calculator()
        return energies

    def judge(
        self, made: StructureSet, judge: EnergyChoice, energies: StructureEnergies, folder: Path
    ) -> tuple[Verdict, dict[str, object], list[dict[str, object]]]:
        """Relax a set and measure its stability.

        Args:
            made: the structures.
            judge: the name of an energy model.
            energies: the model.
            folder: folder for the relaxed structures; crystals that are in it already are not relaxed again.

        Returns:
            The judge's verdict, its figures, and a row each of structures that were given.

        Raises:
            DataError: the judge could relax none of them.
            KeyboardInterrupt: a stop was asked for; finished relaxations are kept.
        """
        records = self._relax(to_items(made), judge, energies, folder)
        good = [record for record in records if record.is_relaxed]
        if not good:
            reason = records[0].reason if records else "none were given"
            raise DataError(
                f"{judge.described} could relax none of {len(made)} structures; the first: {reason}"
            )
        verdict = self._verdict(good, len(made))
        status = Counter(record.status for record in records)
        figures = verdict.figures(self.thresholds) | {
            "n_not_converged": status["not_converged"],
            "judge": judge.described,
            "hull": self.hull_of,
        }
        columns = (HULL_COLUMN, "unique", "novel", "sparse", "far_below")
        values = (verdict.above, verdict.unique, verdict.novel, verdict.sparse, verdict.far_below)
        marks = zip(*(value.tolist() for value in values), strict=True)
        rows = {r.row: dict(zip(columns, mark, strict=True)) for r, mark in zip(good, marks, strict=True)}
        if self.phonons.n:
            figures["phonons"] = self._vibrations(good, verdict, energies, folder, rows)
        named = ("row", "name", "formula", "status", "reason", ENERGY_AFTER)
        return verdict, figures, [{k: getattr(r, k) for k in named} | rows.get(r.row, {}) for r in records]

    def _vibrations(
        self,
        good: Sequence[Record],
        verdict: Verdict,
        energies: StructureEnergies,
        folder: Path,
        rows: dict[int, dict[str, object]],
    ) -> dict[str, object]:
        """Figures of the vibrations of the first stable structures; their columns are added to ``rows``."""
        stable = (verdict.above <= self.thresholds[0]).tolist()
        chosen = [record for record, holds in zip(good, stable, strict=True) if holds][: self.phonons.n]
        items = [Item(record.name, relaxed_structures([record])[0]) for record in chosen]
        vibrations = Vibrations(self.phonons, self.settings, self.evaluation.work.quiet)
        found = vibrations.of(folder, items, [record.row for record in chosen], energies)
        for row, one in found.items():
            rows[row] |= {LOWEST: one.get("lowest"), IMAGINARY: one.get("imaginary")}
        return vibration_figures(list(found.values()))

    def together(self, verdicts: Sequence[Verdict], judges: Sequence[EnergyChoice]) -> dict[str, object]:
        """Figures of the agreement of several judges.

        Raises:
            KeyboardInterrupt: a stop was asked for.
        """
        agreed = by_all(verdicts, self.evaluation.choices.tolerances, self.evaluation.work)
        return agreed.figures(self.thresholds) | {"judges": [judge.described for judge in judges]}

    def _verdict(self, good: Sequence[Record], n: int) -> Verdict:
        relaxed, energy = relaxed_structures(good)
        above = energy_above_hull(relaxed.composition, energy, self.hull)
        known, tolerances = self.evaluation.reference.structures, self.evaluation.choices.tolerances
        unique, novel = unique_and_novel(relaxed, above, known, tolerances, self.evaluation.work)
        places = torch.tensor([record.row for record in good])
        return Verdict(
            n, places, relaxed, above, unique, novel, known_entries(self.hull, relaxed.composition)
        )

    def _relax(
        self, items: Sequence[Item], judge: EnergyChoice, energies: StructureEnergies, folder: Path
    ) -> list[Record]:
        work = self.evaluation.work
        load = functools.partial(load_on, judge, None, self.evaluation.choices.device)
        loader = (lambda: energies) if work.executor.in_process else load
        folder.mkdir(parents=True, exist_ok=True)
        rows, doing = range(len(items)), f"relaxing with {judge.label}"
        return relax_kept(
            folder,
            items,
            rows,
            loader,
            self.settings,
            judge.described,
            work.executor,
            work.quiet,
            doing=doing,
        )


def to_items(made: StructureSet) -> list[Item]:
    """Single structures of a set, unreadable ones included."""
    items = [Item(name, None, made.reasons.get(row, "")) for row, name in enumerate(made.names)]
    for place, row in enumerate(made.rows.tolist()):
        items[row] = Item(made.names[row], made.structures[place : place + 1])
    return items


def relaxed_structures(records: Sequence[Record]) -> tuple[StructureBatch, Tensor]:
    """Relaxed structures of records that have some, and their formation energies (n,) float64, eV/atom."""
    relaxed = from_arrays(
        [np.array(record.cell) for record in records],
        [np.array(record.atomic_numbers) for record in records],
        [np.array(record.frac_coords) for record in records],
    )
    return relaxed, torch.tensor([record.energy_after for record in records], dtype=torch.float64)


def chosen_judges(settings: EvaluateSettings) -> list[EnergyChoice]:
    """The judges of ``evaluate``, none where stability is not asked for.

    Raises:
        ConfigError: a name is no energy model, or two names share a folder.
    """
    wanted = settings.metrics is None or STABILITY in settings.metrics
    given = settings.judge
    if given is None or not wanted:
        return []
    judges = given if isinstance(given, list) else [given]
    if not judges or not all(isinstance(judge, str | dict) for judge in judges):
        raise ConfigError(
            f"judge must be a model or a list of models, as [sevenn:7net-l3i5,chgnet], not {given!r}"
        )
    return distinct_choices([read_choice(judge) for judge in judges], "judge")


def stability_thresholds(given: float | list[float]) -> tuple[float, ...]:
    """Distances to the hull up to which a structure is stable, eV/atom.

    Raises:
        ConfigError: the list is empty, holds no number, or holds one twice.
    """
    values = given if isinstance(given, list) else [given]
    numbers = [
        isinstance(one, int | float) and not isinstance(one, bool) and math.isfinite(one) for one in values
    ]
    if not values or not all(numbers):
        raise ConfigError(f"threshold must be numbers in eV/atom, as [0.1,0.05,0.0], not {given!r}")
    if len({f"{one:g}" for one in values}) < len(values):
        raise ConfigError(f"threshold must be different numbers, not {given!r}")
    return tuple(values)
