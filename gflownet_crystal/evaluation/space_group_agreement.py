"""Space groups of structures: as asked for or not, how many are left without symmetry, and how often each occurs.

Groups are those that moyo finds (K. Shinohara et al., J. Open Source Softw. 2024) at a stated tolerance.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.evaluation.agreement import count_variation

_N_GROUPS = 231


@dataclass(frozen=True)
class SpaceGroupAgreement:
    """Groups found against groups claimed and against a reference set.

    Attributes:
        n_claimed: structures that claim a group.
        agreement: share of them in which that group is found; NaN if none claims one.
        p1: share of all structures without symmetry (group 1).
        not_found: share of all structures in which the search failed.
        n_groups: different groups found.
        distance: total variation between the frequencies of groups here and in the reference, in [0, 1]; NaN if
            there is no reference.
        distance_floor: mean distance of two samples of these sizes from one distribution.
    """

    n_claimed: int
    agreement: float
    p1: float
    not_found: float
    n_groups: int
    distance: float
    distance_floor: float


def space_group_agreement(
    found: Tensor, claimed: Tensor, reference: Tensor | None = None
) -> SpaceGroupAgreement:
    """Compare space groups.

    Args:
        found: (n,) int64, 0 where the search failed.
        claimed: (n,) int64, 0 where none is claimed.
        reference: (m,) int64 groups found in the reference; None if there is none.

    Raises:
        DataError: a set is empty.
    """
    if not len(found) or (reference is not None and not len(reference)):
        raise DataError("space groups are compared between sets of at least one structure")
    asked = claimed > 0
    n_claimed = int(asked.sum())
    nothing = float("nan"), float("nan")
    distance, floor = nothing if reference is None else count_variation(found, reference, _N_GROUPS)
    return SpaceGroupAgreement(
        n_claimed=n_claimed,
        agreement=float((found == claimed)[asked].double().mean()) if n_claimed else float("nan"),
        p1=float((found == 1).double().mean()),
        not_found=float((found == 0).double().mean()),
        n_groups=len(torch.unique(found[found > 0])),
        distance=distance,
        distance_floor=floor,
    )
