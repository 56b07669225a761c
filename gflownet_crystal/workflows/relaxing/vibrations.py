"""Vibrations of crystals that a judge has relaxed, each kept once it is done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from ase.calculators.calculator import Calculator

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.common.interrupt import stop_on_signal
from gflownet_crystal.common.metrics import reopened
from gflownet_crystal.common.progress import Progress
from gflownet_crystal.common.run_schema import VIBRATIONS
from gflownet_crystal.evaluation.phonons import PhononSettings, phonons
from gflownet_crystal.models.energies.structure_energies import StructureEnergies
from gflownet_crystal.relaxation.inputs import Item
from gflownet_crystal.relaxation.relax import relax
from gflownet_crystal.relaxation.settings import RelaxationSettings
from gflownet_crystal.structures.primitive import to_primitive

LOWEST, IMAGINARY = "lowest_frequency", "imaginary_share"
"""Columns: lowest frequency in THz, negative where it is imaginary; share of imaginary frequencies."""


@dataclass(frozen=True)
class Vibrations:
    """Vibrations of crystals by the energies of a judge.

    Attributes:
        settings: settings of the displacements.
        relaxation: settings of the relaxations; they go on to the smaller force of ``settings`` first.
        quiet: show no progress.
    """

    settings: PhononSettings
    relaxation: RelaxationSettings
    quiet: bool = False

    def of(
        self, folder: Path, items: Sequence[Item], rows: Sequence[int], energies: StructureEnergies
    ) -> dict[int, dict[str, object]]:
        """Vibrations by row.

        Args:
            folder: folder of finished crystals.
            items: relaxed crystals.
            rows: rows of the crystals among all that are judged.
            energies: model that relaxed them.

        Returns:
            For each row the entries of :class:`~gflownet_crystal.evaluation.phonons.Phonons` or a ``reason``.

        Raises:
            DataError: the file of finished crystals is damaged.
            KeyboardInterrupt: a stop was requested; finished work is kept.
        """
        file, lines = reopened(folder / VIBRATIONS)
        done = {record.get("row"): record for record in lines}
        waiting = [place for place, row in enumerate(rows) if row not in done]
        calculator = energies.calculator()
        try:
            with (
                stop_on_signal() as should_stop,
                Progress(len(rows), len(rows) - len(waiting), "vibrations", self.quiet) as progress,
            ):
                for place in waiting:
                    if should_stop():
                        raise KeyboardInterrupt("vibrations are unfinished; go on with resume=true")
                    record = {"row": rows[place], **self._one(items[place], energies, calculator)}
                    file.write(record)
                    file.settle()
                    done[rows[place]] = record
                    progress.advance(items[place].name)
        finally:
            file.close()
        return {row: {k: v for k, v in done[row].items() if k != "row"} for row in rows}

    def _one(self, item: Item, energies: StructureEnergies, calculator: Calculator) -> dict[str, object]:
        """Entries of a crystal's record."""
        if item.structure is None:
            return {"reason": item.reason}
        fmax = min(self.settings.fmax, self.relaxation.fmax)
        relaxed = relax(to_primitive(item.structure), energies, replace(self.relaxation, fmax=fmax))
        if relaxed.structure is None:
            return {"reason": relaxed.reason}
        try:
            return asdict(phonons(to_primitive(relaxed.structure), calculator, self.settings))
        except DataError as error:
            return {"reason": str(error)}


def vibration_figures(found: Sequence[dict[str, object]]) -> dict[str, object]:
    """Figures of the vibrations of some crystals.

    Args:
        found: entries of each crystal, as :meth:`Vibrations.of` returns them.

    Returns:
        Number of crystals (``n``), of those without vibrations (``n_failed``), share of all that has no imaginary
        frequency (``dynamically_stable``), and median of the lowest frequencies in THz; NaN where there are none.
    """
    lowest = [one["lowest"] for one in found if "lowest" in one]
    stable = sum(one.get("imaginary") == 0.0 for one in found)
    return {
        "n": len(found),
        "n_failed": len(found) - len(lowest),
        "dynamically_stable": stable / len(found) if found else float("nan"),
        "median_lowest_frequency": float(np.median(np.array(lowest, dtype=np.float64)))
        if lowest
        else float("nan"),
    }
