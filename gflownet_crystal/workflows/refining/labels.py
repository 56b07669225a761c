"""Labelled rows of sampled and relaxed crystals: held-out split, and data added in training."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.data.schema import ENERGY_COLUMN, SAMPLED, STRUCTURE_COLUMNS
from gflownet_crystal.data.splits import formula_keys, in_holdout, is_validation, reduced_formulas, true_cells
from gflownet_crystal.proxies.structure_proxy import PLAUSIBLE
from gflownet_crystal.structures.spec_io import REQUIRED_COLUMNS
from gflownet_crystal.workflows.candidates.shortlist import distinct_rows

RELAXED = "relaxed"
"""``structure_source`` of crystals that were relaxed; of those with atoms as they were placed, it is ``SAMPLED``."""

DRAW, HELD_OUT, LABEL = "draw", "held_out", "label"
"""Columns of the samples: the number of the draw, from 0, and whether the formula is never trained on."""

Draw = Callable[[int, int], pd.DataFrame]
"""Specs of a sampler as a table, from their number and a seed."""

_DRAWS_A_SAMPLE = 20


def seed_of(seed: int, *numbers: int) -> int:
    """A seed of its own for each sequence of numbers."""
    return int(np.random.SeedSequence([seed, *numbers]).generate_state(1)[0])


def distinct_samples(
    draw: Draw, n: int, seed: int, held_out: float, volume_tolerance: float, number: int
) -> pd.DataFrame:
    """Specs of a sampler without duplicates, in the order in which they were drawn.

    Args:
        draw: makes specs.
        n: specs wanted; there are fewer where 20 times as many draws have no more distinct ones.
        seed: random seed of draws and of the formulas held out: a formula is held out in all rounds or in none.
        held_out: share of the reduced formulas.
        volume_tolerance: specs of one formula and group whose volumes differ by less, relative, are duplicates.
        number: number of the round.

    Returns:
        The columns of a spec file, ``draw`` and ``held_out``.

    Raises:
        DataError: no sampled formula is held out, or all are.
    """
    frame = pd.DataFrame()
    rows: list[int] = []
    while len(rows) < n and len(frame) < _DRAWS_A_SAMPLE * n:
        drawn = draw(n, seed_of(seed, number, len(frame) // n))
        frame = pd.concat([frame, drawn], ignore_index=True)
        rows = distinct_rows(frame, volume_tolerance)[:n]
    frame = frame.iloc[rows].reset_index(drop=True).assign(**{DRAW: rows})
    held = is_held_out(frame, held_out, seed)
    if not held.any() or held.all():
        raise DataError(
            f"{int(held.sum())} of {len(frame)} distinct samples are held out: give a larger n, or another held_out"
        )
    return frame.assign(**{HELD_OUT: held})


def is_held_out(table: pd.DataFrame, share: float, seed: int) -> NDArray[np.bool_]:
    """Rows (n,) whose formulas no round trains on: a formula is one of these in every table, or in none."""
    return in_holdout(reduced_formulas(table), share, seed_of(seed))


def is_believed(energy: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Energies (n,) eV/atom that a crystal can have; no NaN."""
    return np.asarray((energy >= PLAUSIBLE[0]) & (energy <= PLAUSIBLE[1]))


def sampled_rows(
    samples: pd.DataFrame, made: pd.DataFrame, energy: NDArray[np.float64], source: str, number: int
) -> pd.DataFrame:
    """Prepared rows of sampled specs with the atoms placed in them.

    Args:
        samples: samples of a round.
        made: n structures with the column ``row``, positions in ``samples``.
        energy: (n,) formation energies, eV/atom.
        source: name of the model that they are by.
        number: number of the round.
    """
    rows = made["row"].to_numpy(dtype=np.int64)
    table = samples.iloc[rows][list(REQUIRED_COLUMNS)].reset_index(drop=True)
    table.insert(0, STRUCTURE_COLUMNS[0], [f"round{number}-{row}" for row in rows])
    structures = {name: made[name].to_numpy() for name in STRUCTURE_COLUMNS[1:]}
    table = table.assign(**structures, **{ENERGY_COLUMN: energy}, energy_source=source)
    return table.assign(strain="", structure_source=SAMPLED, mp20_split="none")


def in_one_scheme(
    earlier: pd.DataFrame, source: str, other: str, difference: NDArray[np.float64]
) -> pd.DataFrame:
    """Earlier labels that can be trained on beside new ones, those of another model shifted to the new one's energies.

    Args:
        earlier: labelled rows.
        source: model of the new labels; earlier ones of its stay as they are.
        other: model whose energies of the same structures are known too; its earlier labels are shifted. Those of
            further models are left out.
        difference: (n,) labels of one model minus the energies of the other of the same structures, eV/atom, of which
            the median is the shift; NaN where one is not known.
    """
    if other == source or not np.isfinite(difference).any():
        return earlier[earlier["energy_source"] == source].reset_index(drop=True)
    shifted = np.where(earlier["energy_source"] == other, np.nanmedian(difference), 0.0)
    energy = earlier[ENERGY_COLUMN].to_numpy(dtype=np.float64) + shifted
    kept = earlier["energy_source"].isin([source, other]).to_numpy()
    return earlier.assign(**{ENERGY_COLUMN: energy})[kept].reset_index(drop=True)


def training_table(
    known: pd.DataFrame | None,
    labels: Sequence[pd.DataFrame],
    held_out: Sequence[pd.DataFrame],
    replay: float | None,
    seed: int,
) -> pd.DataFrame:
    """All that a round trains the spec proxy on: labelled rows of all rounds, and known crystals.

    Args:
        known: prepared table of known crystals; None for none.
        labels: rows to train on, a table a round.
        held_out: rows never trained on, a table a round; known crystals of their formulas are left out, unless they
            validate (MP-20's val).
        replay: known crystals for each labelled row, chosen by formula; None for all.
        seed: random seed of that choice.
    """
    own = pd.concat(labels, ignore_index=True)
    if known is None:
        return own
    validates = is_validation(known)
    formulas = reduced_formulas(known)
    banned = np.unique(np.concatenate([reduced_formulas(table) for table in held_out]))
    free = ~validates & ~np.isin(formulas, banned)
    if replay is not None:
        free &= some_formulas(formulas, free & true_cells(known), round(replay * len(own)), seed)
    return pd.concat([known[validates | free], own], ignore_index=True)


def validation_rows(known: pd.DataFrame | None) -> pd.DataFrame | None:
    """Labelled true cells of MP-20's val; None where there are none."""
    if known is None:
        return None
    rows = known[is_validation(known) & true_cells(known) & known[ENERGY_COLUMN].notna().to_numpy()]
    return rows.reset_index(drop=True) if len(rows) else None


def some_formulas(
    formulas: NDArray[np.str_], counted: NDArray[np.bool_], n: int, seed: int
) -> NDArray[np.bool_]:
    """Rows (m,) of as many formulas as hold ``n`` counted rows, in an order that the seed decides."""
    keys = formula_keys(formulas, seed)
    order = np.sort(keys[counted])
    if n >= len(order):
        return np.ones(len(keys), dtype=np.bool_)
    return np.asarray(keys < order[n])
