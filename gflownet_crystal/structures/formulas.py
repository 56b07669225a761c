"""Formulas as text and as counts indexed by atomic number."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.structures.elements import ATOMIC_NUMBERS, FORMULA_ORDER, N_ATOMIC_NUMBERS, SYMBOLS

_FORMULA = re.compile(r"\s*([A-Z][a-z]?[0-9]{0,6}\s*)+")
_TOKEN = re.compile(r"([A-Z][a-z]?)([0-9]*)")


def reduce_composition(composition: Tensor) -> Tensor:
    """Counts divided by their greatest common divisor.

    Args:
        composition: (n, m) int64 counts.

    Returns:
        (n, m) int64; a row of zeros stays as it is.
    """
    return composition // greatest_common_divisor(composition)[:, None].clamp(min=1)


def greatest_common_divisor(composition: Tensor) -> Tensor:
    """Greatest common divisor of each row of counts, (n, m) int64 to (n,); 0 for zeros alone."""
    divisor = composition
    while divisor.shape[1] > 1:
        half = (divisor.shape[1] + 1) // 2
        padded = torch.nn.functional.pad(divisor, (0, 2 * half - divisor.shape[1]))
        divisor = torch.gcd(padded[:, :half], padded[:, half:])
    return divisor[:, 0]


def composition_to_text(composition: Tensor, separator: str = " ", write_one: bool = True) -> list[str]:
    """Formulas in order of electronegativity.

    Args:
        composition: (n, 119) int64 counts by atomic number.
        separator: text between elements.
        write_one: whether a count of one is written.

    Returns:
        n texts, such as ``"Na4 Cl4"``; with ``separator=""`` and ``write_one=False`` such as ``"NaCl"``.
    """
    ordered = composition.cpu().numpy()[:, FORMULA_ORDER]
    rows, columns = ordered.nonzero()
    symbols = [SYMBOLS[number] for number in FORMULA_ORDER[columns].tolist()]
    counts = ["" if count == 1 and not write_one else str(count) for count in ordered[rows, columns].tolist()]
    tokens = [symbol + count for symbol, count in zip(symbols, counts, strict=True)]
    bounds = [0, *np.cumsum((ordered != 0).sum(1)).tolist()]
    return [separator.join(tokens[start:end]) for start, end in pairwise(bounds)]


def text_to_composition(formulas: Sequence[object]) -> Tensor:
    """Counts of each formula, (n, 119) int64 by atomic number.

    Args:
        formulas: n texts such as ``"Na4 Cl4"`` or ``"NaCl"``; a missing count is one, repeats add up.

    Raises:
        DataError: a formula is missing or malformed, with its row.
    """
    distinct: dict[str, int] = {}
    inverse: list[int] = []
    for row, formula in enumerate(formulas):
        if not isinstance(formula, str):
            raise _malformed(formula, row, "it is no text")
        inverse.append(distinct.setdefault(formula, len(distinct)))
    counts = np.zeros((len(distinct), N_ATOMIC_NUMBERS), dtype=np.int64)
    for formula, index in distinct.items():
        if not _FORMULA.fullmatch(formula):
            raise _malformed(formula, inverse.index(index), "it is not of the form 'Na4 Cl4'")
        for symbol, count in _TOKEN.findall(formula):
            if symbol not in ATOMIC_NUMBERS:
                raise _malformed(formula, inverse.index(index), f"{symbol} is no element")
            counts[index, ATOMIC_NUMBERS[symbol]] += int(count or 1)
        if not counts[index].any():
            raise _malformed(formula, inverse.index(index), "it holds no atoms")
    return torch.from_numpy(counts[np.array(inverse, dtype=np.int64)])


def _malformed(formula: object, row: int, reason: str) -> DataError:
    return DataError(
        f"column formula, row {row}: {formula!r} is not a formula: {reason}; write counts of the cell"
    )
