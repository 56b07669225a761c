"""Treatment of specs whose tries leave atoms no room."""

from __future__ import annotations

from collections.abc import Callable

import torch

from gflownet_crystal.generators.base import Generation
from gflownet_crystal.generators.quick_placement import QuickPlacement
from gflownet_crystal.structures.distances import shortest_distance_ratio
from gflownet_crystal.structures.periodic_pairs import usable
from gflownet_crystal.structures.spec import CrystalSpec
from gflownet_crystal.structures.structure import StructureBatch

_LACKING = -1.0


def make_room(
    made: Generation,
    specs: CrystalSpec,
    seed: int,
    min_distance: float,
    min_ratio: float = 0.0,
    atoms: int = 1024,
) -> Generation:
    """Place specs that have no structure, or a crowded one, once more by pushing atoms apart.

    Compositions that just fit on the positions of a group leave few ways to keep all atoms apart, which draws of a
    network may miss.

    Args:
        made: structures of n specs, in any order, none with atoms closer than ``min_distance``.
        specs: n specs.
        seed: random seed of the second placement.
        min_distance: Å; structures of the second placement with atoms closer than this are left out.
        min_ratio: shortest distance over summed covalent radii below which a structure is crowded; of the two the
            roomier one is then kept.
        atoms: number of atoms of specs that are placed together, about; bounds the memory.

    Returns:
        The structures of all specs that have one, by rising row.
    """
    ratio = specs.lengths.new_full((len(specs),), _LACKING)
    if len(made.rows):
        ratio[made.rows] = shortest_distance_ratio(made.structures) if min_ratio > 0.0 else 0.0
    again = (ratio < min_ratio).nonzero()[:, 0]
    structures, rows = made.structures, made.rows
    if len(again):
        thorough = QuickPlacement(assignments=40, tries=8, keep=16, steps=40, min_ratio=0.0, atoms=atoms)
        second = apart(thorough.generate(specs[again], seed), min_distance)
        if len(second.rows):
            roomier = shortest_distance_ratio(second.structures) > ratio[again[second.rows]]
            replaced = again[second.rows[roomier]]
            kept = ~torch.isin(rows, replaced)
            structures = StructureBatch.cat([structures[kept], second.structures[roomier]])
            rows = torch.cat([rows[kept], replaced])
    order = rows.argsort()
    return Generation(structures[order], rows[order])


def apart(made: Generation, min_distance: float) -> Generation:
    """Structures none of whose atoms are closer than ``min_distance`` Å, images included, by rising row."""
    if not len(made.rows):
        return made
    rows = usable(made.structures, min_distance).nonzero()[:, 0]
    rows = rows[made.rows[rows].argsort()]
    return Generation(made.structures[rows], made.rows[rows])


def drawn_apart(
    specs: CrystalSpec, tries: int, min_distance: float, draw: Callable[[CrystalSpec, int], Generation]
) -> Generation:
    """Draw a structure of each spec, and draw again those with atoms closer than ``min_distance`` Å.

    Args:
        specs: n specs.
        tries: largest number of draws of a spec.
        min_distance: Å, images included.
        draw: draws structures of specs; its second argument is the number of the draw, from 0.

    Returns:
        For each spec the first structure whose atoms are apart, by rising row; none where no draw has one.
    """
    wanting = torch.arange(len(specs), device=specs.device)
    structures, rows = [StructureBatch.none(specs.device)], [wanting[:0]]
    for number in range(tries):
        made = apart(draw(specs[wanting], number), min_distance)
        structures.append(made.structures)
        rows.append(wanting[made.rows])
        wanting = wanting[~torch.isin(wanting, rows[-1])]
        if not len(wanting):
            break
    found = torch.cat(rows)
    order = found.argsort()
    return Generation(StructureBatch.cat(structures)[order], found[order])
