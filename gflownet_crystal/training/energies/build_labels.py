"""Label structures, and displaced copies of them, with single points of a judge, for train_energy to learn from.

    python -m gflownet_crystal.training.energies.build_labels data=FILE.parquet,... judge=sevenn:7net-l3i5
        out=FILE.parquet [displaced=0] [known=false] [above_hull=100.0] [seed=0]

An energy network that has only seen relaxed crystals knows little of atoms that a generator placed, and less of
forces. Each structure is labelled in its primitive cell, with ``displaced=N`` also N copies of it whose atoms are moved
and whose cell is strained at random. With ``known=true`` structures keep the energy that the files give, and copies get
it plus the judge's difference. Structures that the judge puts outside of believable energies are left out, and with
``above_hull`` those further above the shipped hull of known compounds than so many eV/atom.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from gflownet_crystal.common.errors import ConfigError, DataError, unknown
from gflownet_crystal.common.programs import read_options, run
from gflownet_crystal.common.progress import Progress
from gflownet_crystal.common.tables import read_parquets, write_parquet
from gflownet_crystal.data.schema import ENERGY_COLUMN, SAMPLED, SUBSTITUTED
from gflownet_crystal.models.energies.choice import read_choice
from gflownet_crystal.models.energies.potentials import load_energies
from gflownet_crystal.models.energies.structure_energies import StructureEnergies
from gflownet_crystal.proxies.reference_hull import ReferenceHull
from gflownet_crystal.structures.frames import frame_to_structures, structures_to_frame
from gflownet_crystal.structures.primitive import to_primitive
from gflownet_crystal.structures.structure import StructureBatch

STRAIN, VOLUME_STRAIN = 0.02, 0.015
"""Standard deviations of each component of the strain, and of an equal strain of all lengths."""
DISPLACEMENT = (0.02, 0.15)
"""Å, range of the standard deviation of a structure's displacements along each axis."""
BELIEVED = (-5.0, 3.0)
"""eV/atom, energies that are kept; single points of crowded atoms can be anything."""
NO_LIMIT = 100.0
"""eV/atom above the hull, beyond all energies that are kept."""

_BATCH = 8
_OPTIONS = {"displaced": "0", "known": "false", "above_hull": str(NO_LIMIT), "seed": "0"}


def displaced_copies(structures: StructureBatch, generator: torch.Generator) -> StructureBatch:
    """A copy of each structure with moved atoms in a strained cell; no space group is claimed.

    Args:
        structures: n structures with N atoms, on the CPU.
        generator: random generator on the CPU.
    """
    n, index = len(structures), structures.structure_index
    strain = STRAIN * torch.randn((n, 3, 3), generator=generator, dtype=torch.float64)
    volume = VOLUME_STRAIN * torch.randn((n, 1, 1), generator=generator, dtype=torch.float64)
    identity = torch.eye(3, dtype=torch.float64)
    cell = structures.cell @ (identity * (1.0 + volume) + 0.5 * (strain + strain.mT))
    low, high = DISPLACEMENT
    deviation = low + (high - low) * torch.rand(n, generator=generator, dtype=torch.float64)
    moved = torch.randn(structures.fractional.shape, generator=generator, dtype=torch.float64)
    moved = moved * deviation[index, None]
    fractional = structures.fractional + (moved[:, None] @ torch.linalg.inv(cell)[index])[:, 0]
    return replace(
        structures, cell=cell, fractional=fractional, space_group=torch.zeros_like(structures.space_group)
    )


def single_points(structures: StructureBatch, judge: StructureEnergies, label: str) -> Tensor:
    """Energies (n,) float64 of structures by a judge, eV/atom, NaN where it has none, in batches of like sizes."""
    energy = torch.full((len(structures),), torch.nan, dtype=torch.float64)
    batches = structures.n_atoms.argsort().split(_BATCH)
    progress = Progress(len(batches), 0, label)
    with progress:
        for rows in batches:
            energy[rows] = judge.predict(structures[rows])[0].cpu()
            progress.advance("")
    return energy


