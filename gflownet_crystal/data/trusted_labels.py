"""One formation energy a formula from labels of several vintages, of which some are far off."""

from __future__ import annotations

import numpy as np
import pandas as pd

from gflownet_crystal.common.run_schema import FORMULA
from gflownet_crystal.data.schema import ENERGY_COLUMN
from gflownet_crystal.structures.formulas import composition_to_text, reduce_composition, text_to_composition

TRUST: tuple[tuple[str, ...], ...] = (("mp20", "mpts52"), ("roost",), ("megnet", "matbench2019"))
"""Beginnings of ``energy_source``, the most trusted first; all others come last."""

AGREEMENT = 0.1
"""eV/atom by which a polymorph of a less trusted source may lie below all that the more trusted ones have."""


def trusted_energies(table: pd.DataFrame) -> pd.DataFrame:
    """The lowest formation energy of each formula that can be trusted.

    Of each kind of source the lowest polymorph of a formula counts. One that lies more than 0.1 eV/atom below those of
    more trusted sources is an error of its label and is left out; one not as far below is a polymorph that they lack.
    Sources of no known kind, such as MatBench's table without structures, give formulas that no other source has.

    Args:
        table: ``formula``, ``formation_energy_per_atom`` (eV/atom, one scheme) and ``energy_source``.

    Returns:
        One row a reduced formula: ``formula``, ``formation_energy_per_atom``, ``sources`` (kinds that have it) and
        ``disagree`` (whether a label was left out).
    """
    labelled = table[np.isfinite(table[ENERGY_COLUMN].to_numpy(dtype=np.float64))]
    formula = composition_to_text(reduce_composition(text_to_composition(labelled[FORMULA].tolist())))
    source = labelled["energy_source"].astype(str)
    kind = np.full(len(labelled), len(TRUST))
    for rank, beginnings in reversed(list(enumerate(TRUST))):
        kind[source.str.startswith(beginnings).to_numpy()] = rank
    rows = pd.DataFrame({FORMULA: formula, "kind": kind, "energy": labelled[ENERGY_COLUMN].to_numpy()})
    lowest = rows.pivot_table(index=FORMULA, columns="kind", values="energy", aggfunc="min")
    lowest = lowest.reindex(columns=range(len(TRUST) + 1))
    energy = lowest[0].to_numpy().copy()
    disagree = np.zeros(len(energy), dtype=bool)
    for rank in range(1, len(TRUST) + 1):
        other = lowest[rank].to_numpy()
        too_low = other < energy - AGREEMENT
        last = rank == len(TRUST)
        taken = np.isnan(energy) if last else ~too_low
        energy = np.where(taken, np.fmin(energy, other), energy)
        disagree |= too_low
    sources = lowest.notna().sum(axis=1).to_numpy()
    columns = {FORMULA: lowest.index, ENERGY_COLUMN: energy, "sources": sources, "disagree": disagree}
    return pd.DataFrame(columns).reset_index(drop=True)
