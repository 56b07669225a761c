"""Structures of specs: some tries of each, all of them kept or the best."""

from __future__ import annotations

from dataclasses import dataclass, field

import pandas as pd
import torch

from gflownet_crystal.generators.base import Generator
from gflownet_crystal.models.energies.structure_energies import StructureEnergies
from gflownet_crystal.structures.distances import shortest_distance_ratio
from gflownet_crystal.structures.frames import structures_to_frame
from gflownet_crystal.structures.spec import CrystalSpec
from gflownet_crystal.structures.spec_io import frame_to_specs
from gflownet_crystal.workflows.placing.generated import COLUMNS
from gflownet_crystal.workflows.placing.placing import judged_energies
from gflownet_crystal.workflows.placing.property_columns import PropertyColumns


@dataclass(frozen=True)
class Maker:
    """Makes the structures of specs.

    Attributes:
        generator: puts atoms into specs.
        device: device of the computation.
        tries: structures of each spec.
        seed: random seed of the first try.
        best: keep the best of the tries only.
        judge: rates structures; None for none.
        properties: further columns, of properties with atoms.
    """

    generator: Generator
    device: torch.device
    tries: int
    seed: int
    best: bool
    judge: StructureEnergies | None
    properties: PropertyColumns = field(default_factory=PropertyColumns)

    @property
    def columns(self) -> list[str]:
        """Names of the columns of the properties."""
        return self.properties.columns(COLUMNS)

    def make(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Structures of some specs as rows of the package's schema, by spec and try."""
        specs = frame_to_specs(frame, self.device)
        tables = [self._one_try(specs, number) for number in range(self.tries)]
        made = pd.concat(tables, ignore_index=True)
        rows = frame.index.to_numpy()[made["row"]]
        made = made.assign(
            row=rows, material_id=[f"{row}-{t}" for row, t in zip(rows, made["try"], strict=True)]
        )
        made = made.sort_values(["row", "try"], kind="stable", ignore_index=True)
        if not self.best:
            return made
        order = made.sort_values("rating", kind="stable", na_position="last")
        return order.drop_duplicates("row").sort_values("row", ignore_index=True)

    def _one_try(self, specs: CrystalSpec, number: int) -> pd.DataFrame:
        generation = self.generator.generate(specs, self.seed + number)
        structures = generation.structures
        room = shortest_distance_ratio(structures) if len(structures) else structures.cell.new_zeros(0)
        energy, _ = judged_energies(structures, self.judge)
        return structures_to_frame(
            structures,
            row=generation.rows.cpu().numpy(),
            **{"try": number},
            distance_ratio=room.cpu().numpy(),
            formation_energy_per_atom=energy.cpu().numpy(),
            # the lower the better
            rating=(-room if self.judge is None else energy).cpu().numpy(),
            **self.properties.values(structures, COLUMNS),
        )
