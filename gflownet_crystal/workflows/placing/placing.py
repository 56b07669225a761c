"""Atoms for specs: one try of each, all tries of the promising ones, and the best try kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.common.tables import read_parquet, write_parquet
from gflownet_crystal.crystallography.occupation import WyckoffOccupation
from gflownet_crystal.data.schema import ENERGY_COLUMN, JUDGED_HULL
from gflownet_crystal.evaluation.contacts import Contacts
from gflownet_crystal.generators.base import Generator
from gflownet_crystal.models.energies.structure_energies import StructureEnergies
from gflownet_crystal.proxies.hull import Hull
from gflownet_crystal.structures.frames import structures_to_frame
from gflownet_crystal.structures.primitive import to_primitive
from gflownet_crystal.structures.spec import CrystalSpec
from gflownet_crystal.structures.spec_io import frame_to_specs
from gflownet_crystal.structures.structure import StructureBatch

ENERGY_STD = "formation_energy_std"
CONTACT, CONTACT_RATIO = "contact", "contact_ratio"
"""The tightest contact, as ``F-F 2.31`` (Å), and its distance over the least one of its pair in known crystals."""

_SAME_ENERGY = 0.005
"""Difference in energy below which two tries of a spec count as the same structure, eV/atom."""

_AT_ONCE = 3
"""Tries of a promising spec that are made before their energies are compared."""

_STRUCTURE = ("row", "try", "space_group", "lattice", "atomic_numbers", "frac_coords", ENERGY_COLUMN)
SCREENED = (*_STRUCTURE, ENERGY_STD, JUDGED_HULL, CONTACT, CONTACT_RATIO)
"""Columns of the table of :class:`Placer`."""


@dataclass(frozen=True)
class Placer:
    """Makes and rates the atoms of specs.

    Attributes:
        generator: puts atoms into specs.
        hull: hull from which energies are measured.
        judge: energies of structures; None to keep the try of largest distances.
        contacts: least distances in known crystals.
        tries: number of times that the generator makes a promising spec; draws of the generator itself are tries too.
        promising: eV/atom above the hull up to which a spec gets more than one try.
        seed: random seed of the first try.
        device: device of the computation.
        agreeing: number of tries that must agree on the lowest energy before a spec gets no more; None for all tries.
    """

    generator: Generator
    hull: Hull
    judge: StructureEnergies | None
    contacts: Contacts
    tries: int = 1
    promising: float = 0.2
    seed: int = 0
    device: torch.device | str = "cpu"
    agreeing: int | None = 2

    def place(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The best structure of each spec that could be placed, one row each in the package's schema.

        Args:
            frame: columns of a spec file; its index names the specs in the column ``row``.
        """
        generator, draws = self.generator.single()
        tries = draws * self.tries
        specs = frame_to_specs(frame, self.device)
        first = self.seed * tries
        made = self._tries(generator, specs, [0], first)
        rows = self._worth_more(len(frame), made)
        for start in range(1, tries, _AT_ONCE):
            if not len(rows):
                break
            again = self._tries(generator, specs[rows], range(tries)[start : start + _AT_ONCE], first)
            again = again.assign(row=rows.numpy()[again["row"].to_numpy(dtype=np.int64)])
            made = pd.concat([table for table in (made, again) if len(table)] or [made], ignore_index=True)
            if self.agreeing is not None:
                rows = rows[~np.isin(rows.numpy(), agreed_rows(made, self.agreeing))]
        best = best_of_rows(made)
        rows = frame.index.to_numpy()[best["row"].to_numpy(dtype=np.int64)]
        return best.assign(row=rows)[list(SCREENED)]

    def _worth_more(self, n: int, first: pd.DataFrame) -> Tensor:
        """Specs that get all tries: near the hull, not judged, or not placed."""
        worth = np.ones(n, dtype=bool)
        worth[first["row"]] = ~(first[JUDGED_HULL] > self.promising).to_numpy()
        return torch.from_numpy(np.flatnonzero(worth))

    def _tries(
        self, generator: Generator, specs: CrystalSpec, numbers: Sequence[int], first: int
    ) -> pd.DataFrame:
        """Tries of all specs, rated, that of number 0 with the seed ``first``."""
        made = generator.generate_several(specs, [first + number for number in numbers])
        structures = StructureBatch.cat([one.structures for one in made])
        rows = np.concatenate([one.rows.cpu().numpy() for one in made])
        return self.rated(structures, rows, np.repeat(numbers, [len(one.rows) for one in made]))

    def rated(
        self, structures: StructureBatch, rows: NDArray[np.int64], number: int | NDArray[np.int64] = 0
    ) -> pd.DataFrame:
        """Structures with all that is known of them.

        Args:
            structures: m structures.
            rows: (m,) the spec of each.
            number: number of the try, or (m,) of each.

        Returns:
            Columns of :data:`SCREENED`, and ``rating``, the lower the better.
        """
        energy, std = judged_energies(structures, self.judge)
        table = structures_to_frame(structures, row=rows, **{"try": number})
        above = above_hull(structures, energy, self.hull)
        tightest = self.contacts.tightest(structures)
        ratio = tightest.ratio.numpy()
        return table.assign(
            **{ENERGY_COLUMN: energy.cpu().numpy(), ENERGY_STD: std.cpu().numpy(), JUDGED_HULL: above},
            **{CONTACT: tightest.words(), CONTACT_RATIO: ratio},
            rating=-ratio if self.judge is None else energy.cpu().numpy(),
        )


