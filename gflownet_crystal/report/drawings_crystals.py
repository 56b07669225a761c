"""The page's figures of sets of crystals: elements, space groups, lattice parameters and the periodic table."""

from __future__ import annotations

from dataclasses import dataclass

from matplotlib.figure import Figure

from gflownet_crystal.report.drawings import Drawing, Studio
from gflownet_crystal.report.figures import group_figure, lattice_figure
from gflownet_crystal.report.figures_elements import (
    pair_figure,
    prevalence_figure,
    shown_elements,
    table_figure,
)
from gflownet_crystal.report.population import Population, atom_shares, crystal_shares

_BY_ATOMS = "Share of all atoms: an element counts with its number in the cell."
_BY_CRYSTALS = "Share of crystals that hold an element: it counts once a crystal."
_GROUPS = "Share of crystals by number of the space group; shading tells crystal systems apart."
_LATTICE = "Of the conventional cells; the outermost bins hold the values beyond 98 % of each set."
_PAIRS = (
    "Share of crystals that hold both elements, whatever their numbers; dark where rare, empty where none does "
    "and on the diagonal."
)


@dataclass(frozen=True)
class CrystalDrawings:
    """Figures of the samples and of the sets they are compared with.

    Attributes:
        atoms: shares of atoms by element (the paper's figure 6).
        presence: shares of crystals that hold an element (figure 7).
        pairs: co-occurrences, samples first (figure 8).
        groups: space groups (figure 9).
        lattice: lattice parameters (figure 10).
    """

    atoms: Drawing
    presence: Drawing
    pairs: list[Drawing]
    groups: Drawing
    lattice: Drawing


def crystal_drawings(
    studio: Studio,
    samples: Population,
    candidates: Population | None,
    reference: Population | None,
    untrained: Population | None,
) -> CrystalDrawings:
    """Draw the figures of sets of crystals, those that are None or empty left out."""
    compared = [one for one in (samples, candidates, reference) if one is not None and len(one)]
    spread = [one for one in (untrained, reference, samples) if one is not None and len(one)]

    def bars_by_atoms() -> Figure:
        return prevalence_figure(compared, atom_shares, "share of atoms (%)")

    def bars_by_crystals() -> Figure:
        return prevalence_figure(compared, crystal_shares, "share of crystals (%)")

    return CrystalDrawings(
        studio.draw("elements_by_atoms", "Elements by atoms", _BY_ATOMS, bars_by_atoms, wide=True),
        studio.draw(
            "elements_by_crystals", "Elements by crystals", _BY_CRYSTALS, bars_by_crystals, wide=True
        ),
        [
            _pairs(studio, one, shown_elements(compared, crystal_shares))
            for one in compared
            if one.kind != "candidates"
        ],
        studio.draw("space_groups", "Space groups", _GROUPS, lambda: group_figure(compared), wide=True),
        studio.draw(
            "lattice_parameters", "Lattice parameters", _LATTICE, lambda: lattice_figure(spread), wide=True
        ),
    )


def _pairs(studio: Studio, population: Population, numbers: list[int]) -> Drawing:
    title = f"Elements that occur together, {population.kind}"
    name = f"element_pairs_{population.kind}"
    return studio.draw(name, title, _PAIRS, lambda: pair_figure(population, numbers))


def table_drawing(studio: Studio, candidates: Population) -> Drawing:
    """The periodic table of the candidates; the page has one of its own to choose from."""
    shares = crystal_shares(candidates.composition)
    return studio.draw(
        "periodic_table", "Periodic table", "Share of candidates.", lambda: table_figure(shares)
    )
