"""Random numbers that are a function of their purpose, so that no draw depends on a batch."""

from __future__ import annotations

import torch
from torch import Tensor

# constants of splitmix64 (G. Steele, D. Lea and C. Flood, OOPSLA 2014), as signed 64-bit integers
_STEP = -7046029254386353131
_MIX = ((30, -4658895280553007687), (27, -7723592293110705685))
_BITS = 53


def mix(keys: Tensor) -> Tensor:
    """Scramble the bits of int64 keys, one to one."""
    for shift, factor in _MIX:
        keys = (keys ^ _shifted(keys, shift)) * factor
    return keys ^ _shifted(keys, 31)


def joined(keys: Tensor, more: Tensor) -> Tensor:
    """Keys of pairs of a key and a whole number, of any shapes that broadcast, int64."""
    return mix(keys + (more + 1) * _STEP)


def uniform(keys: Tensor) -> Tensor:
    """One number in [0, 1) a key, float64."""
    return _shifted(keys, 64 - _BITS).double() * 2.0**-_BITS


def keys_of_compounds(space_group: Tensor, composition: Tensor, seed: int) -> Tensor:
    """Keys of a group (n,) and a composition (n, m), int64, (n,)."""
    places = torch.arange(composition.shape[1], device=composition.device)
    counts = joined(joined(torch.zeros_like(composition), places), composition).sum(1)
    return joined(joined(counts, space_group), torch.as_tensor(seed, device=counts.device))


def _shifted(keys: Tensor, bits: int) -> Tensor:
    """Bits moved to the right, zeros following."""
    return (keys >> bits) & ((1 << (64 - bits)) - 1)