def labelled(
    frame: pd.DataFrame,
    judge: StructureEnergies,
    source: str,
    displaced: int,
    known: bool,
    seed: int,
    above_hull: float = NO_LIMIT,
) -> pd.DataFrame:
    """Labelled rows of structures and of displaced copies.

    Args:
        frame: structures in the columns of the package's schema; with ``known`` their energies too.
        judge: model that labels.
        source: name of the judge.
        displaced: number of copies of each structure.
        known: whether structures keep their energies, and copies get them plus the judge's difference.
        seed: random seed of the copies.
        above_hull: eV/atom, greatest distance to the shipped hull of known compounds.

    Raises:
        DataError: the judge labels none of the structures.
    """
    structures = to_primitive(frame_to_structures(frame))
    energy = single_points(structures, judge, "structures")
    shift = torch.zeros_like(energy)
    if known:
        shift = torch.from_numpy(frame[ENERGY_COLUMN].to_numpy(dtype="float64")) - energy
    parts = [] if known else [_rows(structures, energy, f"{source}_placed", _origin(frame))]
    generator = torch.Generator().manual_seed(seed)
    for _ in range(displaced):
        copies = displaced_copies(structures, generator)
        energies = single_points(copies, judge, "displaced copies") + shift
        parts.append(_rows(copies, energies, f"{source}_displaced", SAMPLED))
    table = pd.concat(parts, ignore_index=True)
    table = table[table[ENERGY_COLUMN].between(*BELIEVED)]
    if above_hull < NO_LIMIT:
        table = table[_is_near_hull(table, above_hull)]
    if table.empty:
        raise DataError(
            f"{source} gives none of the {len(frame)} structures an energy within {BELIEVED} eV/atom, or none within "
            f"{above_hull:g} eV/atom of the hull"
        )
    table = table.reset_index(drop=True)
    table.insert(0, "material_id", [f"labelled-{row}" for row in range(len(table))])
    return table


def _rows(structures: StructureBatch, energy: Tensor, source: str, origin: object) -> pd.DataFrame:
    columns = {ENERGY_COLUMN: energy.numpy(), "energy_source": source, "structure_source": origin}
    return structures_to_frame(structures, **columns, mp20_split="none")


def _is_near_hull(table: pd.DataFrame, above_hull: float) -> NDArray[np.bool_]:
    """Rows of a table at most so far above the hull."""
    energy = torch.from_numpy(table[ENERGY_COLUMN].to_numpy(dtype=np.float64).copy())
    hull = ReferenceHull.from_weights().hull_energy(frame_to_structures(table).composition)
    return np.asarray(~(energy - hull > above_hull))


def _origin(frame: pd.DataFrame) -> object:
    """``structure_source`` of the rows: substituted crystals stay such, the others count as sampled."""
    if "structure_source" not in frame.columns:
        return SAMPLED
    return frame["structure_source"].where(frame["structure_source"] == SUBSTITUTED, SAMPLED).to_numpy()


def main(arguments: list[str]) -> None:
    """Read, label, write."""
    options = read_options(__doc__, _OPTIONS, arguments, required=["data", "judge", "out"])
    frame = read_parquets(options["data"].split(","))
    if options["known"] not in ("true", "false"):
        raise unknown("known", options["known"], ("true", "false"))
    known, displaced = options["known"] == "true", int(options["displaced"])
    if known and not displaced:
        raise ConfigError("known=true labels displaced copies alone: give displaced=1 or more")
    name = options["judge"]
    judge = load_energies(read_choice(name))
    seed, above_hull = int(options["seed"]), float(options["above_hull"])
    table = labelled(frame, judge, name, displaced, known, seed, above_hull)
    write_parquet(Path(options["out"]), table)
    print(f"{len(table)} labelled structures in {options['out']}")


if __name__ == "__main__":
    run(main)
