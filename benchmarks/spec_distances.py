"""Distances between the distributions of two sets of crystal specs, and the floor that known crystals set."""

from __future__ import annotations

import torch
from torch import Tensor

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.crystallography.space_groups import N_SPACE_GROUPS
from gflownet_crystal.evaluation.agreement import total_variation, wasserstein
from gflownet_crystal.structures.elements import N_ATOMIC_NUMBERS
from gflownet_crystal.structures.spec import CrystalSpec


def distances(first: CrystalSpec, second: CrystalSpec) -> dict[str, float]:
    """Distances of two sets of specs.

    Args:
        first: n specs.
        second: m specs.

    Returns:
        Total variation of ``elements`` (each crystal counts once for every element that it holds), ``space_groups`` and
        ``n_elements``; Wasserstein-1 distance of ``n_atoms`` (of the conventional cell) and ``volume_per_atom`` (Å^3).

    Raises:
        DataError: a set is empty.
    """
    if not len(first) or not len(second):
        raise DataError("distances need at least one crystal on each side")
    both = (first.to("cpu"), second.to("cpu"))
    return {
        "elements": total_variation(*((one.composition > 0).sum(dim=0) for one in both)),
        "space_groups": total_variation(*(_counts(one.space_group, N_SPACE_GROUPS + 1) for one in both)),
        "n_elements": total_variation(
            *(_counts((one.composition > 0).sum(dim=1), N_ATOMIC_NUMBERS) for one in both)
        ),
        "n_atoms": wasserstein(*(one.n_atoms.double() for one in both)),
        "volume_per_atom": wasserstein(*(one.volume_per_atom for one in both)),
    }


def against_floor(
    drawn: CrystalSpec, held_out: CrystalSpec, known: CrystalSpec
) -> dict[str, dict[str, float | None]]:
    """Distances of drawn specs from known ones, next to those of held-out known specs.

    Args:
        drawn: samples of a sampler.
        held_out: crystals that the sampler has not learned from, of the same origin as ``known``.
        known: crystals that distances are measured from.

    Returns:
        By the name of each distance: ``drawn`` and ``floor``, the distances of ``drawn`` and of ``held_out`` from
        ``known``, and ``ratio``, the first over the second (None where that is 0).

    Raises:
        DataError: a set is empty.
    """
    mine, floor = distances(drawn, known), distances(held_out, known)
    return {
        name: {
            "drawn": mine[name],
            "floor": floor[name],
            "ratio": mine[name] / floor[name] if floor[name] else None,
        }
        for name in mine
    }


def _counts(numbers: Tensor, n_classes: int) -> Tensor:
    return torch.bincount(numbers, minlength=n_classes)
