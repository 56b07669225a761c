"""Distributions of crystals, few enough numbers to stand on a card of weights: elements, groups, sizes."""

from __future__ import annotations

import torch
from torch import Tensor

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.structures.elements import SYMBOLS
from gflownet_crystal.structures.spec import CrystalSpec

_DIGITS = 4


def distributions(specs: CrystalSpec) -> dict[str, object]:
    """Shares of crystals by their elements and symmetry; shares are rounded to four significant digits, and none is 0.

    Args:
        specs: n of them.

    Returns:
        ``n``; ``elements``, the share of crystals that hold each element, by symbol; ``space_groups`` by ITA number;
        ``n_elements`` by the number of different elements; ``n_atoms`` by the number of atoms in the conventional cell.
        Keys are texts, as in JSON.

    Raises:
        DataError: there is no spec.
    """
    if not len(specs):
        raise DataError("distributions need at least one crystal")
    present = (specs.composition > 0).cpu()
    held = present.double().mean(dim=0).tolist()
    return {
        "n": len(specs),
        "elements": {SYMBOLS[number]: _rounded(share) for number, share in enumerate(held) if share},
        "space_groups": _shares(specs.space_group),
        "n_elements": _shares(present.sum(dim=1)),
        "n_atoms": _shares(specs.n_atoms),
    }


def _shares(numbers: Tensor) -> dict[str, float]:
    """Share of each number that occurs, (n,) int64, in their order."""
    found, counts = torch.unique(numbers.cpu(), return_counts=True)
    shares = (counts.double() / len(numbers)).tolist()
    return {str(number): _rounded(share) for number, share in zip(found.tolist(), shares, strict=True)}


def _rounded(share: float) -> float:
    return float(f"{share:.{_DIGITS}g}")
