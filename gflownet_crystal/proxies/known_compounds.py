"""Known compounds as a sorted list of numbers: whether a formula, or a formula in a space group, is among them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from gflownet_crystal.structures.composition_keys import (
    GROUP_BITS,
    KEY_BITS,
    formula_and_group_keys,
    formula_keys,
)
from gflownet_crystal.weights import fitting_card, load_weights

KIND = "known_compounds"

_BYTES = (KEY_BITS + GROUP_BITS) // 8
_PLACES = 8 * torch.arange(_BYTES)


class KnownCompounds:
    """A set of reduced formulas with their space groups.

    Formulas are told apart by 40 bits: with n known formulas, an unknown one is taken for known with a probability of
    n / 2**40, which is 8e-8 for the shipped ones.

    Args:
        keys: (n,) int64 of formulas with groups, see :mod:`gflownet_crystal.structures.composition_keys`; in any order,
            repeats allowed.
    """

    def __init__(self, keys: Tensor) -> None:
        self.keys = keys.cpu().unique()
        self.formulas = (self.keys >> GROUP_BITS).unique()

    @classmethod
    def of(cls, composition: Tensor, space_group: Tensor) -> Self:
        """The set of n compounds.

        Args:
            composition: (n, 119) int64 counts.
            space_group: (n,) int64, 0 where it is not known.
        """
        return cls(formula_and_group_keys(formula_keys(composition), space_group))

    @classmethod
    def from_weights(cls, weights: str | Path = KIND) -> Self:
        """The shipped set, or one from a ``.safetensors`` file with its card.

        Raises:
            WeightsError: missing, corrupt, or of another kind.
        """
        tensors, _ = load_weights(weights, KIND)
        with fitting_card(weights):
            return cls.unpacked(tensors)

    @classmethod
    def unpacked(cls, tensors: Mapping[str, Tensor]) -> Self:
        """Inverse of :meth:`tensors`."""
        return cls((tensors["keys"].view(-1, _BYTES).long() << _PLACES).sum(1))

    def tensors(self) -> dict[str, Tensor]:
        """The keys in 6 bytes each, the lowest first, for a file that :meth:`from_weights` reads."""
        return {"keys": ((self.keys[:, None] >> _PLACES) & 0xFF).to(torch.uint8)}

    def __or__(self, other: KnownCompounds) -> KnownCompounds:
        """The compounds of both sets."""
        return KnownCompounds(torch.cat([self.keys, other.keys]))

    def __len__(self) -> int:
        return len(self.keys)

    def look_up(self, composition: Tensor, space_group: Tensor) -> tuple[Tensor, Tensor]:
        """Whether formulas are known, and whether they are in these groups.

        Args:
            composition: (n, 119) int64 counts; multiples of a formula count as equal.
            space_group: (n,) int64, 1 to 230; mirror images count as equal.

        Returns:
            Both (n,) bool, on the device of ``composition``.
        """
        formula = formula_keys(composition)
        pair = formula_and_group_keys(formula, space_group)
        return contains(self.formulas, formula), contains(self.keys, pair)


def contains(keys: Tensor, wanted: Tensor) -> Tensor:
    """Whether numbers are among others, (n,) bool, on the device of ``wanted``.

    Args:
        keys: (m,) int64 on the CPU, ascending.
        wanted: (n,) int64.
    """
    return find(keys, wanted)[1].to(wanted.device)


def find(keys: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Places of numbers among others.

    Args:
        keys: (m,) int64 on the CPU, ascending.
        wanted: (n,) int64.

    Returns:
        Place (n,) int64 of each in ``keys``, which counts where the second, (n,) bool, says that it is there; both on
        the CPU.
    """
    here = wanted.cpu()
    if len(keys) == 0:
        return torch.zeros_like(here), torch.zeros_like(here, dtype=torch.bool)
    place = torch.searchsorted(keys, here).clamp(max=len(keys) - 1)
    return place, keys[place] == here
