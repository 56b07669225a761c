"""Crystals made of a given one: other elements on its sites, or some atoms of a supercell replaced.

Each variant keeps the places of the atoms; its volume is scaled with those of the elements, and the energies choose
among a few values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Self, cast

import torch
from torch import Tensor

from gflownet_crystal.common.errors import ConfigError, DataError
from gflownet_crystal.crystallography.charge import ChargeModel
from gflownet_crystal.crystallography.oxidation import OxidationTable
from gflownet_crystal.envs.composition.listing import MOST_LISTED, is_among, listed_compositions
from gflownet_crystal.envs.composition.patterns import ANY, FormulaPattern, Sites
from gflownet_crystal.envs.composition.rules import CompositionRules
from gflownet_crystal.envs.crystal import Crystal
from gflownet_crystal.envs.lattice.reference_volume import reference_volume
from gflownet_crystal.gflownet.model import GFlowNet
from gflownet_crystal.relaxation.inputs import read_items
from gflownet_crystal.structures.elements import ATOMIC_NUMBERS, N_ATOMIC_NUMBERS, SYMBOLS
from gflownet_crystal.structures.occupied_positions import OccupiedPositions, occupied_positions
from gflownet_crystal.structures.site_letters import sites_of
from gflownet_crystal.structures.spec import CrystalSpec
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.structures.symmetry import SYMPREC, conventional_structures
from gflownet_crystal.workflows.predicting.likely_cells import CellKinds, log_prior

OTHER_VOLUMES = 0.84, 0.92, 1.09, 1.19
"""Volumes at which a good variant is tried too, over that of its elements as they are in the given crystal."""

_FAR = 5.0


@dataclass(frozen=True)
class Start:
    """A crystal that others are made of.

    Attributes:
        structure: one, the conventional cell in the ITA setting.
        occupied: its orbits.
        specs: its spec, with its Wyckoff positions.
    """

    structure: StructureBatch
    occupied: OccupiedPositions
    specs: CrystalSpec

    @classmethod
    def of(cls, structure: StructureBatch, symprec: float = SYMPREC) -> Self:
        """The one structure of a batch in its conventional cell.

        Raises:
            DataError: its symmetry cannot be found.
        """
        conventional = conventional_structures(structure, symprec)
        return cls(conventional, *placed_specs(conventional))

    @property
    def formula(self) -> str:
        """Reduced formula."""
        return self.specs.reduced_formulas()[0]

    @property
    def elements(self) -> list[int]:
        """Atomic numbers, rising."""
        return cast(list[int], self.specs.composition[0].nonzero().squeeze(1).tolist())


@dataclass(frozen=True)
class Variants:
    """Crystals to choose from.

    Attributes:
        structures: v conventional cells with atoms.
        probability: (v,) float64 of each.
        volumes: other volumes at which the good ones are tried, in units of their own; empty where the cell is given.
    """

    structures: StructureBatch
    probability: Tensor
    volumes: Sequence[float] = OTHER_VOLUMES


def read_start(path: Path) -> Start:
    """The crystal of a file in any format that the readers take.

    Raises:
        DataError: the file does not hold exactly one crystal, or it cannot be read.
    """
    items = read_items(path)
    if len(items) != 1 or items[0].structure is None:
        raise DataError(f"start={path} holds {len(items)} crystals; give a file with one")
    return Start.of(items[0].structure)


def placed_specs(structures: StructureBatch) -> tuple[OccupiedPositions, CrystalSpec]:
    """The orbits of conventional cells, and their specs with these positions."""
    occupied, specs = occupied_positions(structures), structures.specs()
    return occupied, replace(specs, sites=sites_of(occupied, specs.space_group))


def substituted(start: Start, sites: Sites | None, model: GFlowNet, n: int) -> Variants:
    """Other elements on the sites of a crystal, neutral if it is, the likeliest by the prior.

    Args:
        start: crystal whose group, positions and ratio of sites are kept.
        sites: elements that may take the place of each element, as ``{"Na": ["Li", "K"], "Cl": "any"}``; those not
            named stay; None to exchange all.
        model: prior of crystals.
        n: largest number of variants.

    Raises:
        ConfigError: ``sites`` names an element that the crystal does not have, or too many combinations.
        EmptySpaceError: no combination is neutral.
    """
    pattern = _pattern(start, sites, cast(Crystal, model.env).rules.elements)
    places = torch.tensor([count for _, count in pattern.parts])
    options = [torch.tensor([ATOMIC_NUMBERS[s] for s in symbols or ()]) for symbols, _ in pattern.parts]
    if (number := prod(map(len, options))) > MOST_LISTED:
        raise ConfigError(
            f"{number} combinations of elements, more than {MOST_LISTED}: give fewer for each in sites, as "
            f"sites={{{SYMBOLS[start.elements[0]]}: [Na, K]}}; elements that it does not name stay"
        )
    chosen = torch.cartesian_prod(*options).view(-1, len(options))
    ordered = chosen.sort(dim=1).values
    chosen = chosen[(ordered[:, 1:] != ordered[:, :-1]).all(dim=1)]
    composition = torch.zeros(len(chosen), N_ATOMIC_NUMBERS, dtype=torch.int64)
    composition.scatter_(1, chosen, places.expand(len(chosen), -1))
    rules = _rules(start, pattern, options)
    kept = is_among(composition[:, rules.atomic_numbers], listed_compositions(rules))
    chosen, composition = chosen[kept], composition[kept]
    log_p = _log_probabilities(start, composition, model)
    order = log_p.argsort(descending=True, stable=True)[:n]
    probability = torch.softmax(log_p, dim=0)[order]
    return _variants(start, chosen[order], composition[order], probability)


def _pattern(start: Start, sites: Sites | None, elements: Sequence[str]) -> FormulaPattern:
    """The formula of a crystal as a family, a place for each of its elements."""
    own = {SYMBOLS[number]: int(start.specs.composition[0, number]) for number in start.elements}
    given = FormulaPattern.of(own, dict.fromkeys(own, ANY) if sites is None else sites)
    usable = (
        [s for s in elements if OxidationTable.of("default").of_element(s)] if _is_ionic(start) else elements
    )
    parts = tuple((tuple(usable) if symbols is None else symbols, count) for symbols, count in given.parts)
    return replace(given, text=f"of {start.formula} with other elements", parts=parts)


def _is_ionic(start: Start) -> bool:
    """Whether the charges of a crystal balance."""
    symbols, counts = (
        [SYMBOLS[number] for number in start.elements],
        start.specs.composition[:, start.elements],
    )
    if not all(OxidationTable.of("default").of_element(symbol) for symbol in symbols):
        return False
    return bool(ChargeModel(symbols, max_count=int(counts.max())).neutral(counts)[0])


def _rules(start: Start, pattern: FormulaPattern, options: Sequence[Tensor]) -> CompositionRules:
    """Rules of the compositions of substituted crystals."""
    n_atoms, n_elements = int(start.specs.n_atoms), len(pattern.parts)
    return CompositionRules(
        [SYMBOLS[number] for number in torch.unique(torch.cat(list(options))).tolist()],
        max_count=int(start.specs.composition.max()),
        n_elements=(n_elements, n_elements),
        n_atoms=(n_atoms, n_atoms),
        formulas=(pattern,),
        charge_balance=_is_ionic(start),
    )


def _log_probabilities(start: Start, composition: Tensor, model: GFlowNet) -> Tensor:
    """(d,) float64 log-probabilities under the prior; those that it never makes lie a little below all others."""
    distinct, which = torch.unique(composition, dim=0, return_inverse=True)
    log_p = log_prior(model, CellKinds(start.specs.space_group.expand(len(distinct)), distinct))
    known = log_p[log_p.isfinite()]
    least = float(known.min()) - _FAR if len(known) else 0.0
    return log_p.where(log_p.isfinite(), least)[which]


def _variants(start: Start, chosen: Tensor, composition: Tensor, probability: Tensor) -> Variants:
    """Crystals with elements (v, places) in place of the own ones."""
    v, n_orbits = len(chosen), len(start.occupied.position)
    place = torch.searchsorted(torch.tensor(start.elements), start.occupied.atomic_number)
    orbits = OccupiedPositions(
        torch.ones(v, dtype=torch.bool),
        torch.arange(v).repeat_interleave(n_orbits),
        start.occupied.position.repeat(v),
        chosen[:, place].flatten(),
        start.occupied.parameters.repeat(v, 1),
    )
    made = orbits.structures(start.structure.cell.expand(v, 3, 3), start.specs.space_group.expand(v))
    ratio = reference_volume(composition) / reference_volume(start.specs.composition)
    return Variants(scaled(made, ratio), probability)


def scaled(structures: StructureBatch, ratio: Tensor | float) -> StructureBatch:
    """Structures with their volumes times a ratio, one or (n,)."""
    edge = torch.as_tensor(ratio, dtype=torch.float64).expand(len(structures)) ** (1.0 / 3.0)
    return replace(structures, cell=structures.cell * edge[:, None, None])
