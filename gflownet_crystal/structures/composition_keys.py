"""Hash keys of reduced formulas, of formulas with a space group, and of prototypes: equal on every machine, in batches.

A formula's key is the upper 40 bits of splitmix64's finaliser (G. Steele et al., OOPSLA 2014) of the sum over elements
of the count times a 64-bit constant of the element, which is the finaliser of its atomic number times an odd constant;
all modulo 2**64. Two formulas have one key with a probability of 2**-40, 1e-12. The key of a formula and a group is the
formula's times 256 plus the number of the group.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gflownet_crystal.common.devices import on_device
from gflownet_crystal.crystallography.space_groups import first_hand_of_group
from gflownet_crystal.structures.elements import N_ATOMIC_NUMBERS
from gflownet_crystal.structures.formulas import reduce_composition

KEY_BITS = 40
"""Bits of a formula's key."""

GROUP_BITS = 8
"""Bits of the group in the key of a formula and a group."""

_GOLDEN = 0x9E3779B97F4A7C15
_STEPS = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))
_LAST_SHIFT = 31
_WORD = 2**64


def _signed(value: int) -> int:
    """An unsigned 64-bit number as the signed one of the same bits."""
    return value - _WORD if value >= _WORD // 2 else value


def _shifted(value: Tensor, bits: int) -> Tensor:
    """Shift to the right that fills up with zeros, unlike int64's own."""
    return (value >> bits) & (2 ** (64 - bits) - 1)


def _finalised(value: Tensor) -> Tensor:
    """splitmix64's finaliser; products of int64 wrap, as those modulo 2**64 do."""
    for bits, factor in _STEPS:
        value = (value ^ _shifted(value, bits)) * _signed(factor)
    return value ^ _shifted(value, _LAST_SHIFT)


_OF_ELEMENT = _finalised(torch.arange(N_ATOMIC_NUMBERS) * _signed(_GOLDEN))
_FIRST_HAND = torch.from_numpy(first_hand_of_group)


def formula_keys(composition: Tensor) -> Tensor:
    """Keys of reduced formulas, (n,) int64, 0 to 2**40 - 1, on the device of ``composition``.

    Args:
        composition: (n, 119) int64 counts by atomic number; multiples of a formula count as equal.
    """
    constants = on_device(_OF_ELEMENT, composition.device)
    return _shifted(_finalised((reduce_composition(composition) * constants).sum(1)), 64 - KEY_BITS)


def formula_and_group_keys(formula_key: Tensor, space_group: Tensor) -> Tensor:
    """Keys of formulas with space groups; mirror images, such as 152 and 154, have the same key.

    Args:
        formula_key: (n,) int64 of :func:`formula_keys`.
        space_group: (n,) int64, 1 to 230, or 0 where none is known.

    Returns:
        (n,) int64, 0 to 2**48 - 1.
    """
    return (formula_key << GROUP_BITS) | on_device(_FIRST_HAND, space_group.device)[space_group]


def prototype_keys(composition: Tensor, space_group: Tensor) -> Tensor:
    """Keys of prototypes: space group and reduced counts, whatever the elements; mirror images have the same key.

    Args:
        composition: (n, 119) int64 counts by atomic number; multiples of a formula count as equal.
        space_group: (n,) int64, 1 to 230.

    Returns:
        (n,) int64, 0 to 2**48 - 1.
    """
    # the counts in ascending order, as if they were those of the elements 118, 117, ...
    return formula_and_group_keys(formula_keys(composition.sort(dim=1).values), space_group)
