"""Make the prototypes of known crystals that structure prediction starts from.

    python -m gflownet_crystal.training.generators.build_prototypes data=FILE.parquet,FILE.parquet out=FOLDER

``data`` are crystals with formation energies; MP-20's val and all crystals of its reduced formulas are left out. Of the
others those within ``HIGHEST`` of the reference hull count; with more than ``SMALL`` atoms in the primitive cell, only
those within ``HIGHEST_LARGE`` whose prototype ``LEAST`` such crystals share. Written are ``prototypes.safetensors`` and
its card, with the share of crystals of MP-20's val whose prototype is found; and ``site_templates.safetensors``, the
templates of all other prototypes that ``LEAST_SITES`` crystals share, whatever their energy, for generators; and, of
more than ``LARGE`` atoms in the primitive cell, of all other prototypes.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gflownet_crystal.common.programs import read_options, run
from gflownet_crystal.envs.lattice.reference_volume import reference_volume
from gflownet_crystal.generators.assignments.table import keys_of
from gflownet_crystal.generators.prototypes.known import KIND, KnownPrototypes, Prototype, prototypes_of
from gflownet_crystal.generators.prototypes.known_sites import ANGLES, LENGTHS, KnownSites, scaled_lattices
from gflownet_crystal.generators.prototypes.known_sites import KIND as SITES
from gflownet_crystal.generators.prototypes.templates import MOST_SLOTS, Templates
from gflownet_crystal.proxies.e_above_hull import load_hull
from gflownet_crystal.training.energies.labelled import LabelledStructures, read_labelled
from gflownet_crystal.training.generators.assignment_data import OccupiedSpecs
from gflownet_crystal.weights import save_weights

HIGHEST, HIGHEST_LARGE = 0.08, 0.02
"""eV/atom above the reference hull."""

SMALL, LARGE = 20, 40
"""Atoms in the primitive cell."""

LEAST, LEAST_SITES = 5, 2
"""Crystals that share a prototype."""

VALIDATED = 1000
"""Crystals of MP-20's val, at random, whose prototypes are looked for."""

_COMMAND = "python -m gflownet_crystal.training.generators.build_prototypes"
_FIRST = 1, 5, 20


def templates_of(lattice: NDArray[np.float64]) -> NDArray[np.int64]:
    """Row of the crystal that each of m crystals of a prototype shares the template of, within LENGTHS and ANGLES.

    Args:
        lattice: (m, 6) lengths in units of the cube root of the volume, and angles in degrees.
    """
    parameters = scaled_lattices(torch.from_numpy(lattice)).numpy()
    own, left = np.zeros(len(lattice), dtype=np.int64), np.arange(len(lattice))
    while len(left):
        here = parameters[left]
        near = np.stack([np.abs(here - one).max(axis=1) <= 1.0 for one in here])
        most = int(near.sum(axis=1).argmax())
        own[left[near[most]]] = left[most]
        left = left[~near[most]]
    return own


def build(found: OccupiedSpecs) -> KnownPrototypes:
    """Prototypes of crystals."""
    specs = found.specs
    numbers: dict[Prototype, int] = {}
    prototype = np.array([numbers.setdefault(one, len(numbers)) for one in _names(found)])
    volume = reference_volume(specs.composition)
    lattice = torch.cat([specs.lengths / volume[:, None] ** (1.0 / 3.0), specs.angles], dim=1)
    own = np.zeros(len(found), dtype=np.int64)
    order = prototype.argsort(kind="stable")
    for same in np.split(order, np.bincount(prototype).cumsum()[:-1]):
        own[same] = same[templates_of(lattice[torch.from_numpy(same)].numpy())]
    order = np.lexsort((own, prototype))
    chosen, template = np.unique(np.stack([prototype[order], own[order]]), axis=1, return_inverse=True)
    rows = torch.from_numpy(chosen[1])
    taken = found.take(rows)
    _, elements = keys_of(specs.space_group, specs.composition)
    slots = int((specs.composition > 0).sum(dim=1).max())
    present = torch.arange(slots) < (specs.composition > 0).sum(dim=1, keepdim=True)
    elements = elements[:, :slots] * present
    slot = (
        (elements[rows][taken.occupied.structure] == taken.occupied.atomic_number[:, None]).long().argmax(1)
    )
    orbits = replace(taken.occupied, atomic_number=slot)
    return KnownPrototypes(
        Templates(taken.specs.space_group, lattice[rows], orbits),
        torch.from_numpy(chosen[0]),
        torch.from_numpy(template.ravel()),
        elements[torch.from_numpy(order)],
    )


