"""Energy above the hull of judged structures, and S.U.N.: share that is stable, unique and novel at once.

Source: C. Zeni et al., Nature 639, 624, 2025: stable means at most 0.1 eV/atom above the hull of a reference set after
relaxation; unique and novel are judged on the relaxed structures. The judge's formation energies come from its own
energies of the elements, so that its offsets do not pass for stability.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.evaluation.compared_sets import reduced_formulas
from gflownet_crystal.evaluation.matching import Tolerances
from gflownet_crystal.evaluation.novelty import NOVEL, first_known
from gflownet_crystal.evaluation.parallel import Work, to_crystals
from gflownet_crystal.evaluation.uniqueness import first_match, unique
from gflownet_crystal.proxies.hull import MAX_ELEMENTS, NEAR_HULL, Hull
from gflownet_crystal.structures.structure import StructureBatch


@dataclass(frozen=True)
class Stability:
    """Shares of all structures that were to be judged, failures included.

    Attributes:
        n: structures that were to be judged.
        n_failed: number without an energy: unreadable, not relaxed, or with elements that the judge does not know.
        stable: share at most the threshold above the hull.
        on_hull: share on or below the hull of the reference.
        unique: share that is judged and the first of its kind.
        novel: share that is judged and not in the reference.
        sun: share that is stable, unique and novel.
        median_e_above_hull: median of those judged, eV/atom; NaN if none is.
    """

    n: int
    n_failed: int
    stable: float
    on_hull: float
    unique: float
    novel: float
    sun: float
    median_e_above_hull: float


def energy_above_hull(composition: Tensor, energy: Tensor, hull: Hull) -> Tensor:
    """Formation energies minus the hull's.

    Args:
        composition: (n, 119) int64 counts by atomic number.
        energy: (n,) formation energies, eV/atom; NaN where there is none.
        hull: hull of the reference.

    Returns:
        (n,) float64, eV/atom; negative below the reference's hull, NaN without an energy or for more elements than a
        hull takes.
    """
    result = torch.full((len(energy),), torch.nan, dtype=torch.float64)
    rows = (energy.isfinite() & ((composition > 0).sum(1) <= MAX_ELEMENTS)).nonzero()[:, 0]
    if len(rows):
        result[rows] = energy[rows].double() - hull.hull_energy(composition[rows])
    return result


def stability(
    above: Tensor, unique: Tensor, novel: Tensor, n: int | None = None, threshold: float = NEAR_HULL
) -> Stability:
    """Shares of stable, unique and novel structures.

    Args:
        above: (m,) eV/atom above the hull; NaN where a structure failed.
        unique: (m,) bool, the first of its kind.
        novel: (m,) bool, not in the reference.
        n: structures that were to be judged; m if not given.
        threshold: eV/atom up to which one is stable.

    Raises:
        DataError: no structures, or fewer than were judged.
    """
    total = len(above) if n is None else n
    if total < max(1, len(above)):
        raise DataError(
            f"shares of {total} structures cannot be taken of {len(above)}; give how many there were"
        )
    judged = above.isfinite()
    stable = above <= threshold

    def share(chosen: Tensor) -> float:
        return int((chosen & judged).sum()) / total

    return Stability(
        n=total,
        n_failed=total - int(judged.sum()),
        stable=share(stable),
        on_hull=share(above <= 0.0),
        unique=share(unique),
        novel=share(novel),
        sun=share(stable & unique & novel),
        median_e_above_hull=float(above[judged].quantile(0.5)) if bool(judged.any()) else float("nan"),
    )


def unique_and_novel(
    relaxed: StructureBatch, above: Tensor, reference: StructureBatch, tolerances: Tolerances, work: Work
) -> tuple[Tensor, Tensor]:
    """Which relaxed structures are the most stable of their kind, and which the reference does not have.

    Args:
        relaxed: m structures.
        above: (m,) eV/atom above the hull.
        reference: known structures.
        tolerances: tolerances of matches.
        work: settings of the execution.

    Returns:
        Two masks, (m,) bool; a structure that cannot be compared is neither.

    Raises:
        KeyboardInterrupt: a stop was asked for.
    """
    known = to_crystals(reference), reduced_formulas(reference)
    crystals, formulas = to_crystals(relaxed), reduced_formulas(relaxed)
    novel = first_known(crystals, formulas, *known, tolerances, work) == NOVEL
    return most_stable_of_kind(relaxed, above, tolerances, work), novel


def most_stable_of_kind(relaxed: StructureBatch, above: Tensor, tolerances: Tolerances, work: Work) -> Tensor:
    """Representatives of equivalent structures, (m,) bool: the most stable one of each kind.

    Args:
        relaxed: m structures.
        above: (m,) eV/atom above the hull.
        tolerances: tolerances of matches.
        work: settings of the execution.

    Raises:
        KeyboardInterrupt: a stop was asked for.
    """
    order = above.nan_to_num(nan=torch.inf).argsort(stable=True)
    crystals, formulas = to_crystals(relaxed[order]), reduced_formulas(relaxed[order])
    first = torch.zeros(len(relaxed), dtype=torch.bool)
    first[order] = unique(first_match(crystals, formulas, tolerances, work))
    return first
