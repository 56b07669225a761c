"""Coverage: share of a reference set with a similar generated structure, and the reverse.

Source: T. Xie et al., ICLR 2022, section 5.2 and appendix G (after S. Ganea et al., GeoMol, NeurIPS 2021). A structure
is covered if the nearest site fingerprint and the nearest composition fingerprint of the other set are both within
their cutoffs; the two need not belong to the same structure.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from torch import Tensor

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.common.files import read_json
from gflownet_crystal.evaluation.features import Features

SITE_CUTOFF, COMPOSITION_CUTOFF = 0.4, 10.0
"""The published cutoffs for MP-20."""

SHIPPED_SCALER = Path(__file__).with_name("composition_scaler.json")
"""Fitted to MP-20's training crystals. The constants of the published code were fitted to 20,690 compositions that it
does not name; their deviations differ from these by 3 % in the median."""

_ROWS_AT_A_TIME = 512
_CONSTANT = 1e-9


@dataclass(frozen=True)
class Scaler:
    """Standardisation of Magpie features.

    Attributes:
        mean: (132,) float64.
        deviation: (132,) float64, above 0.
        origin: source of the values.
    """

    mean: Tensor
    deviation: Tensor
    origin: str

    @classmethod
    def of(cls, features: Tensor, origin: str) -> Self:
        """Fit to features (n, 132) of a set; values that are not known are left out.

        Raises:
            DataError: no features.
        """
        if not len(features):
            raise DataError("no structure has a composition fingerprint; there is nothing to scale by")
        known = features.isfinite()
        count = known.sum(0).clamp(min=1)
        mean = features.where(known, 0.0).sum(0) / count
        deviation = ((features - mean).square().where(known, 0.0).sum(0) / count).sqrt()
        # features that all share have no scale, and a deviation that is all rounding
        varies = deviation > _CONSTANT * mean.abs().clamp(min=1.0)
        return cls(mean, deviation.where(varies, 1.0), origin)

    @classmethod
    def read(cls, path: Path = SHIPPED_SCALER) -> Self:
        """From a JSON file with the lists ``means`` and ``stds``, and perhaps their ``origin``.

        Raises:
            DataError: the file has no such lists, or numbers that are no scale.
        """
        stored = read_json(path)
        try:
            mean, deviation = (torch.tensor(stored[k], dtype=torch.float64) for k in ("means", "stds"))
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise DataError(f"{path} is no scaler: it needs the lists means and stds") from error
        if mean.shape != deviation.shape or mean.ndim != 1 or not bool((deviation > 0.0).all()):
            raise DataError(f"{path} is no scaler: means and stds need one length, and stds above 0")
        return cls(mean, deviation, str(stored.get("origin", path.name)))

    def __call__(self, features: Tensor) -> Tensor:
        """Features (n, 132) scaled; 0, the mean, where one is not known.

        Raises:
            DataError: another number of features.
        """
        if features.shape[1] != len(self.mean):
            raise DataError(f"the scaler has {len(self.mean)} features, not {features.shape[1]}")
        return ((features - self.mean) / self.deviation).nan_to_num(nan=0.0)


@dataclass(frozen=True)
class Coverage:
    """Coverage of two sets.

    Attributes:
        recall: COV-R, share of reference structures that are covered.
        precision: COV-P, share of generated structures that are covered; those without a fingerprint are not.
        site_recall: AMSD-R, mean distance of a reference structure to the nearest generated site fingerprint.
        site_precision: AMSD-P, the other way round.
        composition_recall: AMCD-R, the same of compositions.
        composition_precision: AMCD-P.
        n_generated: structures that precision counts.
        n_without_fingerprint: number of structures without a fingerprint.
    """

    recall: float
    precision: float
    site_recall: float
    site_precision: float
    composition_recall: float
    composition_precision: float
    n_generated: int
    n_without_fingerprint: int


def coverage(
    generated: Features,
    reference: Features,
    scaler: Scaler,
    n_generated: int | None = None,
    site_cutoff: float = SITE_CUTOFF,
    composition_cutoff: float = COMPOSITION_CUTOFF,
) -> Coverage:
    """Coverage by the features of :class:`~gflownet_crystal.evaluation.fingerprints.FingerprintMaker`.

    Args:
        generated: features of n structures.
        reference: features of m structures; those that failed are left out.
        scaler: scaler of composition features.
        n_generated: structures that were generated, unreadable ones included; n if not given.
        site_cutoff: Euclidean distance of averaged site fingerprints.
        composition_cutoff: Euclidean distance of scaled composition fingerprints.

    Raises:
        DataError: no structure of a set has a fingerprint.
    """
    done = [features.done for features in (generated, reference)]
    if not all(bool(good.any()) for good in done):
        raise DataError("coverage needs a structure with fingerprints in each set; all failed in one")
    sites = [f.tensors["sites"][good].numpy() for f, good in zip((generated, reference), done, strict=True)]
    compositions = [
        scaler(f.tensors["composition"][good]).numpy()
        for f, good in zip((generated, reference), done, strict=True)
    ]
    site_precision, site_recall = nearest_distances(*sites)
    composition_precision, composition_recall = nearest_distances(*compositions)
    total = len(generated) if n_generated is None else n_generated
    covered = (site_precision <= site_cutoff) & (composition_precision <= composition_cutoff)
    return Coverage(
        recall=float(((site_recall <= site_cutoff) & (composition_recall <= composition_cutoff)).mean()),
        precision=float(covered.sum() / total),
        site_recall=float(site_recall.mean()),
        site_precision=float(site_precision.mean()),
        composition_recall=float(composition_recall.mean()),
        composition_precision=float(composition_precision.mean()),
        n_generated=total,
        n_without_fingerprint=total - len(site_precision),
    )


def nearest_distances(
    first: NDArray[np.float64], second: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Distance of each point (n, d) to the nearest of the other set (m, d): (n,) and (m,)."""
    of_first = np.empty(len(first))
    of_second = np.full(len(second), np.inf)
    for start in range(0, len(first), _ROWS_AT_A_TIME):
        distances = cdist(first[start : start + _ROWS_AT_A_TIME], second)
        of_first[start : start + _ROWS_AT_A_TIME] = distances.min(axis=1)
        np.minimum(of_second, distances.min(axis=0), out=of_second)
    return of_first, of_second
