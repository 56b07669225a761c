"""Sets of total charges as bit words: the arithmetic of the composition's charge balance.

A set of integers in [-radius, radius] is a row of W ``int64`` words of 63 bits; bit ``q + radius`` stands for the
charge q. The sign bit stays clear, so that an arithmetic shift is a logical one. Charges beyond the radius are
dropped: the radius is chosen so that nothing could balance them.
"""

from __future__ import annotations

from functools import reduce
from itertools import takewhile

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from gflownet_crystal.common.devices import runs_ahead
from gflownet_crystal.common.moving import MovedToDevice

WORD_BITS = 63
_FULL = torch.iinfo(torch.int64).max


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
    """All sums of a charge of one set and a charge of the other, clipped to the radius, (..., 2 * radius + 1) bool.

    Args:
        first, second: (..., 2 * radius + 1) bool, broadcast against each other.
    """
    width = first.shape[-1]
    radius = (width - 1) // 2
    # on a circle of at least 3 radius + 1 charges, sums that wrap around land outside the radius
    length = 64 * (3 * radius // 64 + 1)
    spectrum = torch.fft.rfft(first.float(), length) * torch.fft.rfft(second.float(), length)
    return torch.fft.irfft(spectrum, length)[..., radius : radius + width] > 0.5


class ChargeKernels(MovedToDevice):
    """A numbered collection of sets whose members can be subtracted from other sets.

    A set is kept as runs: members of one sign at equal distances, which a few doublings subtract together.

    Args:
        member: (S, 2 * radius + 1) bool, the sets.
    """

    def __init__(self, member: Tensor) -> None:
        radius = (member.shape[1] - 1) // 2
        self.size = member.sum(dim=1)
        runs = [_runs(row.nonzero()[0] - radius) for row in member.numpy()]
        most = max(1, *map(len, runs)) if runs else 1
        # a set without a further run gets one that leaves the radius and so adds nothing
        none = (WORD_BITS * (n_words(radius) + 1), 0, 0)
        padded = [[*some, *[none] * (most - len(some))] for some in runs]
        table = torch.tensor(padded, dtype=torch.int64).view(len(runs), most, 3)
        self.first, self.step, self.length = (column.contiguous() for column in table.permute(2, 1, 0))
        # lengths above which a run takes part at all, and in each of its doublings
        doublings = (int(self.length.max()) - 1).bit_length() if runs else 0
        self.thresholds = torch.tensor([0, *(2**number for number in range(doublings))])
        self.valid = pack(torch.ones(2 * radius + 1, dtype=torch.bool))

    def subtract(self, words: Tensor, kernel: Tensor) -> Tensor:
        """All differences of a charge of each row's set and a member of its kernel.

        Args:
            words: (n, W) int64 sets.
            kernel: (n,) int64 numbers of kernels.

        Returns:
            (n, W) int64 sets; empty where the kernel is.
        """
        rows = self._in_all_rows if runs_ahead(words.device) else self._in_prefixes
        return rows(words, kernel) & self.valid

    def _in_all_rows(self, words: Tensor, kernel: Tensor) -> Tensor:
        """The differences by all runs and doublings in all rows, for devices that the host would have to wait for."""
        first, step, length = (part[:, kernel].flatten() for part in (self.first, self.step, self.length))
        found = _shifted(words.repeat(len(self.first), 1), first)
        for doubling in range(len(self.thresholds) - 1):
            found = found | _shifted(found, step * _further(length, doubling))
        return reduce(torch.bitwise_or, found.view(len(self.first), *words.shape).unbind())

    def _in_prefixes(self, words: Tensor, kernel: Tensor) -> Tensor:
        """The differences by runs and doublings in the rows that have them."""
        result = torch.zeros_like(words)
        # longest first, so that each doubling works on a prefix
        lengths, rows = self.length[:, kernel].sort(dim=1, descending=True)
        above = torch.searchsorted(-lengths, -self.thresholds.expand(len(lengths), -1)).tolist()
        for run, (active, *doublings) in enumerate(above):
            if not active:
                break
            length, row = lengths[run, :active], rows[run, :active]
            some = kernel[row]
            found = _shifted(words[row], self.first[run, some])
            for doubling, part in enumerate(takewhile(bool, doublings)):
                charge = self.step[run, some[:part]] * _further(length[:part], doubling)
                found[:part] |= _shifted(found[:part], charge)
            result[row] = result[row] | found
        return result


def _further(length: Tensor, doubling: int) -> Tensor:
    """Members of runs that a doubling adds to those before."""
    covered = 2**doubling
    return (length - covered).clamp(0, covered)


def _runs(charges: NDArray[np.int64]) -> list[tuple[int, int, int]]:
    """First member, step and length of runs that make up the ascending ``charges``.

    All members of a run have one sign and the first is nearest to zero, so that subtracting them one by one moves
    a set one way only, and a charge that leaves the radius never comes back.
    """
    found = []
    for part in (charges[charges < 0][::-1], charges[charges >= 0]):
        gaps, start = np.diff(part), 0
        while start < len(part):
            following = gaps[start:]
            # as long as the gap stays the same
            length = 1 + int(np.append(following == following[:1], False).argmin())
            found.append((int(part[start]), int(following[0]) if length > 1 else 0, length))
            start += length
    return sorted(found, key=lambda run: -run[2])


def _shifted(words: Tensor, charge: Tensor) -> Tensor:
    """(n, W): each row's set minus its charge (n,)."""
    width = words.shape[1]
    padded = functional.pad(words, (width + 1, width + 1))
    whole, bits = charge.div(WORD_BITS, rounding_mode="floor"), charge.remainder(WORD_BITS)
    # a shift by more than the row's length finds only padding
    first = whole.clamp(-width - 1, width) + width + 1
    index = first[:, None] + torch.arange(width + 1, device=words.device)
    found = padded.gather(1, index)
    low = found[:, :-1] >> bits[:, None]
    return low | ((found[:, 1:] << (WORD_BITS - bits)[:, None]) & _FULL)
