"""Wasserstein-1 distances between properties of generated and of reference structures, and their noise floor.

Source: T. Xie et al., ICLR 2022, section 5.2 (property statistics): density, energy and number of elements of valid
structures against those of the test set.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.evaluation.agreement import wasserstein
from gflownet_crystal.structures.elements import atomic_masses
from gflownet_crystal.structures.structure import StructureBatch

GRAMS_PER_CUBIC_CM = 1.66053906660
"""Of one atomic mass unit in one Å^3 (CODATA 2018)."""


def structure_properties(structures: StructureBatch) -> dict[str, Tensor]:
    """Properties of n structures that need no model, each (n,) float64.

    Returns:
        ``density`` (g/cm^3), ``n_elements`` (different elements) and ``volume_per_atom`` (Å^3).
    """
    composition = structures.composition
    mass = composition.double() @ torch.from_numpy(atomic_masses()).to(structures.device)
    return {
        "density": GRAMS_PER_CUBIC_CM * mass / structures.volume,
        "n_elements": (composition > 0).sum(1).double(),
        "volume_per_atom": structures.volume / structures.n_atoms,
    }


def distance_of_finite(generated: Tensor, reference: Tensor) -> float:
    """Wasserstein-1 distance of two samples of one property, in its unit; values that are not finite are left out.

    Args:
        generated: (n,) float64.
        reference: (m,) float64.

    Raises:
        DataError: a sample has no finite values.
    """
    first, second = generated[generated.isfinite()], reference[reference.isfinite()]
    if not len(first) or not len(second):
        raise DataError("a distance needs at least one finite value on each side")
    return wasserstein(first, second)


def noise_floor(
    drawn: Tensor, reference: Tensor, n: int, generator: torch.Generator, n_resamples: int = 50
) -> tuple[float, float]:
    """The distance that a sample of the reference distribution itself has from a reference of this size.

    Args:
        drawn: (k,) float64, reference values that a sample may hold.
        reference: (m,) float64.
        n: values of a sample. Sample and reference are both drawn with replacement.
        generator: random generator on the CPU.
        n_resamples: pairs of them.

    Returns:
        The mean, and the 95th percentile.

    Raises:
        DataError: no finite values, or n below 1.
    """
    drawn, reference = drawn[drawn.isfinite()].cpu(), reference[reference.isfinite()].cpu()
    if not len(drawn) or not len(reference) or n < 1:
        raise DataError("a noise floor needs finite reference values and at least one drawn value")

    def draw(values: Tensor, size: int) -> Tensor:
        return values[torch.randint(len(values), (size,), generator=generator)]

    found = [wasserstein(draw(drawn, n), draw(reference, len(reference))) for _ in range(n_resamples)]
    return float(np.mean(found)), float(np.quantile(found, 0.95))
