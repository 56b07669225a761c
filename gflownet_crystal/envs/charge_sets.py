"""Sets of total charges as bit words: the arithmetic of the composition's charge balance.

A set of integers in [-radius, radius] is a row of W ``int64`` words of 63 bits; bit ``q + radius`` stands for the
charge q. The sign bit stays clear, so that an arithmetic shift is a logical one. Charges beyond the radius are
dropped: the radius is chosen so that nothing could balance them.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional

WORD_BITS = 63
_FULL = torch.iinfo(torch.int64).max
# members are shifted in blocks, so that a batch with a few large sets does not pay for them in every row
_BLOCKS = (0, 2, 8, 24, 64, 160, 100_000)


def n_words(radius: int) -> int:
    """Words that hold the charges in [-radius, radius]."""
    return -(-(2 * radius + 1) // WORD_BITS)


def pack(member: Tensor) -> Tensor:
    """(..., 2 * radius + 1) bool membership to (..., W) int64 words."""
    missing = -member.shape[-1] % WORD_BITS
    bits = functional.pad(member, (0, missing)).unflatten(-1, (-1, WORD_BITS)).long()
    return (bits << torch.arange(WORD_BITS, device=member.device)).sum(dim=-1)


def unpack(words: Tensor, radius: int) -> Tensor:
    """Inverse of :func:`pack`."""
    bits = (words.unsqueeze(-1) >> torch.arange(WORD_BITS, device=words.device)) & 1
    return bits.flatten(-2)[..., : 2 * radius + 1].bool()


def meets(first: Tensor, second: Tensor) -> Tensor:
    """Whether two sets share a charge, (..., W) and (..., W) broadcast to (...) bool."""
    common = first[..., 0] & second[..., 0]
    for word in range(1, first.shape[-1]):
        common = common | (first[..., word] & second[..., word])
    return common != 0


def sumset(first: Tensor, second: Tensor) -> Tensor:
    """All sums of a charge of one set and a charge of the other, clipped to the radius.

    Args:
        first, second: (..., 2 * radius + 1) bool, broadcast against each other.

    Returns:
        (..., 2 * radius + 1) bool.
    """
    width = first.shape[-1]
    radius = (width - 1) // 2
    # on a circle of at least 3 radius + 1 charges, sums that wrap around land outside the radius
    length = 64 * (3 * radius // 64 + 1)
    spectrum = torch.fft.rfft(first.float(), length) * torch.fft.rfft(second.float(), length)
    return torch.fft.irfft(spectrum, length)[..., radius : radius + width] > 0.5


class ChargeKernels:
    """A numbered collection of sets whose members can be subtracted from other sets.

    Args:
        member: (S, 2 * radius + 1) bool, the sets.
    """

    def __init__(self, member: Tensor) -> None:
        self.radius = (member.shape[1] - 1) // 2
        self.size = member.sum(dim=1)
        longest = max(1, int(self.size.max()))
        charges = torch.arange(-self.radius, self.radius + 1)
        # members first, in ascending order
        order = member.to(torch.int8).argsort(dim=1, descending=True, stable=True)[:, :longest]
        self.charge = charges[order]
        words = n_words(self.radius)
        self.valid = pack(torch.ones(2 * self.radius + 1, dtype=torch.bool))
        self.n_words = words

    def to(self, device: torch.device | str) -> ChargeKernels:
        """Move the tables to ``device`` and return self."""
        self.size, self.charge, self.valid = (t.to(device) for t in (self.size, self.charge, self.valid))
        return self

    def subtract(self, words: Tensor, kernel: Tensor) -> Tensor:
        """All differences of a charge of each row's set and a member of its kernel.

        Args:
            words: (n, W) int64 sets.
            kernel: (n,) int64 numbers of kernels.

        Returns:
            (n, W) int64 sets; empty where the kernel is.
        """
        size, order = self.size[kernel].sort(descending=True)
        result = torch.zeros_like(words)
        kernel, words = kernel[order], words[order]
        for start, stop in pairwise(_BLOCKS):
            if start >= self.charge.shape[1]:
                break
            active = int((size > start).sum())
            if not active:
                break
            number = torch.arange(start, min(stop, self.charge.shape[1]), device=words.device)
            shifted = self._shifted(words[:active], self.charge[kernel[:active]][:, number])
            inside = number < size[:active, None]
            result[:active] |= _union(shifted * inside[..., None])
        return torch.empty_like(result).index_copy_(0, order, result & self.valid)

    def _shifted(self, words: Tensor, charge: Tensor) -> Tensor:
        """(n, m, W): each row's set minus each of its (n, m) charges."""
        width = self.n_words
        padded = functional.pad(words, (width + 1, width + 1))
        whole, bits = charge.div(WORD_BITS, rounding_mode="floor"), charge.remainder(WORD_BITS)
        # a shift by more than the row's length finds only padding
        first = whole.clamp(-width - 1, width) + width + 1
        index = first[..., None] + torch.arange(width + 1, device=words.device)
        found = padded[:, None].expand(-1, charge.shape[1], -1).gather(2, index)
        low = found[..., :-1] >> bits[..., None]
        return low | ((found[..., 1:] << (WORD_BITS - bits)[..., None]) & _FULL)


def _union(sets: Tensor) -> Tensor:
    """(n, m, W) to (n, W): bitwise or over the middle dimension."""
    while sets.shape[1] > 1:
        half = sets.shape[1] // 2
        joined = sets[:, :half] | sets[:, half : 2 * half]
        sets = torch.cat([joined, sets[:, 2 * half :]], dim=1)
    return sets[:, 0]
