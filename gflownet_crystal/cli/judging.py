"""Stability of structures by a judge: relaxed, kept one by one, and set against a hull."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gflownet_crystal.common.errors import ConfigError, DataError
from gflownet_crystal.common.progress import Progress
from gflownet_crystal.data.schema import ENERGY_COLUMN
from gflownet_crystal.evaluation.compared_sets import Evaluation
from gflownet_crystal.evaluation.stability import energy_above_hull, stability, unique_and_novel
from gflownet_crystal.evaluation.structure_sets import StructureSet
from gflownet_crystal.models.potentials import load_energies
from gflownet_crystal.models.structure_energies import StructureEnergies
from gflownet_crystal.proxies.hull import Hull
from gflownet_crystal.proxies.reference_hull import ReferenceHull
from gflownet_crystal.relaxation.inputs import Item
from gflownet_crystal.relaxation.records import RecordsFile, to_record, write_results
from gflownet_crystal.relaxation.run import relax_items
from gflownet_crystal.relaxation.settings import RelaxationSettings
from gflownet_crystal.structures.convert import from_arrays
from gflownet_crystal.structures.structure import StructureBatch


@dataclass(frozen=True)
class Judging:
    """How structures are judged.

    Attributes:
        evaluation: the reference, tolerances of matches, and how it is computed.
        settings: of the relaxations.
        hull: of the reference.
        threshold: eV/atom above the hull up to which one is stable.
    """

    evaluation: Evaluation
    settings: RelaxationSettings
    hull: Hull
    threshold: float

    def judge(
        self, made: StructureSet, judge: str, folder: Path
    ) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Relax a set and measure its stability.

        Args:
            made: the structures.
            judge: name of an energy model.
            folder: for the relaxed structures; what it holds already is not done again.

        Returns:
            Figures, and a row each of structures that were given.

        Raises:
            ConfigError: the judge is unknown, not installed or has no forces.
            KeyboardInterrupt: a stop was asked for; finished relaxations are kept.
        """
        records = self._relax(to_items(made), judge, folder)
        good = [record for record in records if "cell" in record]
        if not good:
            reason = records[0]["reason"] if records else "none were given"
            raise DataError(f"{judge} could relax none of {len(made)} structures; the first: {reason}")
        relaxed, energy = relaxed_structures(good)
        above = energy_above_hull(relaxed.composition, energy, self.hull)
        known, tolerances = self.evaluation.reference.structures, self.evaluation.choices.tolerances
        unique, novel = unique_and_novel(relaxed, above, known, tolerances, self.evaluation.work)
        status = Counter(str(record["status"]) for record in records)
        found = stability(above, unique, novel, len(made), self.threshold)
        figures = asdict(found) | {
            "n_not_converged": status["not_converged"],
            "threshold": self.threshold,
            "judge": judge,
        }
        marks = zip(good, above.tolist(), unique.tolist(), novel.tolist(), strict=True)
        rows = {record["row"]: {"e_above_hull": a, "unique": u, "novel": n} for record, a, u, n in marks}
        named = ("row", "name", "formula", "status", "reason", "energy_after")
        return figures, [{k: r.get(k) for k in named} | rows.get(r["row"], {}) for r in records]

    def _relax(self, items: Sequence[Item], judge: str, folder: Path) -> list[dict[str, Any]]:
        work = self.evaluation.work
        load = functools.partial(_load, judge, self.evaluation.choices.device)
        energies = load()
        energies.calculator()
        loader = load if work.processes > 1 else lambda: energies
        folder.mkdir(parents=True, exist_ok=True)
        records = RecordsFile(folder)
        done = {record["row"] for record in records.records}
        rows = [row for row in range(len(items)) if row not in done]
        try:
            with Progress(len(items), len(done), f"relaxing with {judge}", work.quiet) as progress:
                for row, result, seconds in relax_items(
                    items, rows, loader, self.settings, work.processes, work.should_stop
                ):
                    records.add(to_record(row, items[row], result, seconds))
                    progress.advance(f"{items[row].name} {result.status} after {result.steps} steps")
        finally:
            records.close()
        if len(records.records) < len(items):
            raise KeyboardInterrupt(
                f"{len(records.records)} of {len(items)} relaxations are done; go on with resume=true"
            )
        write_results(folder, records.records, judge, self.settings.symprec)
        return sorted(records.records, key=lambda record: record["row"])


def to_items(made: StructureSet) -> list[Item]:
    """Single structures of a set, unreadable ones included."""
    items = [Item(name, None, made.reasons.get(row, "")) for row, name in enumerate(made.names)]
    for place, row in enumerate(made.rows.tolist()):
        items[row] = Item(made.names[row], made.structures[place : place + 1])
    return items


def relaxed_structures(records: Sequence[Mapping[str, Any]]) -> tuple[StructureBatch, Tensor]:
    """Relaxed structures of records that have some, and their formation energies (n,) float64, eV/atom."""
    relaxed = from_arrays(
        [np.array(record["cell"]) for record in records],
        [np.array(record["atomic_numbers"]) for record in records],
        [np.array(record["frac_coords"]) for record in records],
    )
    return relaxed, torch.tensor([float(record["energy_after"]) for record in records], dtype=torch.float64)


def reference_hull(hull: Path | None, reference: Path) -> Hull:
    """The hull of a file, or of the reference where it has energies.

    Raises:
        ConfigError: neither has formulas with formation energies.
        DataError: the file given is no hull.
    """
    if hull is not None:
        return ReferenceHull.read(hull)
    try:
        return ReferenceHull.read(reference)
    except DataError as error:
        raise ConfigError(
            f"stability needs a hull; give hull=FILE, a Parquet file with formula and {ENERGY_COLUMN} ({error})"
        ) from error


def _load(name: str, device: str) -> StructureEnergies:
    return load_energies(name).to(device)