def best_of_rows(made: pd.DataFrame) -> pd.DataFrame:
    """The best rated structure of each ``row``, possible ones before those with impossible contacts."""
    ordered = made.assign(impossible=made[CONTACT_RATIO] < 1.0).sort_values(
        ["impossible", "rating", "try"], kind="stable", na_position="last"
    )
    return ordered.drop_duplicates("row").sort_values("row", ignore_index=True)


def agreed_rows(made: pd.DataFrame, n: int) -> NDArray[np.int64]:
    """Each ``row`` whose lowest energy n possible structures have: further tries would hardly find a lower one."""
    possible = made[made[CONTACT_RATIO] >= 1.0]
    lowest = possible.groupby("row")[ENERGY_COLUMN].transform("min")
    found = possible.loc[possible[ENERGY_COLUMN] <= lowest + _SAME_ENERGY, "row"].value_counts()
    return found.index[found >= n].to_numpy(dtype=np.int64)


def judged_energies(structures: StructureBatch, judge: StructureEnergies | None) -> tuple[Tensor, Tensor]:
    """Formation energies and standard deviations (n,) eV/atom by a judge on the structures' device; NaN without one."""
    if judge is None or not len(structures):
        unknown = structures.cell.new_full((len(structures),), torch.nan)
        return unknown, unknown
    return judge.predict(to_primitive(structures))


def above_hull(structures: StructureBatch, energy: Tensor, hull: Hull) -> NDArray[np.float64]:
    """Energies (n,) above a hull, eV/atom; NaN where the energy is."""
    above = np.full(len(structures), np.nan)
    rows = energy.isfinite().nonzero()[:, 0]
    if len(rows):
        above[rows.cpu().numpy()] = hull.e_above_hull(structures[rows].specs(), energy[rows]).cpu().numpy()
    return above


def why_unplaced(frame: pd.DataFrame) -> list[str]:
    """Why specs got no atoms, in a few words each."""
    if frame.empty:
        return []
    specs = frame_to_specs(frame)
    counts = specs.composition.sort(dim=1, descending=True).values
    counts = counts[:, : int((counts > 0).sum(1).max())]
    fits = WyckoffOccupation(int(counts.max())).fits(specs.space_group, counts)
    lacking = "no Wyckoff positions of the group hold these counts"
    crowded = "positions fit, but the generator found no place for the atoms that passes its checks"
    return [crowded if fit else lacking for fit in fits.tolist()]


def part_file(folder: Path, start: int) -> Path:
    """Path for the finished batch of specs that begins with number ``start``."""
    return folder / "parts" / f"{start:08d}.parquet"


def write_part(path: Path, made: pd.DataFrame) -> None:
    """Keep the structures of a batch."""
    write_parquet(path, made)


def read_part(path: Path, columns: Sequence[str] = _STRUCTURE) -> pd.DataFrame:
    """The structures of a batch that was kept.

    Args:
        path: path of the batch.
        columns: that it must have.

    Raises:
        DataError: the file is damaged.
    """
    made = read_parquet(path)
    if missing := [name for name in columns if name not in made.columns]:
        raise DataError(
            f"{path} is damaged (no column {', '.join(missing)}): remove it to make its structures again"
        )
    return made