def crystals_of(data: LabelledStructures) -> tuple[OccupiedSpecs, Tensor]:
    """Crystals on Wyckoff positions with few enough elements for templates, and their energies, eV/atom."""
    found, rows = OccupiedSpecs.of(data.structures)
    few = ((found.specs.composition > 0).sum(dim=1) <= MOST_SLOTS).nonzero()[:, 0]
    return found.take(few), data.energy[rows][few]


def counted(found: OccupiedSpecs, energy: Tensor) -> OccupiedSpecs:
    """Crystals near the hull, of large ones those whose prototypes are common."""
    above = load_hull("reference").e_above_hull(found.specs, energy)
    small = found.specs.n_primitive_atoms <= SMALL
    stable = ((above <= HIGHEST) & (small | (above <= HIGHEST_LARGE))).nonzero()[:, 0]
    found, small = found.take(stable), small[stable]
    names = _names(found)
    number = Counter(names)
    common = torch.tensor([number[one] >= LEAST for one in names])
    return found.take((small | common).nonzero()[:, 0])


def others(found: OccupiedSpecs, known: KnownPrototypes) -> tuple[Templates, int]:
    """Templates of the prototypes that are not known, but that several crystals share or that are large.

    Returns:
        The templates, and the number of crystals behind them.
    """
    names = _names(found)
    number = Counter(names)
    held = set(_names_of_templates(known))
    # from noise alone, the flow hardly ever places so many atoms as they are
    large = (found.specs.n_primitive_atoms > LARGE).tolist()
    rows = [
        row for row, one in enumerate(names) if one not in held and (large[row] or number[one] >= LEAST_SITES)
    ]
    return build(found.take(torch.tensor(rows))).templates, len(rows)


def shares_found(known: KnownPrototypes, crystals: OccupiedSpecs) -> dict[str, float]:
    """Shares of crystals whose prototype is among the first of their formula, or among all."""
    places = []
    for true, composition in zip(_names(crystals), crystals.specs.composition, strict=True):
        names = known.names(known.of_formula(composition))
        places.append(names.index(true) if true in names else len(known.templates))
    found = np.array(places)
    figures = {f"first_{k}": round(float((found < k).mean()), 4) for k in _FIRST}
    return {"n": len(found), **figures, "any": round(float((found < len(known.templates)).mean()), 4)}


def _names_of_templates(known: KnownPrototypes) -> list[Prototype]:
    templates, rows = known.templates, torch.arange(len(known.templates))
    elements = known.elements[torch.searchsorted(known.template, rows)]
    composition, occupied = templates.compositions(rows, elements), templates.occupied(rows, elements)
    return prototypes_of(templates.space_group, composition, occupied)


def _names(found: OccupiedSpecs) -> list[Prototype]:
    return prototypes_of(found.specs.space_group, found.specs.composition, found.occupied)


def main(arguments: list[str]) -> None:
    """Read, build, write."""
    options = read_options(__doc__, {}, arguments, required=["data", "out"])
    paths, folder = [Path(path) for path in options["data"].split(",")], Path(options["out"])
    data = read_labelled(paths)
    is_val = data.split == "val"
    held = np.unique(data.formula[is_val])
    learned = data.take(~np.isin(data.formula, held))
    every_crystal, energy = crystals_of(learned)
    crystals = counted(every_crystal, energy)
    known = build(crystals)
    some = np.random.default_rng(0).permutation(np.flatnonzero(is_val))[:VALIDATED]
    validation, _ = OccupiedSpecs.of(data.take(some).structures)
    names = [path.name for path in paths]
    made = {"data": names, "command": f"{_COMMAND} data={','.join(names)} out={folder.name}"}
    card = {
        "property": "prototypes of known crystals",
        "unit": "1",
        "settings": {
            "highest": HIGHEST, "highest_large": HIGHEST_LARGE, "small": SMALL, "least": LEAST, "lengths": LENGTHS,
            "angles": ANGLES,
        },
        "samples_seen": len(crystals),
        "prototypes": int(known.prototype.max()) + 1,
        "templates": len(known.templates),
        "validation": {"mp20_val": shares_found(known, validation)},
        **made,
    }  # fmt: skip
    known.save(folder / f"{KIND}.safetensors", card)
    templates, n = others(every_crystal, known)
    sites = KnownSites(Templates.cat([known.templates, templates]))
    has = float(np.mean([sites.has(*name) for name in _names(validation)]))
    card = {
        "kind": SITES,
        "property": "coordinates of known crystals on their Wyckoff positions",
        "unit": "1",
        "settings": {"least": LEAST_SITES, "large": LARGE, "lengths": LENGTHS, "angles": ANGLES},
        "samples_seen": n,
        "templates": len(templates),
        "validation": {"mp20_val": {"n": len(validation), "with_template": round(has, 4)}},
        **made,
    }
    save_weights(folder / f"{SITES}.safetensors", templates.tensors(), card)


if __name__ == "__main__":
    run(main)
