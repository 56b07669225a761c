"""Samples to choose candidates from, further ones drawn as needed, and the default choice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pandas as pd

from gflownet_crystal.proxies.hull import Hull
from gflownet_crystal.proxies.reference_hull import ReferenceHull
from gflownet_crystal.structures.spec_io import frame_to_specs
from gflownet_crystal.workflows.settings.screening import KEEP, Screening

FURTHER = 2048
"""Samples that are drawn at a time where those at hand do not suffice."""
MOST_DRAWS = 20
"""Times that they are."""

SHORTAGE = "draw more with n=, or loosen screening.within or its limits"
"""Advice where there are too few candidates."""

_SEEDS_APART = 2**16
_OF_DISCOVERY: dict[str, str | int | bool] = {
    "known": "formula",
    "charges": 2,
    "max_per_formula": 1,
    "max_per_system": 3,
    "fill": False,
}
_FEWEST_OF_A_PROTOTYPE, _PROTOTYPES = 3, 10
"""Candidates of one prototype: at least so many, and a tenth of all."""
_OF_OTHERS: dict[str, str | int | bool] = {"known": KEEP, "charges": 0, "fill": True}


def usual_screening(seeks_discoveries: bool, k: int) -> dict[str, str | int | bool]:
    """Settings of a screening that follow from the reward.

    Args:
        seeks_discoveries: whether the reward is the one for discovery.
        k: number of candidates.
    """
    if not seeks_discoveries:
        return dict(_OF_OTHERS)
    # a prototype that always lies near the hull, as full-Heusler compounds do, would fill the list
    return {**_OF_DISCOVERY, "max_per_prototype": max(_FEWEST_OF_A_PROTOTYPE, k // _PROTOTYPES)}


def by_rank(settings: Screening, has_hull: bool, has_judge: bool) -> Screening:
    """Settings that choose by rank where the proxy gives no distances to a hull, or no model judges atoms.

    By rank, the best samples come first. Without a judge their distance to the hull has no limit. Else the settings
    are returned unchanged.

    Args:
        settings: settings of candidates judged with their atoms.
        has_hull: whether the proxy predicts energies that can be measured from a hull.
        has_judge: whether a model gives energies with atoms.
    """
    if has_hull and has_judge:
        return settings
    within = settings.within if has_judge else None
    return replace(settings, better=1.0, order="best", within=within, by_reward=not has_hull)


def further_seed(seed: int, number: int) -> int:
    """The seed of a further draw, far from those of other draws.

    Args:
        seed: random seed of the samples at hand.
        number: number of the draw, from 1.
    """
    # seeds go up to 2**32 - 1
    return (seed + number * _SEEDS_APART) % 2**32


def tables(
    first: pd.DataFrame,
    draw: Callable[[int], pd.DataFrame] | None,
    prepare: Callable[[pd.DataFrame], pd.DataFrame],
) -> Iterator[pd.DataFrame]:
    """Tables of the first samples and then of further draws, each prepared for the screening."""
    yield prepare(first)
    if draw is not None:
        yield from (prepare(draw(number)) for number in range(1, MOST_DRAWS + 1))


def with_entries(frame: pd.DataFrame, hull: Hull) -> pd.DataFrame:
    """Samples with the numbers of known crystals that the hull rests on there, where it knows them."""
    entries = hull.entries if isinstance(hull, ReferenceHull) else None
    if entries is None:
        return frame
    return frame.assign(hull_entries=entries.within(frame_to_specs(frame).composition).numpy())
