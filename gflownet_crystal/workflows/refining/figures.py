"""Figures of the rounds of a refinement, and their table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NotRequired, TypedDict

import numpy as np
import pandas as pd

from gflownet_crystal.common.tables import read_parquet
from gflownet_crystal.workflows.refining.labels import DRAW, HELD_OUT, LABEL, RELAXED, is_believed

Agreement = Mapping[str, float | Mapping[str, object] | None]
"""Figures of :func:`~gflownet_crystal.training.proxies.placed_figures.placed_figures`; apart those of new formulas."""

RoundFigures = TypedDict(
    "RoundFigures",
    {
        "round": int,
        "labels_by": str,
        "samples": dict[str, int],
        "labelled_within_0.1": float,
        "trained_on": dict[str, int],
        "proxy": dict[str, Agreement],
        "mp20_val_mae": NotRequired[dict[str, float | None]],
        "energies": NotRequired[dict[str, Agreement]],
        "generator": NotRequired[Mapping[str, object]],
    },
)
"""Figures of a round: its models before and after their training, and their training data."""


def round_counts(labels: Path, samples: pd.DataFrame, made: pd.DataFrame) -> dict[str, int]:
    """Number of samples of a round after each of its stages.

    Args:
        labels: file of its labelled rows.
        samples: distinct samples.
        made: those that got atoms, with their labels.
    """
    believed = is_believed(made[LABEL].to_numpy(dtype=np.float64))
    kept = read_parquet(labels)
    return {
        "drawn": int(samples[DRAW].max()) + 1,
        "distinct": len(samples),
        "held_out": int(samples[HELD_OUT].sum()),
        "placed": len(made),
        "labelled": int(believed.sum()),
        "relaxed": int((kept["structure_source"] == RELAXED).sum()),
    }


def rounds_table(rounds: Sequence[RoundFigures]) -> str:
    """A line a round, at most 80 columns wide: the spec proxy on held-out samples, before and after its training."""
    lines = [
        "                          near  MAE, eV/atom   bias, eV/atom      Spearman",
        "round samples  held placed hull  before  after   before   after  before after",
    ]
    for figures in rounds:
        samples, pair = figures["samples"], (figures["proxy"]["before"], figures["proxy"]["after"])
        errors = " ".join(f"{one['mae']:6.3f}" for one in pair)
        biases = " ".join(f"{one['bias']:+7.3f}" for one in pair)
        ranks = " ".join(_rank(one["spearman_above_hull"]) for one in pair)
        placed = samples["placed"] / samples["distinct"]
        lines.append(
            f"{figures['round']:5d} {samples['distinct']:7d} {pair[0]['n']:5d} {placed:6.2f} "
            f"{figures['labelled_within_0.1']:4.2f}  {errors}  {biases}   {ranks}"
        )
    return "\n".join(lines)


def _rank(value: object) -> str:
    return f"{value:5.2f}" if isinstance(value, float) else "    -"
